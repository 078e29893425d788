"""The archive: the storage directory and its index, kept in step with each other.

The files are the truth, the index is a cache of them: what closes is taken in, what vanishes is forgotten, and a slow
walk finds what no event told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

import av
import av.error
import psutil

from videostore.base.constants import LONGEST_SEGMENT_US, RANGE_SLOP_US
from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.media.fmp4 import NotOursError
from videostore.media.segment import Segment, UnknownFileError, UnreadableError, probe
from videostore.media.segment_names import name_time_us, parse_open_name
from videostore.storage.directory_lock import DirectoryLock
from videostore.storage.index import Index
from videostore.storage.orphan_processes import find_orphans
from videostore.storage.segment_files import close_segment, compare, is_young, list_directory, read_through
from videostore.storage.timeline import Timeline
from videostore.storage.unindexed import UnindexedFiles

_MEASURED = 2000
"""Files whose sizes are asked for in one go."""
_BATCH = 50
"""Files probed in one go: the end of the module waits for no more than that."""
_KNOWN_POLL_S = 0.1
_LAST_NAME = "\U0010ffff"
"""Comes behind every file name."""


class Archive:
    """The closed segments of one directory. Owns the index, and the claim on the directory."""

    def __init__(self, directory: Path, index: Index, logger: logging.Logger, claim: DirectoryLock | None) -> None:
        """Use `open` or `open_read_only`."""
        self.directory = directory
        self.index = index
        self.timeline = Timeline()
        self.reconciled = asyncio.Event()
        """Set while everything in the directory is known."""
        self._claim = claim
        self._logger = logger
        self._taking = asyncio.Lock()
        self._unindexed = UnindexedFiles()
        self._listed = False
        self._undeletable: set[str] = set()
        self._keep_unreadable = False
        self.unclosed: set[Path] = set()
        """Segments that nobody writes to any more, and that could not be closed: they are to be tried again.

        Read-only, all that are not closed, for somebody else may be writing them.
        """
        self._generation = 0
        """Counts the directories that this was: what was found out about an earlier one does not hold."""
        self._compared = False
        """Whether the sizes of all files have been compared with the index."""

    @classmethod
    async def open(cls, directory: Path, logger: logging.Logger, *, keep_unreadable: bool = False) -> Archive:
        """Open a storage directory as its index knows it; `reconcile` then compares the two.

        With `keep_unreadable` what cannot be read stays where it is, however old it is.

        Raises:
            OSError, sqlite3.Error: the directory cannot be used.
            VideoStoreError: another recorder is using it.
        """
        claim = DirectoryLock(directory)
        try:
            archive = cls(directory, await Index.open(directory, logger), logger, claim)
        except BaseException:
            claim.release()
            raise
        archive._keep_unreadable = keep_unreadable
        try:
            await archive._load_timeline()
        except BaseException:
            await archive.close()
            raise
        return archive

    @classmethod
    async def open_read_only(cls, directory: Path, logger: logging.Logger) -> Archive:
        """Open a storage directory that somebody else may be recording to; nothing in it is changed.

        Raises:
            OSError: the directory cannot be read.
        """
        await asyncio.get_running_loop().run_in_executor(None, lambda: os.scandir(directory).close())
        archive = cls(directory, await Index.open_snapshot(directory, logger), logger, None)
        try:
            await archive._load_timeline()
        except BaseException:
            await archive.close()
            raise
        return archive

    @property
    def read_only(self) -> bool:
        """Whether nothing in the directory may be changed."""
        return self._claim is None

    async def close(self) -> None:
        """Close the index, and leave the directory to others."""
        await self.index.close()
        if self._claim is not None:
            self._claim.release()

    async def revive(self) -> bool:
        """Make the directory anew where somebody removed or replaced it; tell whether that was so.

        Raises:
            VideoStoreError: its device is gone, or another recorder uses what is there now.
            OSError: it cannot be made.
        """
        if self._claim is None:
            return False
        async with self._taking:
            if not await asyncio.get_running_loop().run_in_executor(None, self._claim.renew):
                return False
            self._logger.error("The storage directory %s was removed or replaced; it is made anew.", self.directory)
            self.reconciled.clear()
            self._listed = self._compared = False
            self._generation += 1
            return True

    async def _load_timeline(self) -> None:
        for _ in range(2):
            timeline = Timeline()
            try:
                async for batch in self.index.spans():
                    for start_us, end_us, size_bytes in batch:
                        timeline.add(start_us, end_us, size_bytes)
                break
            except (sqlite3.Error, ValueError) as error:  # damaged, or exchanged meanwhile
                self._logger.error("The index cannot be read to its end: %s.", error)
        self.timeline = timeline

    @property
    def unindexed_segments(self) -> int:
        """How many files are still to be read."""
        return len(self._unindexed)

    @property
    def stored_bytes(self) -> int:
        """Size of all closed segments, of those still to be read as far as it is known."""
        return self.timeline.stored_bytes + self._unindexed.known_bytes

    def knows(self, from_us: int) -> bool:
        """Whether everything that was recorded since a moment is in the index: a lost one is rebuilt backwards."""
        if self.index.incomplete or not self._listed or self.closing:
            return False
        return self.reconciled.is_set() or (self._unindexed.newest_us or 0) < from_us - LONGEST_SEGMENT_US

    @property
    def closing(self) -> bool:
        """Whether somebody else has just given an open segment another name, which is not known yet."""
        return self.read_only and not all(path.exists() for path in self.unclosed)

    async def known(self, from_us: int, within_s: float | None = None) -> None:
        """Wait until everything that was recorded since a moment is in the index.

        Raises:
            VideoStoreError: that takes longer than `within_s`.
        """
        loop = asyncio.get_running_loop()
        deadline = None if within_s is None else loop.time() + within_s
        while not self.knows(from_us):
            if deadline is not None and loop.time() > deadline:
                raise VideoStoreError(
                    f"The index is being read anew from the files, and {len(self._unindexed)} are still to come: ask "
                    "again in a while, or for something newer, or save asynchronously."
                )
            await asyncio.sleep(_KNOWN_POLL_S)

    async def take_open(self, path: Path, *, finished_only: bool = False) -> None:
        """Close a segment that ffmpeg has finished, or left behind: give it its name and take it into the index.

        With `finished_only` a segment whose end is not written is left to the ffmpeg that may still be at it.
        """
        async with self._taking:
            if self.read_only:
                if path.exists():
                    self.unclosed.add(path)
                return
            loop = asyncio.get_running_loop()
            try:
                segment = await loop.run_in_executor(None, close_segment, path, finished_only)
            except FileNotFoundError:
                self.unclosed.discard(path)
                return  # an event and the end of the run told of the same one
            except NotOursError:
                self.unclosed.discard(path)
                await loop.run_in_executor(None, self._discard_unreadable, path)
                return
            except OSError:
                if not finished_only:
                    self.unclosed.add(path)
                raise
            self.unclosed.discard(path)
            if segment is not None:
                await self._add([segment])

    async def take_closed(self, file_name: str) -> None:
        """Take a closed segment into the index, whoever wrote it; other files are left alone."""
        if name_time_us(file_name) is None:
            return
        async with self._taking:
            await self._take_in([file_name])

    @contextlib.asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """While this lasts no segment is closed or deleted: each is either open or in the index, never neither."""
        async with self._taking:
            yield

    async def forget(self, file_names: Iterable[str]) -> None:
        """Drop those of these segments from the index whose files have vanished."""
        loop = asyncio.get_running_loop()
        names, forgotten = list(file_names), 0
        for begin in range(0, len(names), _BATCH):
            async with self._taking:
                gone = await loop.run_in_executor(None, self._vanished, names[begin : begin + _BATCH])
                segments = await self.index.get(gone)
                await self.index.remove([segment.file_name for segment in segments])
                for segment in segments if len(names) <= _BATCH else []:
                    await self._remove_span([segment])
                forgotten += len(segments)
        if not forgotten:
            return
        self._logger.warning("%d segments have no file any more; they are forgotten.", forgotten)
        if len(names) > _BATCH:
            async with self._taking:
                await self._load_timeline()

    async def reconcile(self, being_written: Callable[[int], bool]) -> list[psutil.Process]:
        """Compare the directory with the index, both ways, newest first. Walks the directory once.

        `being_written` tells of a run's epoch whether its ffmpeg is at work. Returns the ffmpeg processes of a killed
        module that still are: their segments are left to them.
        """
        loop = asyncio.get_running_loop()
        if self.index.incomplete:
            self.reconciled.clear()
            async with self._taking:
                self._listed = False
                await self._load_timeline()
                self.index.incomplete = False
        generation = self._generation
        opened, closed = await loop.run_in_executor(None, list_directory, self.directory)
        if self.read_only:
            self.unclosed = {self.directory / name for name in opened}
            orphans = []
        else:
            orphans = await self._close_left(opened, being_written)
        indexed = await self.index.sizes()
        unknown, vanished = await loop.run_in_executor(None, compare, closed, indexed)
        if generation != self._generation:
            raise VideoStoreError("The storage directory was replaced while it was read; it is read again")
        await self.forget(vanished)  # before the quota counts them
        self._unindexed = unindexed = await loop.run_in_executor(None, UnindexedFiles, unknown)
        self._listed = True
        self._undeletable.clear()
        if len(unindexed) > _BATCH:
            self._logger.warning("%d segments are not in the index; they are read, the newest first.", len(unindexed))
        for begin in range(0, len(names := unindexed.names), _MEASURED):
            for _ in range(_MEASURED // 4 // _BATCH):  # what was recorded last is asked for first
                await self._take_newest(unindexed)
            sizes = await loop.run_in_executor(None, self._measure, names[begin : begin + _MEASURED])
            for name, size_bytes in sizes.items():
                unindexed.measured(name, size_bytes)
        while unindexed:
            await self._take_newest(unindexed)
        if generation != self._generation:
            raise VideoStoreError("The storage directory was replaced while it was read; it is read again")
        if not self._compared:  # closed segments do not change while a recorder owns them
            changed = await loop.run_in_executor(None, self._changed, closed, indexed)
            for begin in range(0, len(changed), _BATCH):
                async with self._taking:
                    await self._take_in(changed[begin : begin + _BATCH])
            self._compared = generation == self._generation
        if generation == self._generation and not self.index.incomplete:
            self.reconciled.set()
        return orphans

    async def _close_left(self, opened: Iterable[str], being_written: Callable[[int], bool]) -> list[psutil.Process]:
        """Close the segments of earlier runs, but for those to which an ffmpeg still writes: these are returned."""
        runs = {name: run[0] for name in sorted(opened) if (run := parse_open_name(name)) and not being_written(run[0])}
        orphans = await asyncio.get_running_loop().run_in_executor(
            None, find_orphans, self.directory, set(runs.values())
        )
        for name, run_us in runs.items():
            if run_us not in orphans:
                try:
                    await self.take_open(self.directory / name)
                except OSError as error:  # tried again at the next walk
                    self._logger.error("%s cannot be closed just now: %s.", name, reason_of(error))
        return list(orphans.values())

    async def _take_newest(self, unindexed: UnindexedFiles) -> None:
        async with self._taking:
            await self._take_in(unindexed.take_newest(_BATCH))

    async def delete_oldest(
        self, wanted_bytes: int, limit: int, held: Sequence[Range] = (), before_us: int | None = None
    ) -> int:
        """Delete at most `limit` segments, the oldest first, until so many bytes are freed; returns how many were.

        Those that overlap a range of `held` stay, and so does what begins at `before_us` or later.
        """
        async with self._taking:
            if self.index.incomplete or not self._listed:  # what it takes for the oldest may be the newest
                return 0
            if self._unindexed:  # the index does not know what is oldest before these are in it
                await self._take_in(self._unindexed.take_oldest(_BATCH))
            if (oldest_us := self._unindexed.oldest_us) is not None:
                before_us = oldest_us if before_us is None else min(before_us, oldest_us)
            groups = await self._choose_oldest(wanted_bytes, limit, held, before_us)
            loop = asyncio.get_running_loop()
            freed_bytes = 0
            for group in groups:
                kept = await loop.run_in_executor(None, self._unlink_all, group)
                gone = [segment for segment in group if segment.file_name not in kept]
                await self.index.remove([segment.file_name for segment in gone])
                await self._remove_span(gone)
                freed_bytes += sum(segment.size_bytes for segment in gone)
            return freed_bytes

    async def _choose_oldest(
        self, wanted_bytes: int, limit: int, held: Sequence[Range], before_us: int | None
    ) -> list[list[Segment]]:
        """The segments to delete, in groups between which others stay."""
        groups: list[list[Segment]] = [[]]
        after: tuple[int, str] | None = None
        while wanted_bytes > 0 and limit > 0 and (batch := await self.index.oldest(limit, after)):
            for segment in batch:
                after = segment.start_us, segment.file_name
                if wanted_bytes <= 0 or limit <= 0 or (before_us is not None and segment.start_us >= before_us):
                    return groups
                holding = next((r for r in held if r.from_us < segment.end_us and segment.start_us < r.to_us), None)
                if holding is not None:
                    groups.append([])
                    after = max(after, (holding.to_us - 1, _LAST_NAME))
                    break
                if segment.file_name in self._undeletable:
                    groups.append([])
                    continue
                groups[-1].append(segment)
                wanted_bytes -= segment.size_bytes
                limit -= 1
        return groups

    async def _remove_span(self, gone: Sequence[Segment]) -> None:
        """Take segments that are not in the index any more, and lie together, out of the timeline."""
        if gone:
            from_us, to_us = min(s.start_us for s in gone), max(s.end_us for s in gone)
            left = await self.index.select(from_us - RANGE_SLOP_US - 1, to_us + RANGE_SLOP_US + 1)
            self.timeline.remove(
                [(s.start_us, s.end_us, s.size_bytes) for s in gone], [(s.start_us, s.end_us) for s in left]
            )

    async def _take_in(self, file_names: list[str]) -> None:
        if not file_names:
            return
        await self._add(await asyncio.get_running_loop().run_in_executor(None, self._probe_all, file_names))

    async def _add(self, segments: list[Segment]) -> None:
        known = await self.index.get([s.file_name for s in segments])
        await self.index.add(segments)
        if known:  # a file that has changed: rare, and not worth a cleverer way
            await self._load_timeline()
            return
        for segment in segments:
            self.timeline.add(segment.start_us, segment.end_us, segment.size_bytes)

    def _measure(self, file_names: list[str]) -> dict[str, int]:
        sizes = {}
        for name in file_names:
            with contextlib.suppress(OSError):
                sizes[name] = (self.directory / name).stat().st_size
        return sizes

    def _changed(self, file_names: list[str], indexed: dict[str, int]) -> list[str]:
        """Those that have another size than the index says. Blocking."""
        changed = []
        for name in file_names:
            if name in indexed:
                with contextlib.suppress(OSError):
                    if os.stat(os.path.join(self.directory, name)).st_size != indexed[name]:
                        changed.append(name)
        return changed

    def _vanished(self, file_names: list[str]) -> list[str]:
        return [name for name in file_names if not os.path.lexists(self.directory / name)]

    def _probe_all(self, file_names: list[str]) -> list[Segment]:
        segments = []
        for name in file_names:
            try:
                segments.append(probe(self.directory / name))
            except UnreadableError:
                with contextlib.suppress(OSError):
                    self._discard_unreadable(self.directory / name)
            except UnknownFileError as error:
                self._logger.debug("%s is left alone: %s.", name, error)
            except FileNotFoundError:
                continue  # deleted since
            except (OSError, av.error.FFmpegError) as error:  # tried again at the next walk
                self._logger.warning("%s cannot be read just now: %s", name, error)
            except Exception:  # one file must not keep the others from being read
                self._logger.exception("%s cannot be read.", name)
        return segments

    def _unlink_all(self, segments: list[Segment]) -> set[str]:
        """Delete files; return the names of those that cannot be deleted. Blocking."""
        kept = set()
        for segment in segments:
            try:
                (self.directory / segment.file_name).unlink(missing_ok=True)
            except OSError as error:
                kept.add(segment.file_name)
                self._logger.error("%s cannot be deleted: %s.", segment.file_name, reason_of(error))
        self._undeletable |= kept
        return kept

    def _discard_unreadable(self, path: Path) -> None:
        """Remove a file that cannot be read, once nobody can be writing it any more."""
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
        if is_young(status):
            self._logger.debug("%s cannot be read yet.", path.name)
            return
        if self.read_only or self._keep_unreadable:
            self._logger.warning("%s (%d bytes) cannot be read.", path.name, status.st_size)
            return
        try:
            read_through(path)
        except OSError as error:  # what was taken for damage may be the disk's: tried again at the next walk
            self._logger.warning("%s cannot be read just now: %s.", path.name, reason_of(error))
            return
        self._logger.warning("%s (%d bytes) cannot be read and is removed.", path.name, status.st_size)
        with contextlib.suppress(OSError):
            path.unlink()
