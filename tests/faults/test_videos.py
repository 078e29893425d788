"""Videos that are sent while the recording goes on: many at once, and clients that leave at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpclib import GRPCError
from viam.proto.service.video import GetVideoRequest
from viam.utils import dict_to_struct

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import at_most, cut_short
from tests.support.machine import NAME, US, Machine
from videostore.clips.workspace import WORK_DIRECTORY

VIDEO = "video"


def at(time_us: int) -> Timestamp:
    return Timestamp(seconds=time_us // US, nanos=time_us % US * 1000)


async def recorded(machine: Machine) -> int:
    """Record 7 s with a video service. Returns when the first frame was captured."""
    await machine.add()
    machine.parent.videos.add(VIDEO)
    await machine.parent.add(VIDEO, {"recorder": NAME})
    await machine.record(7)
    from_us = machine.camera.delivered[0]
    await machine.recorded_until(from_us + 6 * US)
    return from_us


async def assert_undisturbed(machine: Machine, from_us: int, children: int) -> None:
    """Check that nothing is left of the videos, and that no frame was lost."""
    to_us = machine.camera.delivered[-1]
    await machine.until(
        lambda: len(machine.parent.children()) <= children and not list(machine.storage.glob(f"{WORK_DIRECTORY}/*"))
    )
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and "ranges" not in answer, check
    status = await machine.status()
    assert (status["recording"], status["ffmpeg_restarts"], status["dropped_frames"]) == (True, 0, 0)


async def test_many_videos_at_once_are_exact_and_cost_the_recording_nothing(machine: Machine) -> None:
    from_us = await recorded(machine)
    children = len(machine.parent.children())

    async def video(number: int) -> None:
        begin_us, end_us = from_us + number * 40_000, from_us + 5 * US + number * 40_000
        container = ("mp4", "fmp4")[number % 2]
        asked = GetVideoRequest(
            name=VIDEO, start_timestamp=at(begin_us), end_timestamp=at(end_us), video_container=container
        )
        clip = b"".join([one.video_data for one in await machine.parent.video().GetVideo(asked, timeout=120)])
        check = check_clip(await asyncio.to_thread(read_clip, clip), machine.camera.delivered, begin_us, end_us)
        assert check.flawless, (container, check)

    await asyncio.gather(*map(video, range(8)))
    await assert_undisturbed(machine, from_us, children)


@cut_short
async def test_clients_that_leave_at_any_moment_leave_nothing_behind(machine: Machine) -> None:
    from_us = await recorded(machine)
    children, dice = len(machine.parent.children()), random.Random(5)
    kinds: list[dict[str, Any]] = [
        {"video_container": "mp4", "end_timestamp": at(from_us + 5 * US)},
        {"video_container": "fmp4", "end_timestamp": at(from_us + 5 * US)},
        {"extra": dict_to_struct({"follow": True})},
    ]

    async def video(number: int) -> None:
        asked = GetVideoRequest(name=VIDEO, start_timestamp=at(from_us), **kinds[number % 3])
        async with machine.parent.video().GetVideo.open(timeout=120) as stream:
            await stream.send_message(asked, end=True)
            while await stream.recv_message() is not None:
                pass

    for number in range(at_most(24, 12)):
        sending = asyncio.ensure_future(video(number))
        await asyncio.wait([sending], timeout=dice.uniform(0, 0.4))
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, GRPCError):
            await sending
    await assert_undisturbed(machine, from_us, children)
