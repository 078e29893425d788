"""The command line's way to a machine: a real module behind a stand-in for viam-server, through the SDK's client."""

from __future__ import annotations

import asyncio
import base64
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from grpclib import GRPCError, Status
from grpclib.client import Channel
from viam.components.camera.client import CameraClient

from scripts.fakes.machine import HOST, ForwardedCamera, MachineServer
from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.machine import NAME, US, exact, now_us, run_machine
from tests.support.machine import Machine as Recording
from videostore.base.errors import MachineError, NothingStoredError, RequestError, UnreadableRangeError, VideoStoreError
from videostore.remote.client import Machine
from videostore.remote.splice import Piece
from videostore.store.store import FETCH_LIMIT_BYTES

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY, KEY_ID = "k3y-that-nobody-may-see", str(uuid.UUID(int=7))
RECORDED_S, GAP_S = 5, 1.2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recording(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recording]:
    """A module that has recorded for some seconds, had no picture for two, and goes on."""
    async with run_machine(tmp_path_factory.mktemp("machine"), jitter=True) as recording:
        await recording.add()
        await recording.record(RECORDED_S)
        recording.camera.fault = "error"
        await asyncio.sleep(GAP_S)
        recording.camera.fault = None
        await recording.record(2)
        yield recording


@pytest_asyncio.fixture(loop_scope="module")
async def forwarded(recording: Recording) -> ForwardedCamera:
    """The recorder as the machine has it."""
    return ForwardedCamera(recording.parent.camera(NAME))


@pytest_asyncio.fixture(loop_scope="module")
async def server(recording: Recording, forwarded: ForwardedCamera) -> AsyncIterator[MachineServer]:
    """The machine: the recorder, and the camera that it records, which takes no commands."""
    async with MachineServer([recording.camera, forwarded]) as server:
        yield server


def stored(recording: Recording) -> tuple[int, int]:
    """A range that is recorded, from and to no frame's own time."""
    delivered = recording.camera.delivered
    return delivered[2] + 1, delivered[0] + (RECORDED_S - 1) * US


def assert_sentence(error: pytest.ExceptionInfo[Exception], *words: str) -> None:
    message = str(error.value)
    print("SAID", type(error.value).__name__, message)
    for word in words:
        assert word in message, message
    assert KEY not in message and "\n" not in message and message.endswith((".", "?")), message
    assert not any(noise in message for noise in ("Error(", "Errno", "None", "  ", "..")), message


# State


async def test_the_state_is_that_which_the_machine_tells(recording: Recording, server: MachineServer) -> None:
    async with Machine.connect(server.address) as machine:
        assert machine.component == NAME
        state = await machine.state()
    told = await recording.command("get-storage-state")
    assert exact(state.ranges[0].from_us)[:19] + "Z" == told["stored_video"][0]["from"]
    assert state.storage_path == recording.storage
    assert state.limit_bytes == 1 << 30 and state.used_bytes > 0 and state.device_free_bytes > 1 << 20


# Clips


async def test_a_clip_that_one_answer_carries_is_written_as_it_comes(
    recording: Recording, server: MachineServer, tmp_path: Path
) -> None:
    from_us, to_us = stored(recording)
    path, shares = tmp_path / "clip.mp4", list[float]()
    async with Machine.connect(server.address, component=NAME) as machine:
        clip = await machine.export(from_us, to_us, path, on_progress=shares.append)
    assert (clip.path, clip.ranges, shares) == (path, None, [1.0])
    check = check_clip(read_clip(path), recording.camera.delivered, from_us, to_us)
    assert check.flawless and check.drift_ms < 0.01, check
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("parts", [2, 3])
async def test_a_clip_of_several_pieces_has_the_same_packets_at_the_same_times_as_one(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path, parts: int
) -> None:
    from_us, to_us = stored(recording)
    whole, joined, shares = tmp_path / "whole.mp4", tmp_path / "joined.mp4", list[float]()
    async with Machine.connect(server.address, component=NAME) as machine:
        await machine.export(from_us, to_us, whole)
        forwarded.limit_bytes = whole.stat().st_size // parts
        clip = await machine.export(from_us, to_us, joined, on_progress=shares.append)
    assert clip.ranges is None
    assert len(shares) > parts and shares == sorted(shares) and shares[-1] == 1
    assert same_packets(whole, joined)
    check = check_clip(read_clip(joined), recording.camera.delivered, from_us, to_us)
    assert check.flawless and check.drift_ms < 0.01, check
    assert sorted(tmp_path.iterdir()) == [joined, whole]


