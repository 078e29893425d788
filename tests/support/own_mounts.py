"""Mounts of this process alone: whatever a test mounts ends with it, even if it is killed."""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNS = 0x20000
_MS_REC_SLAVE = 0x4000 | 0x80000


def keep_own_mounts() -> bool:
    """Give the calling thread, and all that it starts, its own view of what is mounted. False if that is not allowed.

    What is mounted elsewhere is still seen.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # os.unshare is there since Python 3.12.
    unshare, mount = getattr(libc, "unshare", None), getattr(libc, "mount", None)
    if unshare is None or mount is None or os.geteuid() != 0 or unshare(_CLONE_NEWNS):
        return False
    return not mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC_SLAVE), None)


def open_mounts() -> int:
    """What is mounted for the calling thread, as a descriptor for `enter_mounts`."""
    return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)


def enter_mounts(mounts: int) -> None:
    """Let this process, which must have one thread, see what is mounted there. Its working directory becomes the root.

    Raises:
        OSError: it is not allowed.
    """
    if os.path.sameopenfile(mounts, ours := open_mounts()):
        os.close(ours)
        return
    os.close(ours)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(mounts, _CLONE_NEWNS):  # os.setns is there since Python 3.12
        raise OSError(ctypes.get_errno(), "setns")
