"""Takes the video of a file into a storage directory, under the time at which it was captured.

ffmpeg writes it as segments into `.import` in the storage directory. When all of them are whole, they move to the
directory and are closed like those of a recorder, so an interruption leaves nothing of a file, or all of it.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import functools
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from videostore.base.clock import SystemClock
from videostore.base.constants import CLOCK_LEEWAY_US, CUT_NICENESS, US_PER_SECOND
from videostore.base.errors import ConfigError, RequestError, VideoStoreError, reason_of
from videostore.base.files import AnyPath, as_path, make_private_directory, sync_file
from videostore.base.ranges import Range
from videostore.base.tasks import end_task, finish_despite_cancellation, off_loop, run_in_thread
from videostore.base.time_parsing import Moment, moment_us
from videostore.clips.progress import CutProgress, OnProgress
from videostore.config.defaults import (
    DEFAULT_PRESET,
    DEFAULT_SEGMENT_SECONDS,
    MAX_SIZE_GB,
)
from videostore.ffmpeg.encoder import Encoder, choose_encoder
from videostore.ffmpeg.process import check_version, ffmpeg_output, find_ffmpeg, list_encoders
from videostore.media.file_end import is_cut_off
from videostore.media.fmp4 import read_fragments
from videostore.media.footage import Footage, survey
from videostore.media.import_tag import read_import, write_run
from videostore.media.segment import Segment
from videostore.media.segment_length import write_length
from videostore.media.segment_names import open_name
from videostore.media.stated_time import stated_start_us
from videostore.recording.import_command import import_command
from videostore.storage.archive import Archive
from videostore.storage.import_stage import STAGE, clear_import
from videostore.storage.segment_files import list_directory
from videostore.store.import_place import check_place, opened
from videostore.store.import_sound import ReadySound, UnusableSoundError, place_sounds, prepare_sound
from videostore.store.results import ImportedFile

_SURVEY_SHARE = 0.3
"""Of the progress: the file is read once to learn what it holds, and once to store it."""
_ENCODED_FACTOR = 1.5
"""What is encoded gets so many times the bits of its source, so that little of it is lost."""
_LEAST_BITRATE = 1_000_000
_SOUND_NAME = "sound.mp4"
"""Of the file with sound that cannot be copied as it is, beside the segments."""
_EVER_US = 1 << 62
_EPOCHS_US = 1000
"""More runs do not begin in the same microsecond."""
_ROUNDED_US = 2
"""Times are rounded to microseconds by us and by ffmpeg."""


async def import_file(
    file: AnyPath,
    directory: AnyPath,
    *,
    start: Moment | None = None,
    size_gb: float | None = None,
    sound: bool = True,
    on_progress: OnProgress | None = None,
    logger: logging.Logger | None = None,
) -> ImportedFile:
    """Store the video of a file under the time at which it was captured, as fast as the disk can, and its sound.

    `sound=False` leaves the sound out. `start` is when the first frame of the file was captured; without it, the file
    has to tell that. `size_gb` is the quota of the directory, which must hold everything; it is needed for the
    directory of a recorder.

    Raises:
        RequestError: the file cannot be imported, or when it was captured is not certain.
        NoRoomError: there is no room for it on the disk, or within the quota.
        FFmpegError: there is no usable ffmpeg, or it failed.
        VideoStoreError: the directory cannot be used.
    """
    clock = SystemClock()
    path, target = as_path(file), as_path(directory)
    if size_gb is not None and not 0 < size_gb <= MAX_SIZE_GB:
        expected = f"a number of GiB greater than 0 and at most {MAX_SIZE_GB:.0f}"
        raise ConfigError("attribute-wrong", attribute="storage.size_gb", value=size_gb, expected=expected)
    start_us = None if start is None else moment_us(start, "start", now_us=clock.wall_us())
    show = on_progress or (lambda _: None)
    footage = await _surveyed(path, lambda share: show(share * _SURVEY_SHARE))
    if start_us is None:
        start_us = await run_in_thread(stated_start_us, path, footage.tags, footage.length_us, clock.wall_us())
    captured = Range(start_us + footage.first_us - footage.begin_us, start_us + footage.last_us - footage.begin_us + 1)
    if captured.to_us > clock.wall_us() + CLOCK_LEEWAY_US:
        raise RequestError("import-in-future", path=path, captured=captured)
    logger = logger or logging.getLogger("videostore")
    try:
        async with opened(target, logger) as archive:
            work = _Import(path, footage, captured, archive, logger, sound=sound)
            return await work.store(size_gb, lambda share: show(_SURVEY_SHARE + share * (1 - _SURVEY_SHARE)))
    except (OSError, sqlite3.Error) as error:
        raise VideoStoreError("storage-unusable", path=target, reason=reason_of(error)) from error


async def _surveyed(path: Path, show: Callable[[float], None]) -> Footage:
    loop, over = asyncio.get_running_loop(), threading.Event()

    def report(share: float) -> None:
        loop.call_soon_threadsafe(show, share)

    reading = loop.run_in_executor(None, survey, path, report, over.is_set)
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        over.set()
        await asyncio.wait([reading])
        raise


class _Import:
    """One file on its way into an archive."""

    def __init__(
        self, path: Path, footage: Footage, captured: Range, archive: Archive, logger: logging.Logger, *, sound: bool
    ) -> None:
        self._path = path
        self._footage = footage
        self._captured = captured
        self._archive = archive
        self._logger = logger
        self._stage = archive.directory / STAGE
        self._shortfall = self._silent = ""
        self._sounds = sound
        self._sound: ReadySound | None = None

    async def store(self, size_gb: float | None, show: Callable[[float], None]) -> ImportedFile:
        """Write the segments that are not stored yet, within a quota."""
        around = await self._archive.index.select(self._captured.from_us, self._captured.to_us)
        stored, others = await off_loop(self._divide, around)
        known = self._is_complete(stored)
        if not known:
            await self._check_start()
            sound = self._footage.sound
            sound_bytes = sound.size_bytes if sound is not None and self._sounds else 0
            await check_place(self._archive, self._path, self._footage.size_bytes + sound_bytes, size_gb)
            await off_loop(clear_import, self._archive.directory)
            try:
                runs = self._runs(stored, others)
                await self._write(runs[0], show)
                await finish_despite_cancellation(self._publish({one.start_us for one in stored}, runs))
            finally:
                await run_in_thread(clear_import, self._archive.directory)
        footage, offset_us = self._footage, self._captured.from_us - self._footage.first_us
        return ImportedFile(
            path=self._path,
            captured=Range(self._captured.from_us, await self._end_us()),
            frames=footage.frames,
            known=known,
            reencoded=footage.uncopyable,
            skipped_frames=footage.skipped,
            gaps=tuple(Range(before + offset_us, after + offset_us) for before, after in footage.gaps_us),
            longest_interval_us=footage.longest_us,
            has_sound=footage.sound is not None,
            silent=self._silent,
            shortfall=self._shortfall,
        )

    async def _check_start(self) -> None:
        """Refuse a file that is stored under another time.

        Raises:
            RequestError: it is.
        """
        every = await self._archive.index.select(0, _EVER_US)
        earlier_us = await off_loop(self._other_start, every)
        if earlier_us is not None:
            raise RequestError(
                "import-elsewhere", path=self._path, stored_us=earlier_us, start_us=self._captured.from_us
            )

    def _other_start(self, every: list[Segment]) -> int | None:
        """When another import of this file begins; None if there is none. Blocking.

        Its runs tell: their epochs are the times at which its stretches begin, or a little less.
        """
        starts_us, _ = self._stretches
        for one in every:
            if read_import(self._archive.directory / one.file_name) == self._footage.digest:
                run_us = one.start_us if one.run_us is None else one.run_us
                if all(not -_ROUNDED_US <= start_us - run_us <= _EPOCHS_US for start_us in starts_us):
                    return one.start_us
        return None

    def _runs(self, stored: list[Segment], others: set[int | None]) -> list[int]:
        """The epochs that name the runs, one for each stretch: the time of its first frame, or a little less if another
        run has that.
        """
        known = {one.start_us: one.run_us for one in stored}
        runs = list[int]()
        for begin_us in self._stretches[0]:
            run_us = known.get(begin_us) or begin_us
            while run_us in others or run_us in runs:
                run_us -= 1
            runs.append(run_us)
        return runs

    def _divide(self, around: list[Segment]) -> tuple[list[Segment], set[int | None]]:
        """What is stored of this file, and the runs of what is stored of others at that time. Blocking."""
        stored, others = list[Segment](), set[int | None]()
        for one in sorted(around, key=lambda one: one.start_us):
            if read_import(self._archive.directory / one.file_name) == self._footage.digest:
                stored.append(one)
            else:
                others.add(one.run_us)
        return stored, others

    def _is_complete(self, stored: list[Segment]) -> bool:
        """Whether segments of this file hold all of it."""
        end_us = self._captured.from_us
        starts_us, _ = self._stretches
        for one in stored:
            begins = any(abs(one.start_us - begin_us) <= _ROUNDED_US for begin_us in starts_us)
            if one.start_us > end_us + self._footage.longest_us and not begins:
                return False
            end_us = max(end_us, one.end_us)
        if any(all(abs(one.start_us - begin_us) > _ROUNDED_US for one in stored) for begin_us in starts_us):
            return False
        return bool(stored) and end_us >= self._captured.to_us - 1

    async def _write(self, run_us: int, show: Callable[[float], None]) -> None:
        await off_loop(make_private_directory, self._stage)
        binary = await off_loop(find_ffmpeg)
        await check_version(binary)
        footage = self._footage
        encoder = Encoder.copy()
        if footage.uncopyable:
            length_s = max(1.0, footage.length_us / US_PER_SECOND)
            bitrate = max(_LEAST_BITRATE, round(8 * footage.size_bytes / length_s * _ENCODED_FACTOR))
            name = choose_encoder("h264", await list_encoders(binary))
            encoder = Encoder(name, bitrate, DEFAULT_PRESET, max(1, round(footage.frames / length_s)))
        made = self._stage / _SOUND_NAME
        if self._sounds:
            try:
                self._sound = await prepare_sound(binary, self._path, footage, made, self._logger)
            except UnusableSoundError as error:
                self._silent = str(error)
        command = import_command(
            binary,
            self._path,
            footage,
            encoder=encoder,
            directory=self._stage,
            start_us=self._captured.from_us,
            run_us=run_us,
            segment_seconds=DEFAULT_SEGMENT_SECONDS,
            logger=self._logger,
            sound=self._sound.input if self._sound is not None else None,
        )
        complaints: list[str] = []
        more = asyncio.Event()

        def report(share: float) -> None:
            show(share)
            more.set()

        syncing = asyncio.create_task(self._sync_written(more))
        try:
            async with ffmpeg_output(
                command, logger=self._logger, niceness=CUT_NICENESS, complaints=complaints
            ) as output:
                await CutProgress(footage.length_us, report).follow(output)
        finally:
            await end_task(syncing)
        await off_loop(functools.partial(made.unlink, missing_ok=True))
        if await off_loop(is_cut_off, self._path):
            self._shortfall = "is cut off: it is shorter than it says itself"
        elif complaints:
            self._shortfall = f"is damaged or cut off (ffmpeg: {complaints[0]})"

    async def _sync_written(self, more: asyncio.Event) -> None:
        """Force segments to stable storage while the next ones are written: closing them waits for that otherwise."""
        synced = set[str]()
        while True:
            await more.wait()
            more.clear()
            for name in sorted(await off_loop(os.listdir, self._stage))[:-1]:
                if name not in synced:
                    synced.add(name)
                    with contextlib.suppress(OSError):  # closing it tells
                        await run_in_thread(sync_file, self._stage / name)

    async def _publish(self, stored_us: set[int], runs: list[int]) -> None:
        """Move the segments to the directory and close them, but for those that are there already."""
        archive = self._archive
        await off_loop(self._take_stage, stored_us, runs)
        opened, _ = await off_loop(list_directory, archive.directory)
        for name in sorted(opened):
            await archive.take_open(archive.directory / name)

    @property
    def _stretches(self) -> tuple[list[int], list[int]]:
        """When its stretches begin, and when the last frames before its gaps were captured."""
        offset_us = self._captured.from_us - self._footage.first_us
        starts_us = [one + offset_us for one in self._footage.stretches_us]
        return starts_us, [before + offset_us for before, _ in self._footage.gaps_us]

    def _take_stage(self, stored_us: set[int], runs: list[int]) -> None:
        """Move what is staged to the directory, without the segments that begin like stored ones. Blocking."""
        frames, place, number = 0, -1, 0
        starts_us, ends_us = self._stretches
        staged = sorted(self._stage.iterdir())
        if self._sound is not None:
            offset_us = self._captured.from_us - self._footage.first_us
            place_sounds(staged, [one + offset_us for one in self._sound.times_us])
        for path in staged:
            content = read_fragments(path)
            frames += len(content.times_us)
            begun = bisect.bisect_right(starts_us, content.start_us + _ROUNDED_US) - 1
            place, number = begun, number + 1 if begun == place else 0
            run_us = runs[place]
            if place > 0:
                write_run(path, run_us)
            if place < len(ends_us) and content.times_us[-1] >= ends_us[place] - _ROUNDED_US:
                write_length(path, content, content.times_us[-1] + max(1, self._footage.usual_us))
            target = self._archive.directory / open_name(run_us, number)
            if content.start_us not in stored_us and not os.path.lexists(target):
                os.rename(path, target)
        lost = self._footage.frames - frames
        if lost > 0 and not self._shortfall:
            self._shortfall = f"has {lost} frames that could not be decoded"

    async def _end_us(self) -> int:
        found = await self._archive.index.select(self._captured.from_us, self._captured.to_us)
        stored, _ = await off_loop(self._divide, found)
        return max((one.end_us for one in stored), default=self._captured.to_us)