def same_packets(one: Path, other: Path) -> bool:
    """Whether two clips hold the same, but for how long the last frame is shown."""
    return Piece.read(one).packets[:-1] == Piece.read(other).packets[:-1]


async def test_a_gap_is_told_as_for_a_clip_that_comes_whole(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    delivered = recording.camera.delivered
    from_us, to_us = delivered[0] - 2 * US + 333, delivered[0] + (RECORDED_S + 2) * US
    whole, joined = tmp_path / "whole.mp4", tmp_path / "joined.mp4"
    async with Machine.connect(server.address) as machine:
        told = await machine.export(from_us, to_us, whole)
        forwarded.limit_bytes = whole.stat().st_size // 3
        clip = await machine.export(from_us, to_us, joined)
    assert clip.ranges is not None and len(clip.ranges) == 2
    assert clip.ranges == told.ranges
    assert same_packets(whole, joined)
    assert check_clip(read_clip(joined), delivered, from_us, to_us).flawless


async def test_a_relative_range_goes_by_the_clock_of_this_computer(
    recording: Recording, server: MachineServer, tmp_path: Path
) -> None:
    before_us = now_us()
    async with Machine.connect(server.address) as machine:
        clip = await machine.export("-2s", "now", tmp_path / "clip.mp4")
    shown = [frame.captured_us for _, frame in read_clip(clip.path) if frame]
    assert before_us - 2 * US <= shown[0] < before_us and shown[-1] < now_us()


async def test_a_connection_that_ends_is_made_again(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    from_us, to_us = stored(recording)
    async with Machine.connect(server.address) as machine:
        server.hang_up()
        clip = await machine.export(from_us, to_us, tmp_path / "clip.mp4")
    assert check_clip(read_clip(clip.path), recording.camera.delivered, from_us, to_us).flawless


async def test_an_answer_may_be_as_large_as_viam_server_lets_through(tmp_path: Path) -> None:
    class Large(ForwardedCamera):
        async def do_command(self, command: Mapping[str, Any], **kwargs: Any) -> Mapping[str, Any]:
            return {"command": "fetch", "video": base64.b64encode(data).decode()}

    data = random.Random(1).randbytes(FETCH_LIMIT_BYTES)
    async with (
        MachineServer([Large(CameraClient("big", Channel()))]) as server,
        Machine.connect(server.address, component="big") as machine,
    ):
        began = time.monotonic()
        assert await machine.fetch(0, US, tmp_path / "data") is None
    assert (tmp_path / "data").read_bytes() == data
    assert time.monotonic() - began < 5


async def test_a_save_is_carried_out_by_the_machine(recording: Recording, server: MachineServer) -> None:
    from_us, to_us = stored(recording)
    async with Machine.connect(server.address) as machine:
        saved = await machine.save(from_us, to_us, metadata="door", tags=["b", "a"])
        later = await machine.save(from_us, to_us, metadata="later", wait=False)
    assert saved.path == Path("tag=a", "tag=b", saved.file_name) and saved.file_name.endswith("_door.mp4")
    assert saved.ranges is None and later.file_name.endswith("_later.mp4")
    check = check_clip(read_clip(recording.upload / saved.path), recording.camera.delivered, from_us, to_us)
    assert check.flawless, check


# What is refused


@pytest.mark.parametrize(
    ("start", "end", "kind", "words"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z", NothingStoredError, ["Nothing is stored", "nearest"]),
        ("-1m", "2200-01-01T00:00:00Z", RequestError, ["'to'", "future"]),
        ("-1m", "-2m", RequestError, ["'from'", "before 'to'"]),
        ("yesterday", "now", RequestError, ["'from'", "yesterday"]),
    ],
)
async def test_what_the_machine_refuses_comes_in_its_own_words(
    server: MachineServer, tmp_path: Path, start: str, end: str, kind: type[Exception], words: list[str]
) -> None:
    async with Machine.connect(server.address) as machine:
        with pytest.raises(kind) as refused:
            await machine.export(start, end, tmp_path / "clip.mp4")
    assert_sentence(refused, *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("status", "said", "kind", "told"),
    [
        (Status.UNKNOWN, "rpc error: code = NotFound desc = Nothing is stored in the range.", NothingStoredError, ""),
        (Status.DATA_LOSS, "It cannot be read.", UnreadableRangeError, ""),
        (Status.INTERNAL, "The clip could not be cut; the module's log tells why.", MachineError, ""),
        (Status.UNIMPLEMENTED, "no such method", MachineError, f"{NAME} does not answer as a recorder does: "),
    ],
)
async def test_what_servers_on_the_way_add_or_lose_is_made_good(
    server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path, status: Status, said: str, kind: Any, told: str
) -> None:
    forwarded.answers = [GRPCError(status, said)]
    async with Machine.connect(server.address) as machine:
        with pytest.raises(kind) as refused:
            await machine.export("-4s", "-3s", tmp_path / "clip.mp4")
    assert_sentence(refused, f"{told}{said.rpartition('desc = ')[2].rstrip('.')}.")


async def test_a_recorder_that_only_just_starts_is_asked_again(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    forwarded.answers = [GRPCError(Status.UNAVAILABLE, "The recorder is not running: it is being started.")]
    async with Machine.connect(server.address) as machine:
        clip = await machine.export(*stored(recording), tmp_path / "clip.mp4")
    assert clip.ranges is None


async def test_a_file_is_overwritten_only_if_so_asked(
    recording: Recording, server: MachineServer, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text("precious")
    async with Machine.connect(server.address) as machine:
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recording), path)
        assert_sentence(refused, str(path), "exists")
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recording), tmp_path / "nowhere" / "clip.mp4")
        assert_sentence(refused, "nowhere", "directory")
        assert path.read_text() == "precious"
        await machine.export(*stored(recording), path, overwrite=True)
    assert read_clip(path) and list(tmp_path.iterdir()) == [path]


