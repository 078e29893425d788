"""The archive: the storage directory and its index, kept in step with each other.

The files are the truth, the index is a cache of them: what closes is taken in, what vanishes is forgotten, and a slow
walk finds what no event told.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from pathlib import Path

import av
import av.error

from videostore.const import UNREADABLE_AGE_S
from videostore.errors import VideoStoreError
from videostore.fragments import NotOursError, read_fragments
from videostore.index import Index
from videostore.run import sync_file
from videostore.segment import (
    Segment,
    UnknownFileError,
    UnreadableError,
    closed_name,
    describe_fragments,
    name_time_us,
    parse_open_name,
    probe,
)
from videostore.timeline import Timeline
from videostore.upload import sync_directory

_BATCH = 50
"""Files probed in one go: the end of the module waits for no more than that."""


class Archive:
    """The closed segments of one directory. Owns the index."""

    def __init__(self, directory: Path, index: Index, logger: logging.Logger, lock: int) -> None:
        """Use `open`."""
        self._lock = lock
        self.directory = directory
        self.index = index
        self.timeline = Timeline()
        self._logger = logger
        self._taking = asyncio.Lock()

    @classmethod
    async def open(cls, directory: Path, logger: logging.Logger) -> Archive:
        """Open a storage directory as its index knows it; `reconcile` then compares the two.

        Raises:
            OSError, sqlite3.Error: the directory or its index cannot be used.
            VideoStoreError: another recorder is using it.
        """
        directory.mkdir(parents=True, exist_ok=True)
        lock = _lock(directory)
        try:
            archive = cls(directory, await Index.open(directory, logger), logger, lock)
        except BaseException:
            os.close(lock)
            raise
        try:
            await archive._load_timeline()
        except BaseException:
            await archive.close()
            raise
        return archive

    async def close(self) -> None:
        """Close the index, and leave the directory to others."""
        await self.index.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _load_timeline(self) -> None:
        timeline = Timeline()
        async for batch in self.index.spans():
            for start_us, end_us, size_bytes in batch:
                timeline.add(start_us, end_us, size_bytes)
        self.timeline = timeline

    async def take_open(self, path: Path, *, finished_only: bool = False) -> None:
        """Close a segment that ffmpeg has finished, or left behind: give it its name and take it into the index.

        With `finished_only` a segment whose end is not written is left to the ffmpeg that may still be at it.
        """
        async with self._taking:
            loop = asyncio.get_running_loop()
            try:
                segment = await loop.run_in_executor(None, _close_segment, path, finished_only)
            except FileNotFoundError:
                return  # an event and the end of the run told of the same one
            except NotOursError:
                await loop.run_in_executor(None, self._discard_unreadable, path)
                return
            if segment is not None:
                await self._add([segment])

    async def take_closed(self, file_name: str) -> None:
        """Take a closed segment into the index, whoever wrote it; other files are left alone."""
        if name_time_us(file_name) is None:
            return
        async with self._taking:
            await self._add(await asyncio.get_running_loop().run_in_executor(None, self._probe_all, [file_name]))

    @contextlib.asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """While this lasts no segment is closed or deleted: each is either open or in the index, never neither."""
        async with self._taking:
            yield

    async def forget(self, file_names: Iterable[str]) -> None:
        """Drop those of these segments from the index whose files have vanished."""
        async with self._taking:
            gone = [name for name in file_names if not (self.directory / name).exists()]
            gone = [name for name in gone if await self.index.get(name) is not None]
            if gone:
                self._logger.warning("%d segments have no file any more; they are forgotten.", len(gone))
                await self.index.remove(gone)
                await self._load_timeline()

    async def reconcile(self, being_written: Callable[[int], bool]) -> None:
        """Compare the directory with the index, both ways, newest first. Walks the directory once.

        `being_written` tells of a run's epoch whether its ffmpeg is at work.
        """
        loop = asyncio.get_running_loop()
        on_disk = await loop.run_in_executor(None, _list_directory, self.directory)
        indexed = await self.index.sizes()
        for name in sorted(on_disk):
            run = parse_open_name(name)
            if run and not being_written(run[0]):
                await self.take_open(self.directory / name)
        unknown = [name for name, size in on_disk.items() if name.endswith(".mp4") and indexed.get(name) != size]
        unknown.sort(key=lambda name: name_time_us(name) or 0, reverse=True)
        for begin in range(0, len(unknown), _BATCH):
            batch = unknown[begin : begin + _BATCH]
            segments = await loop.run_in_executor(None, self._probe_all, batch)
            async with self._taking:
                await self._add(segments)
        await self.forget([name for name in indexed if name not in on_disk])

    async def delete_oldest(self, wanted_bytes: int, limit: int, in_use: Callable[[str], bool]) -> int:
        """Delete segments, the oldest first, until so many bytes are freed; returns how many.

        Rows and files go, at most `limit` of them. One in use stops it: what is newer is not deleted in its place.
        """
        async with self._taking:
            segments: list[Segment] = []
            for segment in await self.index.oldest(limit):
                if wanted_bytes <= 0 or in_use(segment.file_name):
                    break
                segments.append(segment)
                wanted_bytes -= segment.size_bytes
            if not segments:
                return 0
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, _unlink_all, [self.directory / s.file_name for s in segments])
            await self.index.remove([s.file_name for s in segments])
            rest = await self.index.oldest(1)
            self.timeline.remove_oldest(
                sum(s.size_bytes for s in segments),
                sum(s.duration_us for s in segments),
                len(segments),
                rest[0].start_us if rest else None,
            )
            return len(segments)

    async def _add(self, segments: list[Segment]) -> None:
        known = [s for s in segments if await self.index.get(s.file_name) is not None]
        await self.index.add(segments)
        if known:  # a file that has changed: rare, and not worth a cleverer way
            await self._load_timeline()
            return
        for segment in segments:
            self.timeline.add(segment.start_us, segment.end_us, segment.size_bytes)

    def _probe_all(self, file_names: list[str]) -> list[Segment]:
        segments = []
        for name in file_names:
            try:
                segments.append(probe(self.directory / name))
            except UnreadableError:
                self._discard_unreadable(self.directory / name)
            except UnknownFileError as error:
                self._logger.debug("%s is left alone: %s.", name, error)
            except FileNotFoundError:
                continue  # deleted since
            except (OSError, av.error.FFmpegError) as error:  # tried again at the next walk
                self._logger.warning("%s cannot be read just now: %s", name, error)
        return segments

    def _discard_unreadable(self, path: Path) -> None:
        """Remove a file that cannot be read, once nobody can be writing it any more."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return
        if time.time() - status.st_mtime < UNREADABLE_AGE_S:
            self._logger.debug("%s cannot be read yet.", path.name)
            return
        self._logger.warning("%s (%d bytes) cannot be read and is removed.", path.name, status.st_size)
        with contextlib.suppress(OSError):
            path.unlink()


