"""Repairing a storage directory: closes segments, corrects the index, and moves unreadable files to `damaged/`.

It locks the directory, so no recorder can use it meanwhile. Nothing is deleted, and files that the system does not let
us read stay where they are.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterable

from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.files import AnyPath, as_path
from videostore.storage.archive import Archive
from videostore.storage.findings import REPAIRABLE, Finding, Problem
from videostore.storage.reconciler import Reconciler
from videostore.storage.segment_check import is_unreadable


async def repair_directory(
    directory: AnyPath, findings: Iterable[Finding], *, logger: logging.Logger | None = None
) -> None:
    """Repair what `verify_directory` found, as far as it is `REPAIRABLE`. No recorder may be using the directory.

    Segments that still cannot be read are moved to `damaged/`, segments that were left open are closed, and the index
    is made to agree with the files.

    Args:
        directory: The storage directory: anything that `os.fspath` takes.
        findings: The findings of a report, or some of them.
        logger: Gets what is done; the logger `videostore` by default.

    Raises:
        VideoStoreError: there is no such directory (`storage-missing`), a recorder is using it (`storage-in-use`), it
            cannot be written to (`storage-not-repaired`), or the index cannot be used there (`index-not-repaired`).
    """
    path = as_path(directory)
    logger = logger or logging.getLogger("videostore")
    repairable = [one for one in findings if one.problem in REPAIRABLE]
    if not await asyncio.get_running_loop().run_in_executor(None, path.exists):
        raise VideoStoreError("storage-missing", path=path)
    try:
        archive = await Archive.open(path, logger, keep_unreadable=True)
        try:
            unreadable = [one.file_name for one in repairable if one.problem is Problem.UNREADABLE]
            await asyncio.get_running_loop().run_in_executor(None, _set_aside, archive, unreadable)
            await archive.forget(unreadable)
            await archive.take_closed(*[one.file_name for one in repairable if one.problem is Problem.ROW_DIFFERS])
            await Reconciler(archive, logger).reconcile(lambda _: False)
            if (trouble := archive.index.trouble) is not None:  # what is in memory is lost with this process
                raise VideoStoreError("index-not-repaired", path=path, reason=trouble)
        finally:
            await archive.close()
    except (OSError, sqlite3.Error) as error:
        raise VideoStoreError("storage-not-repaired", path=path, reason=reason_of(error)) from error


def _set_aside(archive: Archive, file_names: Iterable[str]) -> None:
    """Move files to `damaged/` if they still cannot be read: they may have been checked long ago. Blocking."""
    paths = [archive.directory / name for name in file_names]
    unreadable = [path for path in paths if is_unreadable(path)]
    if unreadable:
        archive.damaged.add(unreadable)
