"""Paths, and files and directories that must reach stable storage."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeAlias

from videostore.base.system import sync_data

AnyPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""A path as a caller of the library may give it: whatever `os.fspath` takes."""


def as_path(path: AnyPath) -> Path:
    """The same path as a `Path`.

    Raises:
        TypeError: it is not a path.
    """
    return Path(os.fsdecode(path))


def mount_point(directory: AnyPath) -> Path:
    """The directory where the device of a directory is mounted. Blocking."""
    resolved = Path(os.path.realpath(as_path(directory)))
    return next(path for path in (resolved, *resolved.parents) if os.path.ismount(path))


def make_private_directory(directory: AnyPath) -> None:
    """Create a directory that only its owner can read, unless it exists. Its parents are created as usual. Blocking.

    Raises:
        OSError: it cannot be created.
    """
    path = as_path(directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def sync_file(path: AnyPath) -> None:
    """Force a file's bytes to stable storage. Blocking.

    Raises:
        OSError: the file does not exist, or the device failed.
    """
    # Read-only: closing a descriptor that could write would tell the watcher that the segment was closed.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_data(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: AnyPath) -> None:
    """Force a directory's entries, which are the names in it, to stable storage. Blocking.

    Some file systems cannot do this and do not need it: a failure is ignored.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
