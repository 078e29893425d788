"""Takes the video of a file into a storage directory, under the time at which it was captured.

ffmpeg writes it as segments into `.import` in the storage directory (`StagedSegments`), as a rule while the file is
still being read to learn what it holds. When all of them are whole, they move to the directory, one after the other,
and are closed like those of a recorder. So an interruption before that leaves nothing of a file. A kill or a power cut
between two moves leaves some of its segments, each of them whole; the next import of the file completes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from videostore.base.clock import SystemClock
from videostore.base.constants import CLOCK_LEEWAY_US
from videostore.base.errors import ConfigError, NoRoomError, RequestError
from videostore.base.files import AnyPath, as_path
from videostore.base.ranges import Range
from videostore.base.tasks import end_task, finish_despite_cancellation, off_loop, run_in_thread
from videostore.base.time_parsing import Moment, moment_us
from videostore.clips.progress import OnProgress
from videostore.config.defaults import MAX_SIZE_GB
from videostore.media.footage import Footage, survey, survey_beginning
from videostore.media.import_tag import read_import
from videostore.media.segment import Segment
from videostore.media.stated_time import check_one_start, stated_start_us
from videostore.storage.archive import Archive
from videostore.storage.import_stage import clear_import
from videostore.storage.opening_error import storage_error
from videostore.storage.segment_files import list_directory
from videostore.store.import_place import check_place, opened
from videostore.store.results import ImportedFile
from videostore.store.staged_segments import EPOCHS_US, ROUNDED_US, Placed, StagedSegments

_SURVEY_SHARE = 0.3
"""Of the progress: the file is read once to learn what it holds, and once to store it."""
_EVER_US = 1 << 62


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
    logger = logger or logging.getLogger("videostore")
    progress = _Progress(on_progress or (lambda _: None))

    async def placed(footage: Footage) -> Placed:
        now_us = clock.wall_us()
        check_one_start(path, footage.tags)
        begin_us = start_us
        if begin_us is None:
            begin_us = await run_in_thread(stated_start_us, path, footage.tags, footage.length_us, now_us)
        first_us, last_us = footage.first_us - footage.begin_us, footage.last_us - footage.begin_us
        captured = Range(begin_us + first_us, begin_us + last_us + 1)
        told = {"path": path, "captured": captured}
        if captured.from_us < 0 and start_us is not None:
            raise RequestError("import-start-before-1970", field="start", start_us=start_us, **told)
        if captured.from_us < 0:
            raise RequestError("import-before-1970", **told)
        is_in_future = captured.to_us > now_us + CLOCK_LEEWAY_US
        if is_in_future and start_us is not None:
            raise RequestError("import-start-in-future", field="start", start_us=start_us, clock_us=now_us, **told)
        if is_in_future:
            raise RequestError("import-in-future", **told)
        return Placed(footage, captured)

    version = await off_loop(_version, path)
    async with _surveying(path, progress.surveyed) as survey_task:
        beginning: Placed | None = None
        with contextlib.suppress(RequestError):  # the whole file may tell more
            beginning = await placed(await run_in_thread(survey_beginning, path))
        if beginning is None:
            await placed(await survey_task)
        try:
            async with opened(target, logger) as archive, _Import(path, version, archive, logger, sound=sound) as work:
                if beginning is not None:
                    await work.write_ahead(beginning, size_gb, progress.written)
                return await work.store(await placed(await survey_task), size_gb, progress.written)
        except (OSError, sqlite3.Error) as error:
            raise await off_loop(storage_error, target, error) from error


class _Progress:
    """Adds up how far a file is read and written. It never goes back."""

    def __init__(self, show: OnProgress) -> None:
        self._show = show
        self._surveyed = self._written = 0.0

    def surveyed(self, share: float) -> None:
        self._surveyed = max(self._surveyed, share)
        self._tell()

    def written(self, share: float) -> None:
        self._written = max(self._written, share)
        self._tell()

    def _tell(self) -> None:
        self._show(self._surveyed * _SURVEY_SHARE + self._written * (1 - _SURVEY_SHARE))


@contextlib.asynccontextmanager
async def _surveying(path: Path, show: Callable[[float], None]) -> AsyncIterator[asyncio.Task[Footage]]:
    """A task that reads a file to learn what it holds. It ends with the context."""
    task = asyncio.create_task(_surveyed(path, show))
    try:
        yield task
    finally:
        await end_task(task)
        if not task.cancelled():
            task.exception()  # asyncio logs an error that is never retrieved


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


def _version(path: Path) -> tuple[int, ...] | None:
    """What changes with a file; None if it cannot be seen. Blocking."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class _Import:
    """One file on its way into an archive, as an asynchronous context manager: nothing is left in `.import`."""

    def __init__(self, path: Path, version: object, archive: Archive, logger: logging.Logger, *, sound: bool) -> None:
        self._path = path
        self._version = version
        self._archive = archive
        self._logger = logger
        self._sounds = sound
        self._ahead: StagedSegments | None = None
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> _Import:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def write_ahead(self, beginning: Placed, size_gb: float | None, show: Callable[[float], None]) -> None:
        """Begin to write what seems to be a new file that can be copied, by how it begins.

        Whether it is, is known when it has been read to its end. A file that seems to be there is not written first.
        """
        if beginning.footage.uncopyable:
            return
        around = await self._around(beginning)
        if await off_loop(self._is_there, around, beginning):
            return
        try:
            size_bytes = (await off_loop(self._path.stat)).st_size
            await check_place(self._archive, self._path, size_bytes, size_gb)
        except (RequestError, NoRoomError, OSError):
            return
        self._ahead = self._staged(beginning, beginning.runs([], {one.run_us for one in around}), is_known=False)
        self._writing = asyncio.create_task(self._ahead.write(show))

    async def store(self, placed: Placed, size_gb: float | None, show: Callable[[float], None]) -> ImportedFile:
        """Write the segments that are not stored yet, within a quota."""
        stored, others = await off_loop(self._divide, await self._around(placed), placed)
        known, staged = await off_loop(placed.is_complete, stored), None
        if not known:
            await self._check_start(placed)
            runs = await off_loop(placed.runs, stored, others)
            staged = await self._written_ahead(placed, runs)
            if staged is None:
                await self._drop()
                sound = placed.footage.sound
                sound_bytes = sound.size_bytes if sound is not None and self._sounds else 0
                await check_place(self._archive, self._path, placed.footage.size_bytes + sound_bytes, size_gb)
                staged = self._staged(placed, runs, is_known=True)
                await staged.write(show)
            if await off_loop(_version, self._path) != self._version:  # the digest is that of less than what is stored
                raise RequestError("import-unreadable", path=self._path, reason="it was changed while it was read")
            await finish_despite_cancellation(self._publish({one.start_us for one in stored}, staged))
        footage, offset_us = placed.footage, placed.offset_us
        return ImportedFile(
            path=self._path,
            captured=Range(placed.captured.from_us, await self._end_us(placed)),
            frames=footage.frames,
            known=known,
            reencoded=footage.uncopyable,
            skipped_frames=footage.skipped,
            gaps=tuple(Range(before + offset_us, after + offset_us) for before, after in footage.gaps_us),
            longest_interval_us=footage.longest_us,
            has_sound=footage.sound is not None,
            silent=staged.silent if staged else "",
            shortfall=staged.shortfall if staged else "",
        )

    def _staged(self, placed: Placed, runs: list[int], *, is_known: bool) -> StagedSegments:
        directory = self._archive.directory
        return StagedSegments(self._path, directory, placed, runs, self._logger, sounds=self._sounds, is_known=is_known)

    async def _written_ahead(self, placed: Placed, runs: list[int]) -> StagedSegments | None:
        """What was written while the file was read, if it is what is to be written."""
        if self._ahead is None or self._writing is None or not self._ahead.becomes(placed, runs):
            return None
        await self._writing
        return self._ahead

    async def _drop(self) -> None:
        """End the writing, and remove what was written. A kill leaves it to the next one who opens the directory."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await end_task(writing)
            if not writing.cancelled():
                writing.exception()  # asyncio logs an error that is never retrieved
        await run_in_thread(clear_import, self._archive.directory)

    async def _check_start(self, placed: Placed) -> None:
        """Refuse a file that is stored under another time.

        Raises:
            RequestError: it is.
        """
        every = await self._archive.index.select(0, _EVER_US)
        earlier_us = await off_loop(self._other_start, every, placed)
        if earlier_us is not None:
            raise RequestError(
                "import-elsewhere", path=self._path, stored_us=earlier_us, start_us=placed.captured.from_us
            )

    def _other_start(self, every: list[Segment], placed: Placed) -> int | None:
        """When another import of this file begins; None if there is none. Blocking.

        Its runs tell: their epochs are the times at which its stretches begin, or a little less.
        """
        for one in every:
            if read_import(self._archive.directory / one.file_name) == placed.footage.digest:
                run_us = one.start_us if one.run_us is None else one.run_us
                if all(not -ROUNDED_US <= start_us - run_us <= EPOCHS_US for start_us in placed.starts_us):
                    return one.start_us
        return None

    def _is_there(self, around: list[Segment], beginning: Placed) -> bool:
        """Whether something that was imported begins when a file does: it may be that file. Blocking."""
        begin_us = beginning.captured.from_us
        return any(
            abs(one.start_us - begin_us) <= ROUNDED_US and read_import(self._archive.directory / one.file_name)
            for one in around
        )

    async def _around(self, placed: Placed) -> list[Segment]:
        return await self._archive.index.select(placed.captured.from_us, placed.captured.to_us)

    def _divide(self, around: list[Segment], placed: Placed) -> tuple[list[Segment], set[int | None]]:
        """What is stored of this file, and the runs of what is stored of others at that time. Blocking."""
        stored, others = list[Segment](), set[int | None]()
        for one in sorted(around, key=lambda one: one.start_us):
            if read_import(self._archive.directory / one.file_name) == placed.footage.digest:
                stored.append(one)
            else:
                others.add(one.run_us)
        return stored, others

    async def _publish(self, stored_us: set[int], staged: StagedSegments) -> None:
        """Move the segments to the directory and close them, but for those that are there already."""
        archive = self._archive
        await off_loop(staged.publish, stored_us)
        opened = (await off_loop(list_directory, archive.directory)).opened
        for name in sorted(opened):
            await archive.take_open(archive.directory / name)

    async def _end_us(self, placed: Placed) -> int:
        stored, _ = await off_loop(self._divide, await self._around(placed), placed)
        return max((one.end_us for one in stored), default=placed.captured.to_us)
