"""Errors of a machine as the client raises them: with their data, without it, and with data that is not valid."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status as StatusMessage
from grpclib import GRPCError, Status
from grpclib.encoding.proto import ProtoStatusDetailsCodec

from scripts.fakes.machine import MachineServer
from tests.support.fake_recorder import FakeRecorder
from videostore.base.errors import (
    FFmpegError,
    MachineError,
    NoRoomError,
    NothingStoredError,
    RequestError,
    TooLargeError,
    UnreadableRangeError,
    VideoStoreError,
)
from videostore.base.ranges import Range
from videostore.remote.client import Machine
from videostore.viam.refusal import Refusal

SAID = "The moon is full."
DOMAIN = "videostore"


@pytest.fixture
async def recorder() -> FakeRecorder:
    """The recorder on the machine."""
    return FakeRecorder()


@pytest.fixture
async def machine(recorder: FakeRecorder) -> AsyncIterator[Machine]:
    """A connection to the machine."""
    async with MachineServer([recorder]) as server, Machine.connect(server.address, component="store") as machine:
        yield machine


async def raised(machine: Machine, recorder: FakeRecorder, error: GRPCError) -> VideoStoreError:
    """What the client raises for an error of the machine."""
    recorder.answers = [error] * 3  # what may be granted later is asked for again
    with pytest.raises(VideoStoreError) as failure:
        await machine.fetch(0, 1, Path("/nonexistent"))
    return failure.value


ERRORS = [
    NothingStoredError("nothing-in-range", asked=Range(1, 2), nearest=Range(3, 1_725_000_000_000_007)),
    UnreadableRangeError("range-unreadable", asked=Range(1, 2)),
    TooLargeError("clip-too-large", size_bytes=(30 << 20) + 1, limit_bytes=24 << 20, longest_s=2.5),
    NoRoomError("no-room-to-cut", path="/data", size_bytes=2, free_bytes=1),
    RequestError("from-in-future", from_us=3, clock_us=2),
    FFmpegError("clip-failed"),
    VideoStoreError("index-rebuilding", count=12_000),
    NothingStoredError(
        "no-frame-in-range", asked=Range(4, 5), nearest=Range(0, 9), before_us=3, after_us=1_725_000_000_000_007
    ),
    NothingStoredError("no-frame-after", asked=Range(4, 5), nearest=Range(0, 9), before_us=3),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.code))
async def test_an_error_of_the_machine_keeps_its_class_code_fields_and_sentence(
    machine: Machine, recorder: FakeRecorder, error: VideoStoreError
) -> None:
    came = await raised(machine, recorder, Refusal(error).grpc_error)
    assert (type(came), came.code, came.fields, str(came)) == (type(error), error.code, error.fields, str(error))
    assert isinstance(came.__cause__, GRPCError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ERRORS[0], NothingStoredError),
        (ERRORS[1], UnreadableRangeError),
        (ERRORS[2], TooLargeError),
        (ERRORS[3], TooLargeError),  # both have the status RESOURCE_EXHAUSTED
        (ERRORS[4], RequestError),
        (ERRORS[5], MachineError),
        (ERRORS[6], MachineError),
    ],
    ids=lambda value: getattr(value, "code", None),
)
async def test_without_details_the_status_gives_the_class_and_the_text_is_the_sentence(
    machine: Machine, recorder: FakeRecorder, error: VideoStoreError, kind: type[VideoStoreError]
) -> None:
    recorder.passes_details = False
    came = await raised(machine, recorder, Refusal(error).grpc_error)
    assert (type(came), came.code, came.fields, str(came)) == (kind, "other", {"message": str(error)}, str(error))


@pytest.mark.parametrize(
    ("status", "message", "kind", "sentence"),
    [
        (Status.UNKNOWN, f"rpc error: code = NotFound desc = {SAID}", NothingStoredError, SAID),
        (
            Status.UNKNOWN,
            f"rpc error: code = Unknown desc = rpc error: code = DataLoss desc = {SAID}",
            UnreadableRangeError,
            SAID,
        ),
        (Status.UNKNOWN, f"rpc error: code = InvalidArgument desc = {SAID}", RequestError, SAID),
        (Status.UNKNOWN, f"rpc error: code = Internal desc = {SAID}", MachineError, SAID),
        (Status.UNKNOWN, f"rpc error: code = Code(99) desc = {SAID}", MachineError, None),
        (Status.UNKNOWN, f"rpc error: code = NotFound desc {SAID}", MachineError, None),
        (Status.INTERNAL, "what is it", MachineError, "what is it."),
        (Status.INTERNAL, "Is it open?", MachineError, "Is it open?"),
        (Status.INTERNAL, "", MachineError, "INTERNAL."),
        (Status.UNIMPLEMENTED, "no method", MachineError, "store does not answer as a recorder does: no method."),
        (
            Status.RESOURCE_EXHAUSTED,
            "grpc: received message larger than max (33554466 vs. 33554432)",
            TooLargeError,
            "The response of store is too large for the connection. Ask for a shorter range.",
        ),
        (
            Status.UNKNOWN,
            "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (9 vs. 8)",
            TooLargeError,
            "The response of store is too large for the connection. Ask for a shorter range.",
        ),
    ],
)
async def test_a_status_that_a_go_server_wrote_into_the_text_is_read(
    machine: Machine, recorder: FakeRecorder, status: Status, message: str, kind: Any, sentence: str | None
) -> None:
    came = await raised(machine, recorder, GRPCError(status, message))
    assert type(came) is kind
    assert str(came) == (sentence or f"store does not answer as a recorder does: {message}")


@pytest.mark.parametrize(
    "details",
    [
        [ErrorInfo(reason="clip-too-purple", domain=DOMAIN, metadata={"shade": '"mauve"'})],  # a newer module
        [ErrorInfo(reason="other", domain=DOMAIN, metadata={"message": '"Send money."'})],
        [ErrorInfo(reason="range-unreadable", domain="example.com")],
        [ErrorInfo(reason="", domain=DOMAIN)],
        [StringValue(value="range-unreadable")],
        [],
    ],
    ids=["unknown code", "other", "another domain", "no code", "another message", "none"],
)
async def test_details_that_are_not_known_are_ignored(
    machine: Machine, recorder: FakeRecorder, details: list[Any]
) -> None:
    came = await raised(machine, recorder, GRPCError(Status.NOT_FOUND, SAID, details))
    assert (type(came), came.code, str(came)) == (NothingStoredError, "other", SAID)


async def test_our_details_are_found_among_others(machine: Machine, recorder: FakeRecorder) -> None:
    ours = ErrorInfo(reason="clip-failed", domain=DOMAIN)
    details = [StringValue(value="x"), ErrorInfo(reason="closed", domain="example.com"), ours]
    came = await raised(machine, recorder, GRPCError(Status.INTERNAL, SAID, details))
    assert (type(came), came.code) == (FFmpegError, "clip-failed")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"asked": "nonsense"},
        {"asked": '{"from_us": 1}'},
        {"asked": "[" * 10_000},
        {"asked": '"' + "x" * 20_000 + '"'},
        {"sentence": "1", "message": '"Send money."', "__class__": "7"},
        {str(number): '"x"' for number in range(500)},
    ],
    ids=["none", "no JSON", "half a range", "deep", "large", "names of methods", "many"],
)
async def test_fields_that_are_not_valid_are_dropped_and_the_text_is_the_sentence(
    machine: Machine, recorder: FakeRecorder, metadata: dict[str, str]
) -> None:
    info = ErrorInfo(reason="range-unreadable", domain=DOMAIN, metadata=metadata)
    came = await raised(machine, recorder, GRPCError(Status.DATA_LOSS, SAID, [info]))
    assert (type(came), came.code, str(came)) == (UnreadableRangeError, "range-unreadable", SAID)
    assert isinstance(came, UnreadableRangeError) and came.asked is None


def status_bytes(type_url: str, value: bytes) -> bytes:
    status = StatusMessage(code=5, message=SAID, details=[AnyMessage(type_url=type_url, value=value)])
    return bytes(status.SerializeToString())


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"\xff" * 50, MachineError, "store does not answer as a recorder does"),
        (status_bytes("type.googleapis.com/google.rpc.ErrorInfo", b"\xff\xff"), MachineError, "does not answer as a"),
        (status_bytes("type.googleapis.com/no.such.Message", b"\xff\xff"), NothingStoredError, SAID),
        (status_bytes("", b""), NothingStoredError, SAID),
        (b"", NothingStoredError, SAID),
        (b"\n" * 50_000, MachineError, "The connection to the machine at"),
    ],
    ids=["no message", "no ErrorInfo", "unknown type", "no type", "empty", "more than a header can have"],
)
async def test_details_that_cannot_be_read_raise_a_machine_error_at_most(
    machine: Machine, recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch, data: bytes, kind: Any, words: str
) -> None:
    monkeypatch.setattr(ProtoStatusDetailsCodec, "encode", lambda *_: data)
    monkeypatch.setattr("videostore.remote.client._ATTEMPTS", 1)
    came = await raised(machine, recorder, GRPCError(Status.NOT_FOUND, SAID, []))
    assert type(came) is kind and words in str(came)


async def test_a_machine_that_does_not_respond_in_time_is_named(
    machine: Machine, recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.remote.client._CLIP_S", 0.2)
    recorder.hung = asyncio.Event()
    with pytest.raises(MachineError) as failure:
        await machine.fetch(0, 1, Path("/nonexistent"))
    assert (failure.value.code, failure.value.timeout_s, failure.value.address) == (
        "machine-timeout",
        0.2,
        machine.address,
    )


PLACE = " - file_name='/opt/camera/main.py' func_name='do_command' line_num=47"


@pytest.mark.parametrize("prefix", ["", "rpc error: code = Unknown desc = "])
async def test_a_camera_in_python_that_is_no_recorder_is_said_so_without_its_code(
    machine: Machine, recorder: FakeRecorder, prefix: str
) -> None:
    error = await raised(machine, recorder, GRPCError(Status.UNKNOWN, f"{prefix}NotImplementedError - {PLACE}"))
    assert isinstance(error, MachineError) and error.code == "not-a-recorder"
    assert str(error) == "store does not answer as a recorder does."
    error = await raised(machine, recorder, GRPCError(Status.UNKNOWN, f"{prefix}KeyError - 'video'{PLACE}"))
    assert str(error) == "store does not answer as a recorder does: 'video'."


async def test_what_may_be_granted_later_is_asked_for_again(
    machine: Machine, recorder: FakeRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a recorder that is being reconfigured."""
    monkeypatch.setattr("videostore.remote.client._RETRY_S", 0)
    video = {"video": base64.b64encode(b"clip").decode()}
    recorder.answers = [*[Refusal(VideoStoreError("closed")).grpc_error] * 2, video]
    assert await machine.fetch(0, 1, tmp_path / "clip.mp4") is None
    assert (tmp_path / "clip.mp4").read_bytes() == b"clip"
