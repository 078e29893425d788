"""Repairing a storage directory: closes segments, corrects the index, and moves unreadable files to `damaged/`.

It locks the directory, so no recorder can use it meanwhile. Nothing is deleted, and files that the system does not let
us read stay where they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.files import AnyPath, as_path, sync_directory
from videostore.storage.archive import Archive
from videostore.storage.findings import REPAIRABLE, Finding, Problem
from videostore.storage.reconciler import Reconciler
from videostore.storage.segment_check import is_unreadable

DAMAGED_DIRECTORY = "damaged"
"""Directory below the storage path for unreadable files. They are not counted, and never deleted."""


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
        VideoStoreError: there is no such directory (`storage-missing`), a recorder is using it (`storage-in-use`), or
            it cannot be written to (`storage-not-repaired`).
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
            await asyncio.get_running_loop().run_in_executor(None, _set_aside, path, unreadable)
            await archive.forget(unreadable)
            await archive.take_closed(*[one.file_name for one in repairable if one.problem is Problem.ROW_DIFFERS])
            await Reconciler(archive, logger).reconcile(lambda _: False)
        finally:
            await archive.close()
    except (OSError, sqlite3.Error) as error:
        raise VideoStoreError("storage-not-repaired", path=path, reason=reason_of(error)) from error


def _set_aside(directory: Path, file_names: Iterable[str]) -> None:
    """Move files to `damaged/` if they still cannot be read: they may have been checked long ago. Blocking."""
    names = [name for name in file_names if is_unreadable(directory / name)]
    if not names:
        return
    damaged = directory / DAMAGED_DIRECTORY
    damaged.mkdir(exist_ok=True)
    for name in names:
        target, number = damaged / name, 1
        while os.path.lexists(target):
            number += 1
            target = damaged / f"{name}.{number}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(directory / name, target)
    sync_directory(damaged)
    sync_directory(directory)
