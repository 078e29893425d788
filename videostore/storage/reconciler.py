"""Reconciling: compares the storage directory with its index, in both directions, and corrects the index.

Rows whose files are gone are removed, files that are not in the index are read, and segments that an earlier process
left open are closed. This finds what no file event reported, and rebuilds an index that was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.tasks import off_loop, run_in_thread
from videostore.media.segment_names import parse_open_name
from videostore.storage.archive import BATCH, Archive
from videostore.storage.orphan_processes import find_orphans
from videostore.storage.reading_processes import MANY
from videostore.storage.segment_files import list_directory, list_open
from videostore.storage.unindexed import UnindexedFiles

if TYPE_CHECKING:
    import psutil

_MEASURED = 2000
"""Files whose sizes are read in one go."""
_READ_TOGETHER = 400
"""Files that several processes read in one go."""


async def know_open(archive: Archive) -> bool:
    """Whether the index of a read-only archive can answer before the directory is walked. It is not lost or empty, and
    what is being recorded is known besides.

    Raises:
        OSError: the directory cannot be read.
    """
    if archive.index.incomplete or not archive.timeline.segments:
        return False
    archive.unclosed |= {archive.directory / name for name in await off_loop(list_open, archive.directory)}
    return True


class Reconciler:
    """Compares the directory of one archive with its index. One walk at a time."""

    def __init__(self, archive: Archive, logger: logging.Logger) -> None:
        self._archive = archive
        self._logger = logger
        self._sizes_compared: int | None = None
        """Generation of the directory for which all file sizes have been compared with the index."""

    async def reconcile(self, being_written: Callable[[int], bool]) -> list[psutil.Process]:
        """Make the index agree with the directory, the newest segments first. Walks the directory once.

        `being_written` returns whether this process is writing the run with that epoch. Returns the ffmpeg processes
        that a killed module left behind and that are still writing: their segments stay open.

        Raises:
            VideoStoreError: the directory was replaced during the walk.
            OSError, sqlite3.Error: the directory or its index cannot be read.
        """
        self._archive.reader.walking = True
        try:
            return await self._reconcile(being_written)
        finally:
            self._archive.reader.walking = False

    async def _reconcile(self, being_written: Callable[[int], bool]) -> list[psutil.Process]:
        archive = self._archive
        loop = asyncio.get_running_loop()
        if archive.index.incomplete:
            await archive.reload()
        generation = archive.generation
        opened, closed, replaced = await loop.run_in_executor(None, list_directory, archive.directory)
        if archive.read_only:
            archive.unclosed = {archive.directory / name for name in opened}
            orphans = []
        else:
            orphans = await self._close_left_open(opened, being_written)
        indexed_bytes = await archive.index.sizes()
        unindexed, vanished = await loop.run_in_executor(None, _compare_names, closed, indexed_bytes)
        self._check_not_replaced(generation)
        await archive.forget(vanished)  # before the quota counts them
        archive.replaced.set_listed(replaced)
        await loop.run_in_executor(None, archive.reader.forget_vanished)
        await self._index_all(await loop.run_in_executor(None, UnindexedFiles, unindexed))
        self._check_not_replaced(generation)
        if self._sizes_compared != generation:  # closed segments do not change while a recorder owns them
            changed = await loop.run_in_executor(None, _changed, archive.directory, closed, indexed_bytes)
            await archive.take_closed(*changed)
            if not changed:  # what cannot be read is set aside later, when no process can be writing it
                self._sizes_compared = generation
        if generation == archive.generation and not archive.index.incomplete:
            archive.reconciled.set()
        return orphans

    def _check_not_replaced(self, generation: int) -> None:
        if generation != self._archive.generation:
            raise VideoStoreError("storage-replaced")

    async def _close_left_open(
        self, opened: Iterable[str], being_written: Callable[[int], bool]
    ) -> list[psutil.Process]:
        """Close the segments of earlier runs; return the ffmpeg processes that still write some of them."""
        runs = {name: run[0] for name in sorted(opened) if (run := parse_open_name(name)) and not being_written(run[0])}
        orphans = await asyncio.get_running_loop().run_in_executor(
            None, find_orphans, self._archive.directory, set(runs.values())
        )
        for name, run_us in runs.items():
            if run_us not in orphans:
                try:
                    await self._archive.take_open(self._archive.directory / name)
                except OSError as error:
                    self._logger.error("%s cannot be closed: %s. Trying again later.", name, reason_of(error))
        return list(orphans.values())

    async def _index_all(self, unindexed: UnindexedFiles) -> None:
        """Read the unindexed files into the index, the newest first; measure the others in between."""
        self._archive.set_unindexed(unindexed)
        if len(unindexed) > BATCH:
            self._logger.warning("%d segments are not in the index. Reading them, newest first.", len(unindexed))
        # A recorder has time: its requests and its recording come first.
        if self._archive.read_only and len(unindexed) >= MANY:
            try:
                await run_in_thread(self._archive.reader.use_processes)
                while unindexed:
                    await self._archive.index_newest(_READ_TOGETHER)
            finally:
                await run_in_thread(self._archive.reader.end_processes)
        loop = asyncio.get_running_loop()
        for begin in range(0, len(names := unindexed.names), _MEASURED):
            for _ in range(_MEASURED // 4 // BATCH):  # requests most often ask for the newest segments
                await self._archive.index_newest()
            sizes = await loop.run_in_executor(
                None, _measure, self._archive.directory, names[begin : begin + _MEASURED]
            )
            for name, size_bytes in sizes.items():
                unindexed.measured(name, size_bytes)
        while unindexed:
            await self._archive.index_newest()


def _compare_names(closed: Sequence[str], indexed: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """Names of files that are not in the index, and names in the index that have no file. Blocking."""
    on_disk = set()
    for name in closed:  # one by one: a single call over all names would block every other thread
        on_disk.add(name)
    return [name for name in closed if name not in indexed], [name for name in indexed if name not in on_disk]


def _measure(directory: Path, file_names: Sequence[str]) -> dict[str, int]:
    """Size in bytes of each file that exists. Blocking."""
    sizes = {}
    for name in file_names:
        with contextlib.suppress(OSError):
            sizes[name] = os.stat(os.path.join(directory, name)).st_size
    return sizes


def _changed(directory: Path, file_names: Iterable[str], indexed_bytes: Mapping[str, int]) -> list[str]:
    """Files whose size differs from the one in the index. Blocking."""
    changed = []
    for name in file_names:
        if name in indexed_bytes:
            with contextlib.suppress(OSError):
                if os.stat(os.path.join(directory, name)).st_size != indexed_bytes[name]:
                    changed.append(name)
    return changed