def _lock(directory: Path) -> int:
    """Claim a directory for this process; the system gives it back when the process ends, however it does."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise VideoStoreError(
            f"storage.storage_path {str(directory)!r} is in use by another recorder: give each its own directory."
        ) from error
    except OSError:  # a file system without locks
        pass
    return descriptor


def _close_segment(path: Path, finished_only: bool) -> Segment | None:
    """Put a segment's bytes on stable storage and give it the first free name. Blocking."""
    content = read_fragments(path)
    if finished_only and not content.finished:
        return None
    if not content.finished:  # cut off by a kill or a power failure, behind the last whole fragment
        os.truncate(path, content.size_bytes)
    sync_file(path)
    for taken in range(1_000_000):
        target = path.with_name(closed_name(content.start_us, taken))
        if _rename_to_free(path, target):
            break
    sync_directory(path.parent)
    run = parse_open_name(path.name)
    segment = describe_fragments(target.name, content, run[1] if run else None)
    return replace(segment, size_bytes=target.stat().st_size)


def _rename_to_free(path: Path, target: Path) -> bool:
    """Rename, unless the name is taken: nothing is ever written over."""
    try:
        os.link(path, target)
    except FileExistsError:
        if not path.samefile(target):  # else an earlier process was killed between the two names
            return False
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links; nobody else gives names here
        if target.exists():
            return False
        path.rename(target)
        return True
    path.unlink()
    return True


def _list_directory(directory: Path) -> dict[str, int]:
    """Names and sizes of the segments in a directory; other files and all directories are not ours."""
    with os.scandir(directory) as entries:
        return {
            entry.name: entry.stat().st_size
            for entry in entries
            if (parse_open_name(entry.name) or name_time_us(entry.name) is not None)
            and entry.is_file(follow_symlinks=False)
        }


def _unlink_all(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
