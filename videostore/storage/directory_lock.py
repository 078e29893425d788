"""A claim: this process's hold on its storage directory, which no second recorder can have at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from videostore.base.errors import VideoStoreError
from videostore.base.files import mount_point


class DirectoryLock:
    """Owns a descriptor of the directory, by which it is also known whether the directory is still the same."""

    def __init__(self, directory: Path) -> None:
        """Make the directory if needed, and claim it. Blocking.

        Raises:
            OSError: it cannot be made or opened.
            VideoStoreError: another recorder has claimed it.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._descriptor = _lock(directory)
        self._mount = mount_point(directory)

    def release(self) -> None:
        """Leave the directory to others; the system does so by itself when the process ends, however it does."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def renew(self) -> bool:
        """Lock the directory that has the name now; create it if there is none. False if it is still the same one.

        Blocking.

        Raises:
            VideoStoreError: the device that it was on is gone, or another recorder has claimed it.
            OSError: it cannot be made or opened.
        """
        ours = os.fstat(self._descriptor)
        with contextlib.suppress(FileNotFoundError):
            there = self._directory.stat()
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return False
        if not os.path.ismount(self._mount):
            # What is written there now would fill another disk, and be hidden when this one comes back.
            raise VideoStoreError(
                f"The device of storage.storage_path {str(self._directory)!r} is gone; the recording waits for it"
            )
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor = _lock(self._directory)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._mount = mount_point(self._directory)
        return True


def _lock(directory: Path) -> int:
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
