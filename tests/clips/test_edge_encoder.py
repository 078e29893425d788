from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.foreign_recording import CODINGS, FPS, FRAME_US, write_foreign_video
from tests.support.recording import LOGGER, START_US, US, Cutter
from videostore.base.errors import FFmpegError
from videostore.clips import edge_encoder
from videostore.clips.cut_command import CutCommand
from videostore.clips.edge_encoder import EdgeEncoder
from videostore.clips.pieces import Pieces, pieces_of
from videostore.ffmpeg.process import run_ffmpeg

BEGIN_US = START_US // US * US
OpenOver = Callable[[Path], Awaitable[Cutter]]


async def pieces(cutter: OpenOver, directory: Path, coding: str, from_us: int, to_us: int) -> Pieces:
    times = [BEGIN_US + n * FRAME_US for n in range(40)]
    await write_foreign_video(directory / f"{BEGIN_US // US}.mp4", times, CODINGS[coding])
    clips = (await cutter(directory)).clips
    async with clips.plan(BEGIN_US + from_us, BEGIN_US + to_us) as plan:
        return pieces_of(plan.parts)


class Commands:
    """Runs commands, and keeps their names."""

    def __init__(self, binary: str) -> None:
        self.binary = binary
        self.outputs: list[str] = []
        self.running = self.most = 0

    async def run(self, command: CutCommand) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for path, text in command.files.items():
                path.write_text(text)
            self.outputs += [Path(one).name for one in command.arguments if one.endswith(".mp4")]
            await run_ffmpeg([self.binary, "-v", "error", "-y", *command.arguments])
        finally:
            self.running -= 1


async def test_nothing_runs_for_a_clip_without_edges(cutter: OpenOver, tmp_path: Path, binary: str) -> None:
    found = await pieces(cutter, tmp_path / "storage", "h264 baseline", 0, 10 * US)
    commands = Commands(binary)
    joinable = await EdgeEncoder(None, LOGGER).encode(found, tmp_path, commands.run)
    assert joinable is not None and joinable.files == list(found.body) and commands.outputs == []


class Failing:
    """Runs no command: each fails."""

    def __init__(self, error: FFmpegError | None = None) -> None:
        self.tried: list[CutCommand] = []
        self.error = error or FFmpegError("clip-failed")

    async def run(self, command: CutCommand) -> None:
        self.tried.append(command)
        raise self.error


async def test_if_no_way_of_encoding_works_the_clip_is_reencoded_and_none_is_tried_again(
    whole: Cutter, times: list[int], tmp_path: Path
) -> None:
    failing = Failing()
    encoder = EdgeEncoder(None, LOGGER)
    async with whole.clips.plan(times[3], times[30]) as plan:
        for _ in range(2):
            assert await encoder.encode(pieces_of(plan.parts), tmp_path, failing.run) is None
    assert len(failing.tried) == 2


@pytest.mark.parametrize(
    ("code", "reason"), [(-9, "it gave no reason"), (228, "[out#0/mp4] Error writing trailer: No space left on device")]
)
async def test_a_killed_ffmpeg_and_a_full_disk_tell_nothing_about_the_way(
    whole: Cutter, times: list[int], tmp_path: Path, binary: str, code: int, reason: str
) -> None:
    killed = Failing(FFmpegError("ffmpeg-failed", exit_code=code, reason=reason))
    encoder, commands = EdgeEncoder(None, LOGGER), Commands(binary)
    async with whole.clips.plan(times[3], times[30]) as plan:
        assert await encoder.encode(pieces_of(plan.parts), tmp_path, killed.run) is None
        assert await encoder.encode(pieces_of(plan.parts), tmp_path, commands.run) is not None


async def test_a_way_that_has_worked_is_not_forgotten_when_it_fails(
    whole: Cutter, times: list[int], tmp_path: Path, binary: str
) -> None:
    encoder, commands = EdgeEncoder(None, LOGGER), Commands(binary)
    async with whole.clips.plan(times[3], times[30]) as plan:
        assert await encoder.encode(pieces_of(plan.parts), tmp_path, commands.run) is not None
        assert await encoder.encode(pieces_of(plan.parts), tmp_path, Failing().run) is None
        assert await encoder.encode(pieces_of(plan.parts), tmp_path, commands.run) is not None


