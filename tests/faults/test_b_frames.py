"""A recorder of B frames that is killed: each frame that is in a file is one of the stream, at its time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.coded_stream import FPS, Coding, code, painted_number
from tests.support.machine import US, Machine
from tests.support.rtsp_camera import RtspCamera
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.storage.verify import verify_directory


def opened(storage: Path) -> FragmentedFile | None:
    """What is in the file that is being written."""
    for path in storage.glob("*.open"):
        with contextlib.suppress(NotOursError, FileNotFoundError):
            return read_fragments(path)
    return None


@pytest.mark.parametrize("gop_s", [1, 20])
async def test_after_sigkill_what_is_stored_of_b_frames_is_exact(machine: Machine, gop_s: int) -> None:
    """SIGKILL for the module and its ffmpeg at the same time, inside a GOP."""
    pictures = code(Coding("h264", gop_s=gop_s, b_frames=3))
    async with RtspCamera(pictures) as camera:
        await machine.add(camera=None, source=camera.url, storage={"segment_seconds": 30})

        def recorded() -> bool:
            content = opened(machine.storage)
            return content is not None and content.complete_until_us > content.start_us + 3 * US

        await machine.until(recorded)
        await machine.parent.kill()
    content = opened(machine.storage)
    assert content is not None and content.is_reordered
    await machine.parent.start_module()
    await machine.add(camera=None)
    await machine.until(lambda: not list(machine.storage.glob("*.open")))
    times = content.times_us
    answer = await machine.command("fetch", from_us=times[0], to_us=times[-1] + 1)
    shown = await asyncio.to_thread(read_clip, base64.b64decode(answer["video"]))
    assert [frame and painted_number(frame.captured_us) for _, frame in shown] == sorted(
        one.shown for one in pictures[: len(times)]
    )
    distances = [painted * US / FPS for painted in sorted(one.shown for one in pictures[: len(times)])]
    moved = [time_us - times[0] - distance for time_us, distance in zip(times, distances, strict=True)]
    assert max(map(abs, moved)) < US / FPS
    report = await verify_directory(machine.storage)
    assert not report.findings and report.decoded_frames == len(times)
