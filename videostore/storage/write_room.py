"""Room to write: whether a file system takes what the recording needs next, whatever the number of its free bytes says.

A quota of a user, a project or a share, and the number of files, are limits that free bytes do not show. What is
certain is only an attempt.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a file system answers if deleting files can help. Others, such as EIO, say that something is broken."""

_FILES = 8
"""For the next segments, the files of the index and the workspace of a clip."""
_NAME = ".room-{}"
_MOST_BYTES = 256 << 20
"""Some file systems have to write that."""


def lacking_room(directory: Path, size_bytes: int) -> str | None:
    """Why a directory does not take a few more files, one of this size; None if it does. Blocking.

    Errors that deleting files cannot cure are passed over: the recording itself meets them, and reports them.
    """
    descriptors: list[int] = []
    names: list[Path] = []
    try:
        for number in range(_FILES):
            descriptors.append(_create(directory, directory / _NAME.format(number), names))
        os.posix_fallocate(descriptors[0], 0, max(size_bytes, 1))
    except OSError as error:
        return os.strerror(error.errno) if error.errno in FULL_ERRORS else None
    finally:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        for name in names:
            with contextlib.suppress(OSError):
                name.unlink()
    return None


def _create(directory: Path, name: Path, names: list[Path]) -> int:
    """Open a file that vanishes when it is closed; where there are none, one with a name, which is added to `names`."""
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o600)
        except OSError as error:
            if error.errno in FULL_ERRORS:
                raise
    descriptor = os.open(name, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    names.append(name)
    return descriptor


def try_to_write(path: Path, size_bytes: int) -> None:
    """Create a file of a size, at most 256 MiB, and remove it. It must not exist. Blocking.

    Raises:
        OSError: that is not possible, for this reason.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, min(max(size_bytes, 1), _MOST_BYTES))
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()