async def test_after_damage_was_found_the_ways_that_failed_are_tried_again(
    whole: Cutter, times: list[int], tmp_path: Path
) -> None:
    failing = Failing()
    encoder = EdgeEncoder(None, LOGGER)
    async with whole.clips.plan(times[3], times[30]) as plan:
        await encoder.encode(pieces_of(plan.parts), tmp_path, failing.run)
        encoder.forget_failures()
        await encoder.encode(pieces_of(plan.parts), tmp_path, failing.run)
    assert len(failing.tried) == 4


async def test_the_way_that_worked_is_taken_at_once_the_next_time(
    cutter: OpenOver, tmp_path: Path, binary: str
) -> None:
    directory = tmp_path / "storage"
    times = [BEGIN_US + n * FRAME_US for n in range(40)]
    # In the unit of time of the stream itself, as an own recording has it.
    coding = CODINGS["h264 B frames"] | {"video_track_timescale": str(FPS)}
    await write_foreign_video(directory / f"{BEGIN_US // US}.mp4", times, coding)
    clips = (await cutter(directory)).clips
    commands, encoder = Commands(binary), EdgeEncoder(None, LOGGER)
    async with clips.plan(times[3], times[33]) as plan:
        for _ in range(2):
            joinable = await encoder.encode(pieces_of(plan.parts), tmp_path, commands.run)
            assert joinable is not None and len(joinable.files) == 3
    assert commands.most == 2
    assert [name.partition("-")[2] for name in commands.outputs] == ["same-sets.mp4"] * 2 + ["more-sets.mp4"] * 4


async def test_when_it_is_cancelled_no_command_runs_on(whole: Cutter, times: list[int], tmp_path: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(command: CutCommand) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with whole.clips.plan(times[3], times[30]) as plan:
        encoding = asyncio.ensure_future(EdgeEncoder(None, LOGGER).encode(pieces_of(plan.parts), tmp_path, hang))
        await started.wait()
        encoding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await encoding
    assert ended.is_set()


@contextlib.asynccontextmanager
async def begun(cutter: OpenOver, directory: Path, coding: str) -> AsyncIterator[Pieces]:
    """The pieces of a clip with a head alone, as long as they are there."""
    times = [BEGIN_US + n * FRAME_US for n in range(40)]
    await write_foreign_video(directory / f"{BEGIN_US // US}.mp4", times, CODINGS[coding])
    async with (await cutter(directory)).clips.plan(BEGIN_US + 150_000, BEGIN_US + 250_000) as plan:
        yield pieces_of(plan.parts)


async def test_for_headers_a_frame_of_each_kind_is_encoded_once_and_a_few_are_kept(
    cutter: OpenOver, tmp_path: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_encoder, "KEPT_SAMPLES", 1)
    commands, encoder, made = Commands(binary), EdgeEncoder(None, LOGGER), []
    async with (
        begun(cutter, tmp_path / "one", "h264 baseline") as one,
        begun(cutter, tmp_path / "other", "h264 10 bit") as other,
    ):
        for number, (pieces, runs) in enumerate([(one, 1), (one, 1), (other, 2), (other, 2), (one, 3)]):
            work = tmp_path / f"work {number}"
            work.mkdir()
            joinable = await encoder.encode(pieces, work, commands.run, for_header=True)
            assert joinable is not None and len(commands.outputs) == runs
            made.append(Path(joinable.files[0].path).read_bytes())
        await encoder.encode(one, tmp_path, commands.run)
        assert len(commands.outputs) == 4, "what is shown is encoded"
    assert made[0] == made[1] != made[2] == made[3]


async def test_a_frame_that_is_too_large_is_not_kept(
    cutter: OpenOver, tmp_path: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_encoder, "_SAMPLE_BYTES", 100)
    commands, encoder = Commands(binary), EdgeEncoder(None, LOGGER)
    async with begun(cutter, tmp_path / "storage", "h264 baseline") as found:
        for _ in range(2):
            assert await encoder.encode(found, tmp_path, commands.run, for_header=True) is not None
    assert len(commands.outputs) == 2