async def test_an_answer_that_is_no_clip_is_said_to_be_none(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    forwarded.answers = [{"video": 7}, {"video": "!"}]
    async with Machine.connect(server.address) as machine:
        for _ in range(2):
            with pytest.raises(MachineError) as refused:
                await machine.export(*stored(recording), tmp_path / "clip.mp4")
            assert_sentence(refused, NAME, server.address, "no clip")
    assert not list(tmp_path.iterdir())


# Finding the recorder


async def test_the_recorder_must_be_named_where_there_are_several(recording: Recording) -> None:
    client = recording.parent.camera(NAME)
    second = ForwardedCamera(client)
    second.name = "second"
    async with MachineServer([ForwardedCamera(client), second]) as server:
        with pytest.raises(RequestError) as refused:
            async with Machine.connect(server.address):
                pass
        assert_sentence(refused, "several", f"{NAME}, second")
        async with Machine.connect(server.address, component="second") as machine:
            assert (await machine.state()).ranges
        await until_closed(server)


async def test_a_machine_without_a_recorder_says_which_cameras_it_has(recording: Recording) -> None:
    async with MachineServer([recording.camera]) as server:
        for component in (None, "front"):
            with pytest.raises(VideoStoreError) as refused:
                async with Machine.connect(server.address, component=component):
                    pass
            assert_sentence(refused, "recorder", "its cameras are cam")
        async with Machine.connect(server.address, component="cam") as machine:
            with pytest.raises(MachineError) as refused:
                await machine.state()
            assert_sentence(refused)
    async with MachineServer([]) as server:
        with pytest.raises(MachineError) as refused:
            async with Machine.connect(server.address):
                pass
        assert_sentence(refused, "no camera")


# The connection


async def test_the_key_opens_the_machine_and_a_wrong_one_gets_a_sentence(recording: Recording) -> None:
    cameras = [ForwardedCamera(recording.parent.camera(NAME))]
    async with MachineServer(cameras, api_key=KEY, api_key_id=KEY_ID) as server:
        async with Machine.connect(server.address, api_key=KEY, api_key_id=KEY_ID) as machine:
            assert (await machine.state()).ranges
        other = str(uuid.UUID(int=8))
        for key, key_id in ((KEY + "x", KEY_ID), (KEY, other), (None, None)):
            with pytest.raises(MachineError) as refused:
                async with Machine.connect(server.address, api_key=key, api_key_id=key_id):
                    pass
            assert_sentence(refused, server.address, "API key")
        await until_closed(server)


@pytest.mark.parametrize(
    ("address", "key", "key_id", "words"),
    [
        ("localhost:8080", KEY, None, ["API key", "id", "missing"]),
        ("localhost:8080", None, KEY_ID, ["API key", "id", "missing"]),
        ("localhost:8080", KEY_ID, KEY, ["id", "UUID"]),
        ("local host", None, None, ["address", "'local host'"]),
        ("localhost:99999", None, None, ["address", "99999"]),
        ("", None, None, ["address"]),
    ],
)
async def test_what_cannot_be_right_is_refused_without_a_connection(
    address: str, key: str | None, key_id: str | None, words: list[str]
) -> None:
    with pytest.raises(RequestError) as refused:
        async with Machine.connect(address, api_key=key, api_key_id=key_id):
            pass
    assert_sentence(refused, *words)


async def test_where_nobody_listens_or_nobody_answers_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.remote.connection.CONNECT_S", 0.5)
    monkeypatch.setattr("videostore.remote.connection.HANDSHAKE_S", 0.5)
    with socket.create_server((HOST, 0)) as silent:
        address = f"{HOST}:{silent.getsockname()[1]}"
        with pytest.raises(MachineError) as refused:
            async with Machine.connect(address):
                pass
        assert_sentence(refused, address, "does not answer")
    for other in (address, address.replace(HOST, "localhost")):
        with pytest.raises(MachineError) as refused:
            async with Machine.connect(other):
                pass
        assert_sentence(refused, other, "nobody answers there")


async def test_no_sentence_shows_the_key_whoever_said_it(recording: Recording, tmp_path: Path) -> None:
    camera = ForwardedCamera(recording.parent.camera(NAME))
    async with MachineServer([camera], api_key=KEY, api_key_id=KEY_ID) as server:
        with pytest.raises(MachineError) as refused:
            async with Machine.connect(server.address, api_key=KEY, api_key_id=KEY_ID) as machine:
                camera.answers = [GRPCError(Status.INTERNAL, f"rpc error: code = Internal desc = {KEY} is no good")]
                await machine.export(*stored(recording), tmp_path / "clip.mp4")
        assert str(refused.value) == "… is no good."


async def test_cancelling_leaves_no_file_no_connection_and_no_task(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    async def export() -> None:
        async with Machine.connect(server.address) as machine:
            await machine.export(*stored(recording), tmp_path / "clip.mp4", on_progress=shares.append)

    shares: list[float] = []
    forwarded.limit_bytes = 120_000
    tasks = asyncio.all_tasks()
    exporting = asyncio.create_task(export())
    await recording.until(lambda: shares)
    forwarded.hung = asyncio.Event()
    await asyncio.wait_for(forwarded.hung.wait(), 5)
    assert list(tmp_path.iterdir()) and server.connections == 1
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting
    assert not list(tmp_path.iterdir())
    await until_closed(server)
    assert {task for task in asyncio.all_tasks() if "server" not in repr(task)} <= tasks


async def until_closed(server: MachineServer) -> None:
    """Wait until no connection is open any more."""
    deadline = time.monotonic() + 2
    while server.connections:
        assert time.monotonic() < deadline, "a connection was left open"
        await asyncio.sleep(0.01)
