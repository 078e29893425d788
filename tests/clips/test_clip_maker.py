from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.child_processes import running_children
from tests.support.recording import H265, Cutter, capture_times, record, take_over, until
from videostore.base.errors import FFmpegError
from videostore.clips.clip_maker import ClipMaker, ClipOrder
from videostore.clips.progress import CutProgress
from videostore.ffmpeg.ending import was_ended
from videostore.ffmpeg.process import check_version, told_version

LOGGER = logging.getLogger("test")
OpenOver = Callable[[Path], Awaitable[Cutter]]


@pytest.fixture
def watched_ffmpeg(tmp_path: Path, binary: str) -> tuple[Path, Path]:
    """An ffmpeg that writes each of its command lines into a file when it starts."""
    lines, script = tmp_path / "commands", tmp_path / "watched"
    script.write_text(f'#!/bin/sh\necho "$*" >>"{lines}"\nexec "{binary}" "$@"\n')
    script.chmod(0o755)
    return script, lines


async def made(maker: ClipMaker, cutter: Cutter, from_us: int, to_us: int, output: Path) -> None:
    async with cutter.clips.plan(from_us, to_us) as plan:
        assert plan.work is not None
        order = ClipOrder(str(output), "mp4", "", plan.work)
        await maker.make(plan, CutProgress(plan.ffmpeg_us), order)


def commands(lines: Path) -> list[str]:
    return lines.read_text().splitlines()


async def test_what_joins_the_pieces_is_started_before_the_edges_are_encoded(
    whole: Cutter, times: list[int], tmp_path: Path, watched_ffmpeg: tuple[Path, Path]
) -> None:
    ffmpeg, lines = watched_ffmpeg
    maker, output = ClipMaker(str(ffmpeg), LOGGER, "door", None), tmp_path / "clip.mp4"
    await made(maker, whole, times[3], times[30], output)
    joins, heads = ([word in one for one in commands(lines)] for word in ("pipe:0", "head"))
    assert joins.index(True) < 2 and sum(joins) == sum(heads) == 1
    assert check_clip(read_clip(output), times, times[3], times[30]).flawless


async def test_a_clip_from_a_keyframe_takes_one_ffmpeg(
    whole: Cutter, times: list[int], tmp_path: Path, watched_ffmpeg: tuple[Path, Path]
) -> None:
    ffmpeg, lines = watched_ffmpeg
    output = tmp_path / "clip.mp4"
    await made(ClipMaker(str(ffmpeg), LOGGER, "door", None), whole, times[0], times[30], output)
    assert len(commands(lines)) == 1
    assert check_clip(read_clip(output), times, times[0], times[30]).flawless


async def test_frames_wait_to_be_written_where_ffmpeg_can_do_that(
    whole: Cutter, times: list[int], tmp_path: Path, watched_ffmpeg: tuple[Path, Path]
) -> None:
    ffmpeg, lines = watched_ffmpeg
    await check_version(str(ffmpeg))
    version = await told_version(str(ffmpeg))
    assert version is not None
    output = tmp_path / "clip.mp4"
    await made(ClipMaker(str(ffmpeg), LOGGER, "door", None), whole, times[0], times[30], output)
    (joining,) = (one for one in commands(lines) if "pipe:0" in one or "list.txt" in one)
    assert ("-thread_queue_size 128 " in joining) == (version >= (6, 0))
    assert check_clip(read_clip(output), times, times[0], times[30]).flawless


async def test_if_the_pieces_do_not_join_the_ffmpeg_that_waits_for_them_is_ended(
    whole: Cutter, times: list[int], tmp_path: Path, binary: str
) -> None:
    """Nothing fits to a recording, as if every attempt had failed before."""
    maker, output = ClipMaker(binary, LOGGER, "door", None), tmp_path / "clip.mp4"
    await made(maker, whole, times[3], times[30], output)
    output.unlink()
    script = tmp_path / "no-edges"
    script.write_text(f'#!/bin/sh\ncase "$*" in */head-*) exit 1;; esac\nexec "{binary}" "$@"\n')
    script.chmod(0o755)
    await made(ClipMaker(str(script), LOGGER, "door", None), whole, times[3], times[30], output)
    assert check_clip(read_clip(output), times, times[3], times[30]).flawless
    assert no_children()


async def test_h265_whose_tag_is_certain_only_later_is_joined_as_well(
    cutter: OpenOver, tmp_path: Path, binary: str
) -> None:
    times = capture_times(4)
    await record(tmp_path / "storage", times, encoder=H265)
    await take_over(tmp_path / "storage")
    opened, maker = await cutter(tmp_path / "storage"), ClipMaker(binary, LOGGER, "door", H265)
    for number in range(2):  # the second time it is known what fits
        output = tmp_path / f"clip{number}.mp4"
        await made(maker, opened, times[3], times[30], output)
        assert check_clip(read_clip(output), times, times[3], times[30]).flawless


async def test_an_ffmpeg_that_cannot_be_run_is_an_error_and_leaves_none(
    whole: Cutter, times: list[int], tmp_path: Path
) -> None:
    for first in (0, 3):
        with pytest.raises(FFmpegError):
            await made(
                ClipMaker("/bin/false", LOGGER, "door", None), whole, times[first], times[30], tmp_path / "x.mp4"
            )
    assert no_children()


async def test_a_cancelled_clip_ends_the_ffmpeg_that_waits(
    whole: Cutter, times: list[int], tmp_path: Path, stuck_ffmpeg: Path
) -> None:
    making = asyncio.ensure_future(
        made(ClipMaker(str(stuck_ffmpeg), LOGGER, "door", None), whole, times[3], times[30], tmp_path / "x.mp4")
    )
    await until(lambda: len(psutil.Process().children()) > 1)  # both wait: for the list, and for its turn
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    await until(no_children)


def no_children() -> bool:
    return not running_children()


def reading_ffmpegs() -> list[psutil.Process]:
    """The ffmpegs of this process that would end by a signal as they are built to: they open their inputs, or read."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, OSError):
            caught = next(
                line for line in Path(f"/proc/{child.pid}/status").read_text().splitlines() if "SigCgt" in line
            )
            if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1 and "ffmpeg" in child.name():
                found.append(child)
    return found


async def test_that_a_signal_ended_ffmpeg_before_it_began_is_told(
    whole: Cutter, times: list[int], tmp_path: Path, binary: str
) -> None:
    maker, output = ClipMaker(binary, LOGGER, "door", None), tmp_path / "clip.mp4"
    async with whole.clips.plan(times[0], times[30]) as plan:
        assert plan.work is not None
        order, early = ClipOrder(str(output), "mp4", "", plan.work), maker.early()
        async with early.loading(functools.partial(maker.expected, order)):
            await early.loaded()
            await until(reading_ffmpegs)
            reading_ffmpegs()[0].terminate()
            with pytest.raises(FFmpegError) as error:
                await maker.make(plan, CutProgress(plan.ffmpeg_us), order, early)
    cause = error.value.__cause__
    assert error.value.code == "clip-failed" and isinstance(cause, FFmpegError) and was_ended(cause), cause


async def test_a_stream_whose_ffmpeg_a_signal_ends_is_never_an_empty_one(whole: Cutter, times: list[int]) -> None:
    async def end_it() -> None:
        await until(reading_ffmpegs)
        for process in reading_ffmpegs():
            process.terminate()

    for _ in range(5):
        ending = asyncio.create_task(end_it())
        async with whole.clips.plan(times[0], times[-1]) as plan:
            with pytest.raises(FFmpegError):
                async for _ in whole.clips.stream(plan):
                    await ending
        await ending
