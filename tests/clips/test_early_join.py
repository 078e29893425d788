from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.child_processes import running_children
from tests.support.recording import Cutter, clips_of, until
from videostore.base.errors import FFmpegError, RequestError
from videostore.clips.cut_command import CutCommand
from videostore.clips.cutter import ClipCutter
from videostore.clips.early_join import EarlyJoin
from videostore.ffmpeg.late_input import LateInput
from videostore.ffmpeg.process import start_ffmpeg

SECOND_US = 1_000_000


class Late:
    """Runs nothing, and notes which commands were started and how each ended."""

    def __init__(self) -> None:
        self.started: list[CutCommand] = []
        self.ended: list[BaseException | None] = []
        self.lists: list[LateInput] = []

    @contextlib.asynccontextmanager
    async def run(
        self, command: CutCommand, complaints: list[str], late: LateInput
    ) -> AsyncIterator[asyncio.StreamReader]:
        self.started.append(command)
        self.lists.append(late)
        try:
            yield asyncio.StreamReader()
        except BaseException as error:
            self.ended.append(error)
            raise
        else:
            self.ended.append(None)


def command(name: str, late: str | None = "list") -> CutCommand:
    return CutCommand((name,), {}, late)


async def test_one_that_has_the_arguments_of_the_clip_is_used() -> None:
    late = Late()
    early = EarlyJoin(late.run)
    async with early.loading(lambda: _known(command("a", None))):
        await early.loaded()
        assert early.started
        async with early:
            assert await early.output(command("a")) is not None
    assert len(late.started) == 1 and late.ended == [None]


async def test_one_that_has_other_arguments_is_ended_and_another_one_started() -> None:
    late = Late()
    early = EarlyJoin(late.run)
    async with early.loading(lambda: _known(command("a", None))):
        await early.loaded()
        async with early:
            assert await early.output(command("b")) is not None
            assert [one.arguments for one in late.started] == [("a",), ("b",)]
            assert len(late.ended) == 1 and late.ended[0] is not None
    assert late.ended[1:] == [None]


async def test_one_that_is_not_needed_is_ended() -> None:
    late = Late()
    early = EarlyJoin(late.run)
    async with early.loading(lambda: _known(command("a", None))):
        await early.loaded()
        assert await early.output(command("a", None)) is None
        assert len(late.ended) == 1
    async with early.loading(lambda: _known(None)):
        await early.loaded()
        assert not early.started
    assert len(late.started) == 1


async def test_one_that_cannot_be_started_is_no_error_before_it_is_needed() -> None:
    def fail(*_: object) -> Any:
        raise FFmpegError("clip-failed")

    early = EarlyJoin(fail)
    async with early.loading(lambda: _known(command("a", None))):
        await early.loaded()
        assert not early.started
        with pytest.raises(FFmpegError):
            await early.output(command("a"))


async def _known(found: CutCommand | None) -> CutCommand | None:
    return found


@pytest.fixture
def counted(whole: Cutter, binary: str, monkeypatch: pytest.MonkeyPatch) -> tuple[ClipCutter, Callable[[], list[str]]]:
    """Cuts clips of the recording, and the command line of each ffmpeg that was started: one that is ended at once has
    no time to tell it.
    """
    lines: list[str] = []

    async def start(args: Sequence[str], **options: Any) -> asyncio.subprocess.Process:
        lines.append(" ".join(args))
        return await start_ffmpeg(args, **options)

    monkeypatch.setattr("videostore.ffmpeg.process.start_ffmpeg", start)
    return _clips(whole, Path(binary)), lambda: lines


def _clips(whole: Cutter, binary: Path) -> ClipCutter:
    return clips_of(whole.archive, str(binary))


async def allow(*_: int) -> None:
    """Any size."""


async def cut(clips: ClipCutter, from_us: int, to_us: int, *, early: bool = True) -> bytes:
    begun = clips.early("mp4") if early else None
    async with clips.plan(from_us, to_us, allow, early=begun) as plan, clips.temporary(0, plan.work) as path:
        await clips.cut(plan, path, early=begun)
        return path.read_bytes()


async def test_a_clip_that_is_begun_early_takes_one_ffmpeg_and_is_the_same(
    counted: tuple[ClipCutter, Callable[[], list[str]]], times: list[int]
) -> None:
    clips, lines = counted
    clip = await cut(clips, times[0], times[30])
    assert len(lines()) == 1 and "pipe:0" in lines()[0]
    assert check_clip(read_clip(clip), times, times[0], times[30]).flawless
    assert clip == await cut(clips, times[0], times[30], early=False)
    assert "pipe:0" not in lines()[1]


async def test_a_clip_between_two_keyframes_uses_the_ffmpeg_that_was_begun_early(
    counted: tuple[ClipCutter, Callable[[], list[str]]], times: list[int]
) -> None:
    clips, lines = counted
    clip = await cut(clips, times[3], times[30])
    assert len(lines()) == 2 and "pipe:0" in lines()[0]
    assert check_clip(read_clip(clip), times, times[3], times[30]).flawless
    assert clip == await cut(clips, times[3], times[30], early=False)


async def test_a_clip_up_to_the_end_of_the_recording_is_made_by_another_ffmpeg_and_the_next_is_not_begun_early(
    counted: tuple[ClipCutter, Callable[[], list[str]]], times: list[int]
) -> None:
    """Its last frame has no next one, so the length of that is among the arguments."""
    clips, lines = counted
    end_us = times[-1] + SECOND_US
    for number, starts in enumerate((2, 3, 4)):
        clip = await cut(clips, times[0], end_us if number < 2 else times[30])
        assert check_clip(read_clip(clip), times, times[0], end_us if number < 2 else times[30]).flawless
        assert len(lines()) == starts
    await cut(clips, times[0], times[30])
    assert len(lines()) == 5 and "pipe:0" in lines()[4]


async def test_what_is_refused_leaves_no_ffmpeg(
    whole: Cutter, times: list[int], tmp_path: Path, stuck_ffmpeg: Path
) -> None:
    clips = _clips(whole, stuck_ffmpeg)

    async def refuse(*_: int) -> None:
        await until(lambda: bool(psutil.Process().children()))
        raise RequestError("clip-empty")

    early = clips.early("mp4")
    with pytest.raises(RequestError, match="empty"):
        async with clips.plan(times[0], times[30], refuse, early=early):
            pass
    await until(_no_children)


async def test_a_request_that_is_cancelled_leaves_no_ffmpeg(
    whole: Cutter, times: list[int], tmp_path: Path, stuck_ffmpeg: Path
) -> None:
    cutting = asyncio.ensure_future(cut(_clips(whole, stuck_ffmpeg), times[0], times[30]))
    await until(lambda: bool(psutil.Process().children()))
    cutting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cutting
    await until(_no_children)


async def test_an_ffmpeg_that_fails_is_an_error_of_the_clip(whole: Cutter, times: list[int], tmp_path: Path) -> None:
    with pytest.raises(FFmpegError):
        await cut(_clips(whole, Path("/bin/false")), times[0], times[30])
    assert _no_children()


def _no_children() -> bool:
    return not running_children()
