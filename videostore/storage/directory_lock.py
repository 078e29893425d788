"""The lock on a storage directory: only one recorder can use a directory at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from videostore.base.errors import VideoStoreError
from videostore.base.files import make_private_directory, mount_point
from videostore.storage.lock_holder import forget_holder, holder_of, set_holder

_ATTRIBUTE = "storage.storage_path"
_LOOK_S = 0.05
"""Looking whether a directory is locked locks it for some microseconds."""


class DirectoryLock:
    """Holds a lock on a directory, and notices when the directory is replaced. Owns a descriptor until `release`."""

    def __init__(self, directory: Path, holder: str = "") -> None:
        """Create the directory if it does not exist, and lock it, for the recorder `holder`. Blocking.

        Raises:
            OSError: it cannot be created or opened.
            VideoStoreError: another recorder has locked it (`storage-in-use`).
        """
        self._descriptor = -1
        make_private_directory(directory)
        self._directory = directory
        self._holder = holder
        self._descriptor = _lock(directory)
        set_holder(self._descriptor, holder)
        self._mount = mount_point(directory)

    def release(self) -> None:
        """Unlock the directory. The system does the same when the process ends, even if it is killed."""
        if self._descriptor >= 0:
            forget_holder(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.release()  # who waited for it was cancelled, as where the disk hangs for long

    def is_in_place(self) -> bool:
        """Whether the directory that has the path now is the one that was locked. Blocking.

        Raises:
            OSError: that cannot be seen.
        """
        ours = os.fstat(self._descriptor)
        with contextlib.suppress(FileNotFoundError):
            current = self._directory.stat()
            return (current.st_dev, current.st_ino) == (ours.st_dev, ours.st_ino)
        return False

    def renew(self) -> bool:
        """Lock the directory that has the path now; create it if there is none. False if it is still the same one.

        Blocking.

        Raises:
            VideoStoreError: its device is gone (`storage-device-gone`), or another recorder has locked the directory
                (`storage-in-use`).
            OSError: it cannot be created or opened.
        """
        if self.is_in_place():
            return False
        if not os.path.ismount(self._mount):
            # Files written there now would fill another disk, and be hidden when the device is back.
            raise VideoStoreError("storage-device-gone", attribute=_ATTRIBUTE, path=self._directory)
        make_private_directory(self._directory)
        descriptor = _lock(self._directory)
        forget_holder(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = descriptor
        set_holder(descriptor, self._holder)
        self._mount = mount_point(self._directory)
        return True


def is_locked(directory: Path) -> bool:
    """Whether a recorder uses a directory; also true where that cannot be found out. Blocking."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # a recorder has it, or the file system has no locks
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(directory: Path) -> int:
    descriptor = os.open(directory, os.O_RDONLY)
    for pause_s in (_LOOK_S, None):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if pause_s is not None:  # it may be `is_locked` that looks
                time.sleep(pause_s)
                continue
            holder = holder_of(descriptor)
            os.close(descriptor)
            raise VideoStoreError("storage-in-use", attribute=_ATTRIBUTE, path=directory, holder=holder) from error
        except OSError:  # a file system without locks
            pass
        break
    return descriptor
