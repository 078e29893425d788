"""The segments of a file that is imported, in `.import` until all of them are whole."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import functools
import itertools
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from videostore.base.constants import CUT_NICENESS, US_PER_SECOND
from videostore.base.files import make_private_directory, sync_file
from videostore.base.ranges import Range
from videostore.base.tasks import end_task, off_loop, run_in_thread
from videostore.clips.progress import CutProgress
from videostore.config.defaults import DEFAULT_PRESET, DEFAULT_SEGMENT_SECONDS
from videostore.ffmpeg.encoder import Encoder, choose_encoder
from videostore.ffmpeg.process import check_version, ffmpeg_output, find_ffmpeg, list_encoders
from videostore.media.file_end import is_cut_off
from videostore.media.fmp4 import read_fragments
from videostore.media.footage import Footage
from videostore.media.fragmented_file import FragmentedFile
from videostore.media.import_tag import write_origin
from videostore.media.segment import Segment
from videostore.media.segment_length import write_length
from videostore.media.segment_names import open_name, parse_open_name
from videostore.recording.import_command import import_command
from videostore.storage.import_stage import STAGE, clear_import
from videostore.store.import_sound import ReadySound, SoundPlaces, UnusableSoundError, prepare_sound

EPOCHS_US = 1000
"""More runs do not begin in the same microsecond."""
ROUNDED_US = 2
"""Times are rounded to microseconds by us and by ffmpeg."""
_ENCODED_FACTOR = 1.5
"""What is encoded gets so many times the bits of its source, so that little of it is lost."""
_LEAST_BITRATE = 1_000_000
_SOUND_NAME = "sound.mp4"
"""Of the file with sound that cannot be copied as it is, beside the segments."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The video of a file, and when it was captured."""

    footage: Footage
    captured: Range
    """From the first frame that can be decoded to the last, UTC."""

    @property
    def offset_us(self) -> int:
        """What has to be added to the times of the file."""
        return self.captured.from_us - self.footage.first_us

    @property
    def starts_us(self) -> list[int]:
        """When its stretches begin."""
        return [one + self.offset_us for one in self.footage.stretches_us]

    @property
    def ends_us(self) -> list[int]:
        """When the last frames before its gaps were captured."""
        return [before + self.offset_us for before, _ in self.footage.gaps_us]

    def runs(self, stored: list[Segment], others: set[int | None]) -> list[int]:
        """The epochs that name the runs, one for each stretch: the time of its first frame, or a little less if another
        run has that.
        """
        known = {one.start_us: one.run_us for one in stored}
        runs, taken = list[int](), set(others)
        for begin_us in self.starts_us:
            run_us = known.get(begin_us) or begin_us
            while run_us in taken:
                run_us -= 1
            runs.append(run_us)
            taken.add(run_us)
        return runs

    def is_complete(self, stored: list[Segment]) -> bool:
        """Whether segments of this file hold all of it."""
        end_us = self.captured.from_us
        starts_us = self.starts_us
        stored_us = sorted(one.start_us for one in stored)
        for one in stored:
            begins = _has_near(starts_us, one.start_us)
            if one.start_us > end_us + self.footage.longest_us and not begins:
                return False
            end_us = max(end_us, one.end_us)
        if not all(_has_near(stored_us, begin_us) for begin_us in starts_us):
            return False
        return bool(stored) and end_us >= self.captured.to_us - 1


def _has_near(times_us: Sequence[int], time_us: int) -> bool:
    """Whether a time is among others, which are sorted, but for rounding."""
    at = bisect.bisect_left(times_us, time_us - ROUNDED_US)
    return at < len(times_us) and times_us[at] <= time_us + ROUNDED_US


class _Finished(NamedTuple):
    place: int
    """Of its stretch."""
    number: int
    """In its run."""
    start_us: int
    frames: int
    target: Path
    """Where it belongs."""


