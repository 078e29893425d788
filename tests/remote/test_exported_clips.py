"""Clips that are exported from a machine: a real module behind a stand-in for viam-server."""

from __future__ import annotations

import asyncio
import base64
import random
from pathlib import Path

import pytest

from scripts.fakes.machine import ForwardedCamera, MachineServer
from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import each_value
from tests.support.connections import until_closed
from tests.support.fake_recorder import FakeRecorder
from tests.support.machine import NAME, US, now_us
from tests.support.machine import Machine as Recording
from tests.support.packets import RESOLUTION_MS, group_bytes, same_frames
from tests.support.stored_range import RECORDED_S, stored
from videostore.base.errors import RequestError
from videostore.remote.client import Machine
from videostore.store.reading import FETCH_LIMIT_BYTES

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_clip_that_fits_into_one_response_is_written_as_received(
    recorded: Recording, server: MachineServer, tmp_path: Path
) -> None:
    from_us, to_us = stored(recorded)
    path, shares = tmp_path / "clip.mp4", list[float]()
    async with Machine.connect(server.address, component=NAME) as machine:
        clip = await machine.export(from_us, to_us, path, on_progress=shares.append)
    assert (clip.path, clip.ranges, shares) == (path, None, [1.0])
    check = check_clip(read_clip(path), recorded.camera.delivered, from_us, to_us)
    assert check.flawless and check.drift_ms <= RESOLUTION_MS, check
    assert list(tmp_path.iterdir()) == [path]


@each_value(passes_details=[True, False], share=[0.6, 0.33])
async def test_a_clip_of_several_pieces_has_the_same_frames_at_the_same_times(
    recorded: Recording,
    server: MachineServer,
    forwarded: ForwardedCamera,
    tmp_path: Path,
    share: float,
    passes_details: bool,
) -> None:
    forwarded.passes_details = passes_details
    from_us, to_us = stored(recorded)
    whole, joined, shares = tmp_path / "whole.mp4", tmp_path / "joined.mp4", list[float]()
    async with Machine.connect(server.address, component=NAME) as machine:
        await machine.export(from_us, to_us, whole)
        forwarded.limit_bytes = int(whole.stat().st_size * share)
        clip = await machine.export(from_us, to_us, joined, on_progress=shares.append)
    assert clip.ranges is None
    assert len(shares) > 1 / share and shares == sorted(shares) and shares[-1] == 1
    # Nothing is encoded again where a response holds much more than what lies between two keyframes. A third may not.
    same = same_frames(whole, joined)
    assert same or max(group_bytes(whole)) > forwarded.limit_bytes / 2
    check = check_clip(read_clip(joined), recorded.camera.delivered, from_us, to_us)
    # Times are told in whole microseconds. Where the start of a piece is re-encoded, that shows.
    assert check.flawless and check.drift_ms <= RESOLUTION_MS + (0 if same else 0.0005), check
    assert sorted(tmp_path.iterdir()) == [joined, whole]


async def test_a_gap_is_reported_as_for_a_clip_of_one_piece(
    with_gap: tuple[Recording, int], server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    recorded, behind_us = with_gap
    delivered = recorded.camera.delivered
    from_us, to_us = delivered[0] - 2 * US + 333, behind_us + US
    whole, joined = tmp_path / "whole.mp4", tmp_path / "joined.mp4"
    async with Machine.connect(server.address) as machine:
        single = await machine.export(from_us, to_us, whole)
        forwarded.limit_bytes = int(whole.stat().st_size * 0.6)
        clip = await machine.export(from_us, to_us, joined)
    assert clip.ranges is not None and len(clip.ranges) == 2
    assert clip.ranges == single.ranges
    assert same_frames(whole, joined) or max(group_bytes(whole)) > forwarded.limit_bytes / 2
    assert check_clip(read_clip(joined), delivered, from_us, to_us).flawless


async def test_a_relative_range_refers_to_the_clock_of_this_computer(
    recorded: Recording, server: MachineServer, tmp_path: Path
) -> None:
    before_us = now_us()
    ago_s = (before_us - recorded.camera.delivered[RECORDED_S]) // US  # so that there is a frame on a busy machine too
    async with Machine.connect(server.address) as machine:
        clip = await machine.export(f"-{ago_s}s", "now", tmp_path / "clip.mp4")
    after_us = now_us()
    shown = [frame.captured_us for _, frame in read_clip(clip.path) if frame]
    latest_us = next(one for one in recorded.camera.delivered if one >= after_us - ago_s * US)
    assert before_us - ago_s * US <= shown[0] <= latest_us and shown[-1] < after_us


async def test_a_lost_connection_is_made_again(
    recorded: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    from_us, to_us = stored(recorded)
    async with Machine.connect(server.address) as machine:
        server.hang_up()
        clip = await machine.export(from_us, to_us, tmp_path / "clip.mp4")
    assert check_clip(read_clip(clip.path), recorded.camera.delivered, from_us, to_us).flawless


async def test_a_response_can_be_as_large_as_viam_server_allows(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(FETCH_LIMIT_BYTES)
    recorder = FakeRecorder()
    recorder.answers = [{"command": "fetch", "video": base64.b64encode(data).decode()}]
    async with MachineServer([recorder]) as server, Machine.connect(server.address) as machine:
        assert await machine.fetch(0, US, tmp_path / "data") is None
    assert (tmp_path / "data").read_bytes() == data


async def test_an_export_until_the_future_holds_what_there_is_and_says_what_that_is(
    recorded: Recording, server: MachineServer, tmp_path: Path
) -> None:
    from_us, to_us = stored(recorded)
    path = tmp_path / "clip.mp4"
    async with Machine.connect(server.address) as machine:
        exported = await machine.export(from_us, "2200-01-01T00:00:00Z", path)
        with pytest.raises(RequestError, match="'to' timestamp is in the future"):
            await machine.save(from_us, "2200-01-01T00:00:00Z")
    assert exported.ranges is not None and to_us <= exported.ranges[-1].to_us <= now_us() + US
    check = check_clip(read_clip(path), recorded.camera.delivered, from_us, exported.ranges[-1].to_us)
    assert check.flawless, check


# Cancelling


async def test_cancelling_leaves_no_file_no_connection_and_no_task(
    recorded: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    async def export() -> None:
        async with Machine.connect(server.address) as machine:
            await machine.export(*stored(recorded), tmp_path / "clip.mp4", on_progress=hang)

    def hang(_share: float) -> None:
        """The first piece is there: the next one does not come."""
        forwarded.hung = forwarded.hung or hung

    hung = asyncio.Event()
    async with Machine.connect(server.address) as machine:
        await machine.export(*stored(recorded), tmp_path / "whole.mp4")
    forwarded.limit_bytes = (tmp_path / "whole.mp4").stat().st_size * 2 // 3
    (tmp_path / "whole.mp4").unlink()
    await until_closed(server)
    tasks = asyncio.all_tasks()
    exporting = asyncio.create_task(export())
    await asyncio.wait_for(hung.wait(), 150)
    assert list(tmp_path.iterdir()) and server.connections == 1
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting
    assert not list(tmp_path.iterdir())
    await until_closed(server)
    assert {task for task in asyncio.all_tasks() if "server" not in repr(task)} <= tasks
