"""The archive: the closed segments of a storage directory, and the index that lists them.

The files are the truth and the index is a cache of them. The archive closes segments, adds them to the index, removes
those whose files are gone, and deletes the oldest. `Reconciler` compares directory and index for everything that
happened unnoticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

from videostore.base.constants import LONGEST_SEGMENT_US
from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop, run_in_thread
from videostore.media.fragmented_file import NotOursError
from videostore.media.segment import Segment
from videostore.media.segment_names import name_time_us
from videostore.storage.damaged_files import DamagedFiles
from videostore.storage.deletion import DeletedSpans, choose_oldest
from videostore.storage.directory_lock import DirectoryLock
from videostore.storage.import_stage import clear_import
from videostore.storage.index import Index
from videostore.storage.replaced_files import ReplacedFiles
from videostore.storage.segment_files import NextTimes, close_segment
from videostore.storage.segment_reader import SegmentReader
from videostore.storage.timeline import Timeline
from videostore.storage.timeline_changes import add_segments, read_timeline, remove_segments
from videostore.storage.unindexed import UnindexedFiles

BATCH = 50
"""Files read, looked up or deleted in one go: closing the module waits for no more than that."""
_POLL_S = 0.1
"""How often a request that waits for unindexed files looks again."""
_Held = Sequence[Range] | Callable[[], Sequence[Range]]


class Archive:
    """The closed segments of one directory. Owns the index, and the lock on the directory."""

    def __init__(
        self,
        directory: Path,
        index: Index,
        logger: logging.Logger,
        lock: DirectoryLock | None,
        *,
        keep_unreadable: bool = False,
    ) -> None:
        """Use `open` or `open_read_only`."""
        self.directory = directory
        self.index = index
        self.timeline = Timeline()
        self.reconciled = asyncio.Event()
        """Set while everything in the directory is in the index."""
        self.unclosed: set[Path] = set()
        """Open segments that no process writes and that could not be closed: closing them is retried.

        Read-only: all open segments, since another process may be writing them.
        """
        self.generation = 0
        """How many times the directory was replaced. What was found in an earlier one no longer holds."""
        self._lock = lock
        self._logger = logger
        self.damaged = DamagedFiles(directory)
        """Unreadable files that were set aside."""
        self.replaced = ReplacedFiles(directory, logger)
        self.reader = SegmentReader(
            directory, logger, keep_unreadable=keep_unreadable or lock is None, damaged=self.damaged
        )
        self._changing = asyncio.Lock()
        """Held while segments are closed, indexed, forgotten or deleted."""
        self._unindexed = UnindexedFiles()
        self._listed = False
        """Whether `_unindexed` holds every file that is not in the index."""
        self.newest_bytes = 0
        """Size of the segment that was closed last; 0 before the first."""
        self.deleted = DeletedSpans()
        self._undeletable: set[str] = set()
        """Files that could not be deleted since the directory was last listed."""

    @classmethod
    async def open(
        cls, directory: Path, logger: logging.Logger, *, keep_unreadable: bool = False, holder: str = ""
    ) -> Archive:
        """Open a storage directory as its index describes it; a `Reconciler` then compares the two.

        `holder` is told to others. With `keep_unreadable`, files that cannot be read stay, however old they are.

        Raises:
            OSError, sqlite3.Error: the directory cannot be used.
            VideoStoreError: another recorder is using it.
        """
        lock = await run_in_thread(DirectoryLock, directory, holder)
        try:
            await run_in_thread(clear_import, directory)
            index = await Index.open(directory, logger)
        except BaseException:
            lock.release()
            raise
        return await cls._opened(cls(directory, index, logger, lock, keep_unreadable=keep_unreadable))

    @classmethod
    async def open_read_only(cls, directory: Path, logger: logging.Logger) -> Archive:
        """Open a storage directory that another process may be recording to; nothing in it is changed.

        Raises:
            OSError: the directory cannot be read.
        """
        await asyncio.get_running_loop().run_in_executor(None, lambda: os.scandir(directory).close())
        return await cls._opened(cls(directory, await Index.open_snapshot(directory, logger), logger, None))

    @classmethod
    async def _opened(cls, archive: Archive) -> Archive:
        try:
            await archive._load_timeline()
            await asyncio.get_running_loop().run_in_executor(None, archive.damaged.measure)
        except BaseException:
            await archive.close()
            raise
        return archive

    @property
    def read_only(self) -> bool:
        """Whether nothing in the directory may be changed."""
        return self._lock is None

    async def close(self) -> None:
        """Close the index and unlock the directory."""
        await self.index.close()
        if self._lock is not None:
            self._lock.release()

    def is_in_place(self) -> bool:
        """Whether there is nothing to `revive`, and the index is in its file. Blocking; raises OSError."""
        return (self._lock is None or self._lock.is_in_place()) and self.index.is_in_file()

    async def revive(self) -> bool:
        """Recreate the directory if it was removed, and lock it if it was replaced. True if either was so.

        Raises:
            VideoStoreError: its device is gone, or another recorder uses the directory that is there now.
            OSError: it cannot be created.
        """
        if self._lock is None:
            return False
        async with self._changing:
            if not await asyncio.get_running_loop().run_in_executor(None, self._lock.renew):
                return False
            self._logger.error("The storage directory %s was removed or replaced. Recreating it.", self.directory)
            self.reconciled.clear()
            self._listed = False
            self.generation += 1
            return True

    # What is not indexed

    @property
    def unindexed_segments(self) -> int:
        """Number of files that are not in the index yet."""
        return len(self._unindexed)

    @property
    def stored_bytes(self) -> int:
        """Size of all closed segments and of what is set aside; of unindexed ones as far as they are measured."""
        return self.timeline.stored_bytes + self._unindexed.known_bytes + self.damaged.size_bytes

    async def is_indexed_since(self, from_us: int) -> bool:
        """Whether everything recorded since a time is in the index. A lost index is rebuilt backwards."""
        if self.index.incomplete or not self._listed or await self.is_closing():
            return False
        return self.reconciled.is_set() or (self._unindexed.newest_us or 0) < from_us - LONGEST_SEGMENT_US

    async def is_closing(self) -> bool:
        """Whether another process has just closed an open segment, whose new name is not indexed yet."""
        return self.read_only and not await off_loop(_all_exist, list(self.unclosed))

    async def wait_until_indexed(self, from_us: int, within_s: float | None = None) -> None:
        """Wait until everything recorded since a time is in the index.

        Raises:
            VideoStoreError: that takes longer than `within_s`.
        """
        loop = asyncio.get_running_loop()
        deadline = None if within_s is None else loop.time() + within_s
        while not await self.is_indexed_since(from_us):
            if deadline is not None and loop.time() > deadline:
                raise VideoStoreError("index-rebuilding", count=len(self._unindexed))
            await asyncio.sleep(_POLL_S)

    async def reload(self) -> None:
        """Start again from an index that has lost rows. Nothing is deleted until the directory is listed."""
        self.reconciled.clear()
        async with self._changing:
            self._listed = False
            await self._load_timeline()
            self.index.incomplete = False

    def set_unindexed(self, unindexed: UnindexedFiles) -> None:
        """Take the files of a directory that was just listed and compared with the index."""
        self._unindexed = unindexed
        self._listed = True
        self._undeletable.clear()

    async def index_newest(self, limit: int = BATCH) -> None:
        """Read some of the unindexed files into the index, the newest first."""
        async with self._changing:
            await self._index_files(self._unindexed.take_newest(limit))

    # Closing, adding and forgetting

    async def take_open(self, path: Path, *, finished_only: bool = False, run: NextTimes | None = None) -> None:
        """Close a segment that ffmpeg has finished or left behind: rename it, and add it to the index.

        With `finished_only`, a segment whose end is not written stays open: its ffmpeg may still be writing it.
        `run` is for `close_segment`.

        Raises:
            OSError: it cannot be closed; unless `finished_only`, it is then one of `unclosed`.
        """
        async with self._changing:
            if self.read_only:
                if await off_loop(path.exists):
                    self.unclosed.add(path)
                return
            loop = asyncio.get_running_loop()
            try:
                segment = await loop.run_in_executor(None, close_segment, path, finished_only, run)
            except FileNotFoundError:
                self.unclosed.discard(path)
                return  # a file event and the end of the run both report it
            except NotOursError:
                self.unclosed.discard(path)
                await loop.run_in_executor(None, self.reader.set_aside, path)
                return
            except OSError:
                if not finished_only:
                    self.unclosed.add(path)
                raise
            self.unclosed.discard(path)
            if segment is not None:
                self.newest_bytes = segment.size_bytes
                await self._add([segment])

    async def take_closed(self, *file_names: str) -> None:
        """Read closed segments into the index, whichever program wrote them. Ignore files with other names."""
        names = [name for name in file_names if name_time_us(name) is not None]
        for begin in range(0, len(names), BATCH):
            async with self._changing:
                await self._index_files(names[begin : begin + BATCH])

    @contextlib.asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """While this lasts, no segment is closed or deleted: each is either open or in the index."""
        async with self._changing:
            yield

    async def forget(self, file_names: Iterable[str]) -> None:
        """Remove those of these segments from the index whose files are gone."""
        names, forgotten = list(file_names), 0
        for begin in range(0, len(names), BATCH):
            async with self._changing:
                gone = await off_loop(self.replaced.gone, names[begin : begin + BATCH])
                segments = await self.index.get(gone)
                await self.index.remove([segment.file_name for segment in segments])
                await off_loop(self.replaced.note, segments)
                for segment in segments if len(names) <= BATCH else []:
                    await self._remove_span([segment])
                forgotten += len(segments)
        if not forgotten:
            return
        # Where another process records, its quota deletes files: that is no news.
        say = self._logger.debug if self.read_only else self._logger.warning
        say("The files of %d segments are gone. Removing these segments from the index.", forgotten)
        if len(names) > BATCH:
            async with self._changing:
                await self._load_timeline()

    async def _index_files(self, file_names: list[str]) -> None:
        if file_names:
            await self._add(await asyncio.get_running_loop().run_in_executor(None, self.reader.read_all, file_names))

    async def _add(self, segments: list[Segment]) -> None:
        replaced = await self.index.get([s.file_name for s in segments])
        await self.index.add(segments)
        if replaced:  # a file has changed: rare, so loading everything is good enough
            await self._load_timeline()
            return
        await add_segments(self.timeline, self.index, segments)

    # Deleting

    async def delete_oldest(self, wanted_bytes: int, limit: int, held: _Held = (), before_us: int | None = None) -> int:
        """Delete the oldest segments, at most `limit`, until `wanted_bytes` are freed; return how many bytes were.

        Segments that overlap a range of `held` stay, and those from `before_us`. A function is asked under the lock.
        """
        async with self._changing:
            held = held() if callable(held) else held
            if self.index.incomplete or not self._listed:  # the oldest in the index may be the newest of all
                return 0
            if self._unindexed:  # older segments may be among them
                await self._index_files(self._unindexed.take_oldest(BATCH))
            if (oldest_us := self._unindexed.oldest_us) is not None:
                before_us = oldest_us if before_us is None else min(before_us, oldest_us)
            groups = await choose_oldest(
                self.index, wanted_bytes, limit, held=held, before_us=before_us, undeletable=self._undeletable
            )
            freed_bytes = 0
            for group in groups:
                kept = await off_loop(self._unlink_all, group)
                gone = [segment for segment in group if segment.file_name not in kept]
                await self.index.remove([segment.file_name for segment in gone])
                await self._remove_span(gone)
                self.deleted.add(gone)
                freed_bytes += sum(segment.size_bytes for segment in gone)
            return freed_bytes

    def _unlink_all(self, segments: Iterable[Segment]) -> set[str]:
        """Delete files; return the names of those that cannot be deleted. Blocking."""
        kept = set()
        for segment in segments:
            try:
                (self.directory / segment.file_name).unlink(missing_ok=True)
            except OSError as error:
                kept.add(segment.file_name)
                self._logger.error(
                    "%s cannot be deleted: %s. Deleting newer segments instead.", segment.file_name, reason_of(error)
                )
        self._undeletable |= kept
        return kept

    # The timeline

    async def _load_timeline(self) -> None:
        self.timeline = await read_timeline(self.index, self._logger)

    async def _remove_span(self, gone: Sequence[Segment]) -> None:
        """Remove neighbouring segments from the timeline that are no longer in the index."""
        if gone:
            await remove_segments(self.timeline, self.index, gone)


def _all_exist(paths: Iterable[Path]) -> bool:
    return all(path.exists() for path in paths)
