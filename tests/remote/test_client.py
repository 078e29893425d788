"""A machine through the SDK's client: a real module behind a stand-in for viam-server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from grpclib import GRPCError, Status

from scripts.fakes.machine import ForwardedCamera, MachineServer
from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.connections import assert_sentence
from tests.support.machine import NAME, US, exact, now_us
from tests.support.machine import Machine as Recording
from tests.support.stored_range import stored
from videostore.base.errors import MachineError, NothingStoredError, RequestError, UnreadableRangeError
from videostore.remote.client import Machine

pytestmark = pytest.mark.asyncio(loop_scope="module")


# State


async def test_the_state_is_the_one_that_the_machine_reports(recorded: Recording, server: MachineServer) -> None:
    async with Machine.connect(server.address) as machine:
        assert machine.component == NAME
        state = await machine.state()
    response = await recorded.command("get-storage-state")
    assert exact(state.ranges[0].from_us)[:19] + "Z" == response["stored_video"][0]["from"]
    assert state.storage_path == recorded.storage
    assert state.limit_bytes == 1 << 30 and state.used_bytes > 0 and state.device_free_bytes > 1 << 20


# Saves


async def test_a_save_is_done_by_the_machine(recorded: Recording, server: MachineServer) -> None:
    from_us, to_us = stored(recorded)
    async with Machine.connect(server.address) as machine:
        saved = await machine.save(from_us, to_us, metadata="door", tags=["b", "a"])
        later = await machine.save(from_us, to_us, metadata="later", wait=False)
    assert saved.path == Path("tag=a", "tag=b", saved.file_name) and saved.file_name.endswith("_door.mp4")
    assert saved.ranges is None and later.file_name.endswith("_later.mp4")
    check = check_clip(read_clip(recorded.upload / saved.path), recorded.camera.delivered, from_us, to_us)
    assert check.flawless, check


# Refusals


@pytest.mark.parametrize(
    ("start", "end", "kind", "words"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z", NothingStoredError, ["Nothing is stored", "nearest"]),
        ("2200-01-01T00:00:00Z", "+1m", RequestError, ["'from'", "future"]),
        ("-1m", "-2m", RequestError, ["'from'", "before 'to'"]),
        ("yesterday", "now", RequestError, ["'from'", "yesterday"]),
    ],
)
@pytest.mark.parametrize("passes_details", [True, False])
async def test_a_refusal_of_the_machine_keeps_its_class_and_sentence(
    server: MachineServer,
    forwarded: ForwardedCamera,
    tmp_path: Path,
    start: str,
    end: str,
    kind: type[Exception],
    words: list[str],
    passes_details: bool,
) -> None:
    forwarded.passes_details = passes_details
    async with Machine.connect(server.address) as machine:
        with pytest.raises(kind) as refused:
            await machine.export(start, end, tmp_path / "clip.mp4")
    assert_sentence(refused, *words)
    assert not list(tmp_path.iterdir())


async def test_a_refusal_carries_the_data_of_the_module(
    recorded: Recording, server: MachineServer, tmp_path: Path
) -> None:
    before = recorded.camera.delivered[0] - 60 * US
    async with Machine.connect(server.address) as machine:
        with pytest.raises(NothingStoredError) as refused:
            await machine.export(before, before + US, tmp_path / "clip.mp4")
    error = refused.value
    assert error.code == "nothing-in-range"
    assert error.asked is not None and abs(error.asked.from_us - before) < 1000
    assert error.nearest is not None and error.nearest.from_us == recorded.camera.delivered[0]


@pytest.mark.parametrize(
    ("status", "message", "kind", "prefix"),
    [
        (Status.UNKNOWN, "rpc error: code = NotFound desc = Nothing is stored in the range.", NothingStoredError, ""),
        (Status.DATA_LOSS, "It cannot be read.", UnreadableRangeError, ""),
        (Status.INTERNAL, "The clip could not be cut; the module's log tells why.", MachineError, ""),
        (Status.UNIMPLEMENTED, "no such method", MachineError, f"{NAME} does not answer as a recorder does: "),
    ],
)
async def test_an_error_that_a_server_on_the_way_has_changed_is_understood(
    server: MachineServer,
    forwarded: ForwardedCamera,
    tmp_path: Path,
    status: Status,
    message: str,
    kind: Any,
    prefix: str,
) -> None:
    forwarded.answers = [GRPCError(status, message)]
    async with Machine.connect(server.address) as machine:
        with pytest.raises(kind) as refused:
            await machine.export("-4s", "-3s", tmp_path / "clip.mp4")
    assert_sentence(refused, f"{prefix}{message.rpartition('desc = ')[2].rstrip('.')}.")


async def test_a_recorder_that_is_starting_is_tried_again(
    recorded: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    forwarded.answers = [GRPCError(Status.UNAVAILABLE, "The recorder is not running: it is being started.")]
    async with Machine.connect(server.address) as machine:
        clip = await machine.export(*stored(recorded), tmp_path / "clip.mp4")
    assert clip.ranges is None


async def test_a_file_is_overwritten_only_on_request(
    recorded: Recording, server: MachineServer, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text("precious")
    async with Machine.connect(server.address) as machine:
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recorded), path)
        assert_sentence(refused, str(path), "exists")
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recorded), tmp_path / "nowhere" / "clip.mp4")
        assert_sentence(refused, "nowhere", "directory")
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recorded), tmp_path / "clip.avi")
        assert_sentence(refused, "clip.avi", ".mp4")
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recorded), tmp_path / "link", overwrite=True)
        assert_sentence(refused, "symbolic link")
        (tmp_path / "link").unlink()
        assert path.read_text() == "precious"
        await machine.export(*stored(recorded), path, overwrite=True)
    assert read_clip(path) and list(tmp_path.iterdir()) == [path]


async def test_a_response_that_is_not_a_clip_is_reported(
    recorded: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    forwarded.answers = [{"video": 7}, {"video": "!"}]
    async with Machine.connect(server.address) as machine:
        for _ in range(2):
            with pytest.raises(MachineError) as refused:
                await machine.export(*stored(recorded), tmp_path / "clip.mp4")
            assert_sentence(refused, NAME, server.address, "invalid clip")
    assert not list(tmp_path.iterdir())


# Pictures


async def test_the_picture_of_a_moment_comes_from_the_machine(recorded: Recording, server: MachineServer) -> None:
    delivered = recorded.camera.delivered
    async with Machine.connect(server.address) as machine:
        found = await machine.snapshot(delivered[5] + 1)
        assert (found.captured_us, found.exact, found.damaged) == (delivered[5], True, None)
        assert (found.jpeg[:3], found.width) == (b"\xff\xd8\xff", 320)
        narrow = await machine.snapshot(delivered[5], width=160, exact=False)
        assert narrow.width == 160 and narrow.captured_us <= delivered[5]
        with pytest.raises(NothingStoredError) as refused:
            await machine.snapshot(delivered[0] - 60 * US)
        assert (refused.value.code, refused.value.after_us) == ("moment-before-first", delivered[0])


# Events


async def test_a_moment_is_marked_on_the_machine_and_forgotten(recorded: Recording, server: MachineServer) -> None:
    at_us = recorded.camera.delivered[5]
    async with Machine.connect(server.address) as machine:
        event = await machine.mark("door", at_us, before_s=1, after_s=2, keep=True)
        assert (event.at_us, event.from_us, event.to_us) == (at_us, at_us - US, at_us + 2 * US)
        assert (event.label, event.keep, event.file_name) == ("door", True, None)
        assert event in (await machine.state()).events
        await machine.unmark(event.id, release=True)
        assert [one.keep for one in (await machine.state()).events if one.id == event.id] == [False]
        before_us = now_us()
        other = await machine.mark("now")
        assert before_us <= other.at_us <= now_us()
        for one in (event, other):
            await machine.unmark(one.id)
        assert (await machine.state()).events == ()
        with pytest.raises(RequestError) as refused:
            await machine.unmark(event.id)
        assert refused.value.code == "event-unknown"
        saved = await machine.mark("cat", after_s=3000, save=True, metadata="grey", tags=["pet"])
        assert saved.file_name is not None and "grey" in saved.file_name
        assert await machine.unmark(saved.id, cancel_save=True) is None