class StagedSegments:
    """Owns what ffmpeg writes of a file into `.import`."""

    def __init__(
        self,
        path: Path,
        directory: Path,
        placed: Placed,
        runs: list[int],
        logger: logging.Logger,
        *,
        sounds: bool,
        is_known: bool,
    ) -> None:
        """`directory` is the storage directory. Without `is_known`, no more is known than how the file begins, and
        `becomes` is told the rest."""
        self._path = path
        self._directory = directory
        self._stage = directory / STAGE
        self._placed = placed
        self._runs = runs
        self._logger = logger
        self._sounds = sounds
        self._sound: ReadySound | None = None
        self._is_known = is_known
        self._more = asyncio.Event()
        self._finished: dict[Path, _Finished] = {}
        self._read: dict[Path, FragmentedFile] = {}
        """What is in the segment behind the last finished one."""
        self._places: SoundPlaces | None = None
        self.silent = ""
        """Why the sound is not stored; empty if it is, or there is none."""
        self.shortfall = ""
        """What is missing of the file; empty if nothing is."""

    def becomes(self, placed: Placed, runs: list[int]) -> bool:
        """Whether what is being written by how the file begins is what it has turned out to be. If so, it is."""
        before, after = self._placed, placed
        same = (
            before.footage.begins_like(after.footage)
            and before.captured.from_us == after.captured.from_us
            and self._runs == runs
            and (not self._sounds or _sounds_alike(before.footage, after.footage))
        )
        if same:
            self._placed, self._is_known = placed, True
            self._more.set()
        return same

    async def write(self, show: Callable[[float], None]) -> None:
        """Write all segments.

        Raises:
            FFmpegError: there is no usable ffmpeg, or it failed.
            OSError: they cannot be written.
        """
        await off_loop(clear_import, self._directory)
        await off_loop(make_private_directory, self._stage)
        binary = await off_loop(find_ffmpeg)
        await check_version(binary)
        footage, made = self._placed.footage, self._stage / _SOUND_NAME
        if self._sounds:
            try:
                self._sound = await prepare_sound(binary, self._path, footage, made, self._logger)
            except UnusableSoundError as error:
                self.silent = str(error)
        command = import_command(
            binary,
            self._path,
            footage,
            encoder=await _encoder(binary, footage),
            directory=self._stage,
            start_us=self._placed.captured.from_us,
            run_us=self._runs[0],
            segment_seconds=DEFAULT_SEGMENT_SECONDS,
            logger=self._logger,
            sound=self._sound.input if self._sound is not None else None,
        )
        complaints: list[str] = []

        def report(share: float) -> None:
            show(share)
            self._more.set()

        finishing = asyncio.create_task(self._finish_written())
        try:
            async with ffmpeg_output(
                command, logger=self._logger, niceness=CUT_NICENESS, complaints=complaints
            ) as output:
                await CutProgress(footage.length_us, report).follow(output)
        finally:
            await end_task(finishing)
        await off_loop(functools.partial(made.unlink, missing_ok=True))
        if await off_loop(is_cut_off, self._path):
            self.shortfall = "is cut off: it is shorter than it says itself"
        elif complaints:
            self.shortfall = f"is damaged or cut off (ffmpeg: {complaints[0]})"

    async def _finish_written(self) -> None:
        """Force segments to stable storage while the next ones are written, and finish them if all is known of the
        file: closing them waits for that otherwise.
        """
        synced = set[Path]()
        with contextlib.suppress(OSError, ValueError):  # finishing the rest tells
            while True:
                await self._more.wait()
                self._more.clear()
                whole = (await off_loop(self._written))[:-1]
                for path in whole:
                    if path not in synced:
                        synced.add(path)
                        await run_in_thread(sync_file, path)
                for path, following in itertools.pairwise(whole if self._is_known else ()):
                    if path not in self._finished:
                        await run_in_thread(self._finish, path, following)
                        await run_in_thread(sync_file, path)

    def _written(self) -> list[Path]:
        return sorted(path for path in self._stage.iterdir() if parse_open_name(path.name))

    def _finish(self, path: Path, following: Path | None) -> None:
        """Write into the next segment what it has to tell. Blocking."""
        placed, content = self._placed, self._read.pop(path, None) or read_fragments(path)
        starts_us, ends_us = placed.starts_us, placed.ends_us
        place = bisect.bisect_right(starts_us, content.start_us + ROUNDED_US) - 1
        before = next(reversed(self._finished.values()), None)
        number = before.number + 1 if before is not None and before.place == place else 0
        write_origin(path, self._runs[place], placed.footage.digest)
        if place < len(ends_us) and content.times_us[-1] >= ends_us[place] - ROUNDED_US:
            write_length(path, content, content.times_us[-1] + max(1, placed.footage.usual_us))
        elif following is not None:
            self._read[following] = read_fragments(following)
            write_length(path, content, self._read[following].start_us)
        if self._places is None:
            self._places = SoundPlaces([one + placed.offset_us for one in self._sound_times_us()])
        self._places.place(path, content)
        target = self._directory / open_name(self._runs[place], number)
        frames = sum(len(one.times_us) for one in content.fragments)
        self._finished[path] = _Finished(place, number, content.start_us, frames, target)

    def publish(self, stored_us: set[int]) -> None:
        """Move what is staged to the directory, without the segments that begin like stored ones. Blocking."""
        for path, following in itertools.zip_longest(written := self._written(), written[1:]):
            if path not in self._finished:
                self._finish(path, following)
        for path, one in self._finished.items():
            if one.start_us not in stored_us and not os.path.lexists(one.target):
                os.rename(path, one.target)
        lost = self._placed.footage.frames - sum(one.frames for one in self._finished.values())
        if lost > 0 and not self.shortfall:
            self.shortfall = f"has {lost} frames that could not be decoded"

    def _sound_times_us(self) -> tuple[int, ...]:
        """When the packets of sound that are stored begin, by the clock of the file."""
        if self._sound is None:
            return ()
        sound = self._placed.footage.sound
        if self._sound.input.path is not None or sound is None:
            return self._sound.times_us
        return sound.beginning(self._placed.footage.first_us)[0].times_us


def _sounds_alike(one: Footage, other: Footage) -> bool:
    if one.sound is None or other.sound is None:
        return one.sound is other.sound
    return one.sound.begins_like(other.sound, one.first_us)


async def _encoder(binary: str, footage: Footage) -> Encoder:
    if not footage.uncopyable:
        return Encoder.copy()
    length_s = max(1.0, footage.length_us / US_PER_SECOND)
    bitrate = max(_LEAST_BITRATE, round(8 * footage.size_bytes / length_s * _ENCODED_FACTOR))
    name = choose_encoder("h264", await list_encoders(binary))
    return Encoder(name, bitrate, DEFAULT_PRESET, max(1, round(footage.frames / length_s)))
