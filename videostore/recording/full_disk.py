"""A full disk, in words of ours: what ffmpeg says of it names a file and a number, and no way out."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from pathlib import Path

from videostore.base.errors import FFmpegError
from videostore.base.tasks import off_loop

_LOOK_S = 2.0
"""The answer does not wait longer for a disk."""
_FULL, _QUOTA = os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT)


async def full_disk(directory: Path, said: str) -> FFmpegError | None:
    """The error of an ffmpeg that could not write into a directory because it has no room, by what ffmpeg said; None if
    it failed for another reason.
    """
    if _QUOTA in said:
        return FFmpegError("storage-full-quota", path=directory, reason=said)
    if _FULL not in said:
        return None
    free_bytes, free_files = None, None
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        free_bytes, free_files = await asyncio.wait_for(off_loop(_free, directory), _LOOK_S)
    if free_files == 0:
        return FFmpegError("storage-full-files", path=directory, reason=said)
    if free_bytes is None:
        return None
    return FFmpegError("storage-full", path=directory, free_bytes=free_bytes, reason=said)


def _free(directory: Path) -> tuple[int, int | None]:
    """Free bytes and files of a file system; None if it has no limit of files. Blocking."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
