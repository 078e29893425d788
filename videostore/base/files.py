"""Files: what has to reach stable storage, and where a device is mounted. All of it blocks."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from videostore.base.system import sync_data


def mount_point(directory: Path) -> Path:
    """Where the device of a directory is mounted."""
    directory = Path(os.path.realpath(directory))
    return next(path for path in (directory, *directory.parents) if os.path.ismount(path))


def sync_file(path: Path) -> None:
    """Force a file's bytes to stable storage. Blocking."""
    # Read-only: closing a descriptor that could write would tell the watcher that the segment was closed.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_data(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Force a directory's names to stable storage. Blocking."""
    with contextlib.suppress(OSError):  # some file systems cannot, and lose nothing by it
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
