"""A recorder of B frames that is killed: each frame that is in a file is one of the stream, at its time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import at_most, cut_short
from tests.support.coded_stream import FPS, Coding, code, painted_number
from tests.support.machine import US, Machine
from tests.support.rtsp_camera import RtspCamera
from tests.support.sent_stream import sending, write_stream
from videostore.base.ranges import Range
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.storage.findings import Problem
from videostore.storage.verify import verify_directory
from videostore.store.store import VideoStore


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
    await machine.start_module()
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


@cut_short
async def test_after_sigkill_each_frame_of_open_gops_that_is_counted_can_be_decoded(
    machine: Machine, tmp_path: Path
) -> None:
    """Killed while a file begins, of which the first frames need the file before, and later; and begun again each time
    in the middle of the stream, where nothing is there that the first frames need."""
    pictures = code(Coding("hevc", gop_s=1, b_frames=3, open_gop=True, length_s=20))
    keyframes = [number for number, one in enumerate(pictures) if one.keyframe]
    await asyncio.to_thread(write_stream, tmp_path / "sent.ts", "hevc", pictures[keyframes[1] :])

    def begun(files: int) -> bool:
        """Whether so many files are closed, and another one is there."""
        return bool(list(machine.storage.glob("*.open"))) and len(list(machine.storage.glob("*.mp4"))) >= files

    first = pictures[keyframes[1]].shown
    sent = [one.shown for one in pictures[keyframes[1] :] if one.shown >= first]
    async with sending(tmp_path / "sent.ts") as url:
        for seconds in (0.0, *(0.4 * number for number in range(at_most(6, 0)))):
            before = len(list(machine.storage.glob("*.mp4")))
            await machine.add(camera=None, source=url)
            await machine.until(lambda: begun(before + 2))  # noqa: B023
            await asyncio.sleep(seconds)  # a segment has 2 s
            await machine.parent.kill()
            await machine.start_module()
    await machine.add(camera=None)
    await machine.until(lambda: opened(machine.storage) is None)  # what has no fragment stays for a while
    contents = [read_fragments(one) for one in sorted(machine.storage.glob("*.mp4"))]
    assert any(one.leading for one in contents)
    async with VideoStore.open(machine.storage) as store:
        counted, complete = await store._viewing.frames_us(Range(0, 1 << 62), 10_000)
        runs = {one.comment for one in contents}
        first_us = [min(one.start_us for one in contents if one.comment == run) for run in sorted(runs)]
        report = await verify_directory(machine.storage)
        assert {one.problem for one in report.findings} <= {Problem.BEING_WRITTEN}  # what has no fragment
        assert complete and report.decoded_frames == len(counted) == len(set(counted))
        for from_us, to_us in zip(first_us, [*first_us[1:], counted[-1] + 1], strict=True):
            clip = await store.fetch(from_us, to_us)
            shown = [frame and painted_number(frame.captured_us) for _, frame in read_clip(clip.data)]
            assert shown == sorted(sent[: len(shown)])
            assert len(shown) == sum(from_us <= one < to_us for one in counted)
