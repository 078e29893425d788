"""Looks into storage directories for the tests, and changes them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.support.recording import LOGGER, START_US, US
from videostore.storage.archive import Archive
from videostore.storage.index import FILE_NAME
from videostore.storage.reconciler import Reconciler

START_S = START_US // US
FIRST = f"{START_S}.mp4"
"""Name of the closed segment that starts at `START_US`."""


async def reconcile(archive: Archive) -> None:
    """Walk over the directory once, as at a start, while nothing is being written."""
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)


async def indexed(archive: Archive) -> list[str]:
    """Names of the segments in the index, the oldest first."""
    return [segment.file_name for segment in await archive.index.oldest(1000)]


def contents(directory: Path) -> dict[str, bytes]:
    """Every file in and below a directory, except the index."""
    paths = [p for p in directory.rglob("*") if p.is_file() and not p.name.startswith(FILE_NAME)]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def make_old(path: Path, minutes: float = 31) -> None:
    """Set the time of the last change; files that cannot be read are kept for 30 minutes."""
    then = time.time() - minutes * 60
    os.utime(path, (then, then))


class OtherPath:
    """A path of a class that is not known, as other libraries have them: `os.fspath` takes it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    def __fspath__(self) -> str:
        return self._path
