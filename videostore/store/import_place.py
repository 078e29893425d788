"""The directory that footage is imported into: locked, with room for it, and not that of a recorder."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from videostore.base.constants import GIB
from videostore.base.errors import NoRoomError, RequestError, VideoStoreError
from videostore.base.files import missing_directories, remove_empty_directories
from videostore.base.tasks import off_loop, run_in_thread
from videostore.config.defaults import MIN_FREE_BYTES, MIN_FREE_SHARE
from videostore.media.import_tag import read_import
from videostore.storage.archive import Archive
from videostore.storage.index import FILE_NAME
from videostore.storage.reconciler import Reconciler
from videostore.storage.segment_files import list_directory

_OVERHEAD = 1.02
"""Segments have more headers than most files."""
_LOOKED_AT = 20
"""So many of the oldest and of the newest segments tell whether a directory is that of a recorder."""


@asynccontextmanager
async def opened(directory: Path, logger: logging.Logger) -> AsyncIterator[Archive]:
    """The directory, locked, with everything in the index. What fails leaves no directory that was not there before.

    Raises:
        VideoStoreError: it is being recorded to, or cannot be used.
    """
    missing = await off_loop(missing_directories, directory)
    opening = asyncio.create_task(Archive.open(directory, logger, keep_unreadable=True))
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening])
        if opening.exception() is None:
            await _leave(opening.result(), missing)
        raise
    except VideoStoreError as error:
        if error.code != "storage-in-use":
            raise
        raise VideoStoreError("import-while-recording", path=directory) from error
    archive = opening.result()
    try:
        await Reconciler(archive, logger).reconcile(lambda _: False)
        yield archive
    except BaseException:
        await _leave(archive, missing)
        raise
    await archive.close()


async def _leave(archive: Archive, missing: list[Path]) -> None:
    """Close what is of no use, and remove it if it was not there before."""
    await archive.close()
    if missing:
        await run_in_thread(_remove_unused, archive.directory, missing)


def _remove_unused(directory: Path, missing: list[Path]) -> None:
    """Remove a directory that holds nothing but an index, and those above it that were missing as well. Blocking."""
    found = list(directory.iterdir())
    if all(path.name.startswith(FILE_NAME) for path in found):
        for path in found:
            path.unlink()
        remove_empty_directories(missing)


async def check_place(archive: Archive, path: Path, size_bytes: int, size_gb: float | None) -> None:
    """Refuse a directory in which the video of a file would not stay, or that has no room for it.

    Raises:
        RequestError: it is that of a recorder, and its quota is not known.
        NoRoomError: the disk or the quota has no room.
    """
    needed_bytes = round(size_bytes * _OVERHEAD)
    if size_gb is None and await off_loop(_is_recorders, archive.directory):
        raise RequestError("import-into-recording", path=archive.directory)
    if size_gb is not None and archive.stored_bytes + needed_bytes > size_gb * GIB:
        raise NoRoomError(
            "import-beyond-quota",
            path=path,
            size_bytes=needed_bytes,
            quota_bytes=round(size_gb * GIB),
            free_bytes=max(0, round(size_gb * GIB) - archive.stored_bytes),
        )
    usage = await off_loop(shutil.disk_usage, archive.directory)
    free_bytes = max(0, usage.free - int(min(MIN_FREE_BYTES, usage.total * MIN_FREE_SHARE)))
    if needed_bytes > free_bytes:
        raise NoRoomError(
            "import-beyond-disk",
            path=path,
            size_bytes=needed_bytes,
            directory=archive.directory,
            free_bytes=free_bytes,
        )


def _is_recorders(directory: Path) -> bool:
    """Whether a recorder has recorded into a directory. Blocking."""
    closed = list_directory(directory).closed
    names = sorted(closed)
    return any(read_import(directory / name) is None for name in {*names[:_LOOKED_AT], *names[-_LOOKED_AT:]})
