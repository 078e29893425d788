"""Refusals on the wire: what a gRPC client gets, through a real server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status as StatusMessage
from grpclib import GRPCError, Status
from grpclib.client import Channel
from viam.components.camera.client import CameraClient

from scripts.fakes.machine import HOST, ForwardedCamera, MachineServer
from videostore.base.errors import (
    ConfigError,
    FFmpegError,
    NoRoomError,
    NothingStoredError,
    RequestError,
    TimestampError,
    TooLargeError,
    UnknownSaveError,
    UnreadableRangeError,
    VideoStoreError,
)
from videostore.base.ranges import Range
from videostore.viam.refusal import DETAILS_BYTES, Refusal


class RefusingCamera(ForwardedCamera):
    """Refuses every command with an error, as the SDK's server does."""

    def __init__(self, error: VideoStoreError) -> None:
        super().__init__(CameraClient("store", Channel()))
        self._error = error

    async def do_command(self, command: Mapping[str, Any], **kwargs: Any) -> Mapping[str, Any]:
        raise Refusal(self._error).grpc_error


async def received(error: VideoStoreError) -> GRPCError:
    """The error that a client gets."""
    async with MachineServer([RefusingCamera(error)]) as server:
        channel = Channel(HOST, server.port)
        try:
            with pytest.raises(GRPCError) as refused:
                await CameraClient("store", channel).do_command({"command": "save"})
        finally:
            channel.close()
    return refused.value


async def test_a_client_gets_the_status_the_sentence_the_code_and_the_fields() -> None:
    error = await received(
        NothingStoredError("nothing-in-range", asked=Range(0, 1_000_000), nearest=Range(5_000_000, 7_000_001))
    )
    assert error.status is Status.NOT_FOUND
    assert error.message == (
        "Nothing is stored in the range from 1970-01-01_00-00-00.000Z to 1970-01-01_00-00-01.000Z."
        " The nearest stored range is from 1970-01-01_00-00-05.000Z to 1970-01-01_00-00-07.001Z."
        " So there is no matching video data to save."
    )
    assert error.details == [
        ErrorInfo(
            reason="nothing-in-range",
            domain="videostore",
            metadata={
                "asked": '{"from_us":0,"to_us":1000000}',
                "nearest": '{"from_us":5000000,"to_us":7000001}',
            },
        )
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownSaveError("save-unknown", value="x.mp4"), Status.NOT_FOUND),
        (UnreadableRangeError("range-unreadable", asked=Range(0, 1)), Status.DATA_LOSS),
        (TooLargeError("clip-too-large", size_bytes=2, limit_bytes=1, longest_s=0.5), Status.RESOURCE_EXHAUSTED),
        (NoRoomError("no-room-for-clip", path="/", size_bytes=2, free_bytes=1), Status.RESOURCE_EXHAUSTED),
        (TimestampError("timestamp-missing", field="to", expected="a time"), Status.INVALID_ARGUMENT),
        (RequestError("command-missing", expected="save"), Status.INVALID_ARGUMENT),
        (ConfigError("attribute-missing", attribute="sync", expected="a name"), Status.INVALID_ARGUMENT),
        (FFmpegError("ffmpeg-ended"), Status.INTERNAL),
        (VideoStoreError("closed"), Status.UNAVAILABLE),
        (VideoStoreError("index-rebuilding", count=3), Status.UNAVAILABLE),
        (VideoStoreError("recording-unreadable", reason="too many open files"), Status.UNAVAILABLE),
        (VideoStoreError("storage-trouble", reason="the disk hangs"), Status.UNAVAILABLE),
        (FFmpegError("clip-incomplete"), Status.UNAVAILABLE),
        (FFmpegError("ffmpeg-missing", variable="X"), Status.FAILED_PRECONDITION),
        (FFmpegError("storage-full-quota", path="/a", reason="full"), Status.RESOURCE_EXHAUSTED),
        (FFmpegError("stream-format-changed", at_us=1), Status.ABORTED),
        (VideoStoreError("stream-clock-set-back", at_us=1), Status.ABORTED),
        (VideoStoreError("event-not-noted", path="/a", reason="full"), Status.FAILED_PRECONDITION),
        (RequestError("too-many-events", limit=1), Status.RESOURCE_EXHAUSTED),
        (RequestError("request-too-large", size_bytes=2, limit_bytes=1), Status.RESOURCE_EXHAUSTED),
        (RequestError("picture-needs-too-much"), Status.RESOURCE_EXHAUSTED),
        (RequestError("clip-empty"), Status.DATA_LOSS),
        (VideoStoreError("storage-in-use", attribute="storage.storage_path", path="/a"), Status.FAILED_PRECONDITION),
        (
            VideoStoreError("storage-not-created", attribute="a", path="/a", reason="a file"),
            Status.FAILED_PRECONDITION,
        ),
        (
            VideoStoreError("upload-path-unusable", attribute="a", path="/a", reason="a file"),
            Status.FAILED_PRECONDITION,
        ),
    ],
    ids=lambda value: getattr(value, "code", None),
)
async def test_each_class_of_errors_has_its_status(error: VideoStoreError, status: Status) -> None:
    came = await received(error)
    assert (came.status, came.message, came.details[0].reason) == (status, str(error), error.code)


async def test_a_sentence_without_a_code_has_no_details_and_ends_with_a_full_stop() -> None:
    error = await received(VideoStoreError("the disk is full"))
    assert (error.message, error.details) == ("the disk is full.", None)


@pytest.mark.parametrize("length", [500, 1500, 1900, 2000, 3000, 30_000])
async def test_a_long_field_is_left_out_and_the_rest_arrives(length: int) -> None:
    error = RequestError("field-wrong", field="tags", value="x" * length, expected="a list of strings")
    came = await received(error)
    (info,) = came.details
    assert came.message == str(error)
    assert ("value" in info.metadata) == (length < 1800)
    assert info.metadata["field"] == '"tags"'


def test_details_and_sentence_stay_within_their_limit() -> None:
    sizes = []
    for length in range(2500):
        error = VideoStoreError("storage-unreadable", path="/" + "x" * (length // 2), reason="y" * (length // 3))
        refusal = Refusal(error)
        whole = StatusMessage(code=refusal.grpc_code.value, message=refusal.message)
        for info in refusal.grpc_error.details or []:
            whole.details.add().Pack(info)
            sizes.append(whole.ByteSize())
    assert DETAILS_BYTES - 100 < max(sizes) <= DETAILS_BYTES


async def test_after_a_very_long_sentence_there_are_no_details() -> None:
    error = VideoStoreError("storage-unreadable", path="/" + "x" * 4000, reason="Permission denied")
    came = await received(error)
    assert (came.message, came.details) == (str(error), None)


async def test_a_path_that_is_not_valid_text_arrives_escaped() -> None:
    came = await received(VideoStoreError("storage-unreadable", path=Path("/\udcff"), reason="gone"))
    assert came.message == r"The storage at /\udcff cannot be read: gone."
    assert came.details[0].metadata["path"] == '"/\\udcff"'
