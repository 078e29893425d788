"""What differs between the operating systems: each question to the system is asked here, and has an answer everywhere.

| | Linux | macOS (untested) |
|---|---|---|
| file events (watchdog) | inotify, tells of each file that is closed | FSEvents, does not: the tick finds it |
| an ffmpeg outlives its module | for cutting and reading inputs, no (`setpriv`) | until its pipe ends |
| priority of cutting | `nice` | `nice` |
| pipe to ffmpeg | made as wide as a picture | as it is |
| a file that somebody deletes stays readable by others | by a name in `/proc` | no |
| whether somebody holds a lock on a file | by its locks | taken for granted |
| data without metadata to disk | `fdatasync` | `fsync` |
| memory of the process | one pool, given back after large answers (glibc) | as it is |
| encoders of the name h264, h265 | x264, x265, OpenH264 | the same, else VideoToolbox |
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import resource
import shutil
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

LINUX = sys.platform == "linux"
MACOS = sys.platform == "darwin"

ENCODERS = {
    "h264": ("libx264", "libopenh264", *(["h264_videotoolbox"] if MACOS else [])),
    "h265": ("libx265", *(["hevc_videotoolbox"] if MACOS else [])),
}
"""Encoders of ffmpeg for each codec, the best first. Those of hardware are named by who has it."""

IDR_OPTIONS = {"libx265": "forced-idr", "_nvenc": "forced-idr", "_amf": "forced-idr", "_qsv": "forced_idr"}
"""By how an encoder's name ends: the option without which a keyframe that is asked for is none to begin with."""

_ARENA_MAX = -8
"""`M_ARENA_MAX` of glibc's malloc.h."""
_FLOCK = "hhqqi0q"
"""`struct flock` of Linux: type, whence, start, length, process; as long as the system's."""
_SPARE_DESCRIPTORS = 256
"""What pipes, connections and the database take, and whatever else the program does."""


def subordinate(command: Sequence[str], niceness: int = 0) -> list[str]:
    """A command at a lower priority, if so asked, that does not outlive this process where the system can have that.

    Both have to hold before it begins: a priority that is set later does not reach the threads that it has by then.
    """
    nice = _program("nice") if niceness else None
    prefix = [nice, "-n", str(niceness)] if nice else []
    setpriv = _program("setpriv") if LINUX else None
    return [*prefix, *([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []), *command]


@functools.cache
def _program(name: str) -> str | None:
    return shutil.which(name)


def widen_pipe(descriptor: int, size_bytes: int) -> None:
    """Let a pipe hold so much, where the system can: writing takes fewer turns then, no more."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # the limit is shared by all pipes of a user
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size_bytes)


def name_of_descriptor(descriptor: int) -> str | None:
    """A name by which this process and its children open an open file, though it has no other any more; None: none."""
    name = f"/proc/{os.getpid()}/fd/{descriptor}"
    return name if LINUX and os.path.exists(name) else None


def descriptor_room(wanted: int) -> int:
    """How many of so many files may be opened at once; more are allowed to this process where that takes it."""
    if not LINUX:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    try:
        taken = len(os.listdir("/proc/self/fd")) + _SPARE_DESCRIPTORS
    except OSError:
        return 0
    if taken + wanted > soft:
        more = taken + wanted if hard == resource.RLIM_INFINITY else min(hard, taken + wanted)
        with contextlib.suppress(OSError, ValueError):
            if more > soft:
                resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
                soft = more
    return max(0, min(wanted, soft - taken))


def is_held(path: Path) -> bool:
    """Whether a process holds a lock on a file, found out without taking one; yes where that cannot be told. Blocking.

    To close a descriptor drops this process' own locks on its file. So none is opened before the system's list, in
    which its own are, has told that there are none; the locks of other containers are not in the list.
    """
    if not LINUX:
        return True
    try:
        inode = str(path.stat().st_ino)
        with open("/proc/locks", encoding="ascii") as file:
            # `1: POSIX  ADVISORY  READ 1234 fd:00:5678 128 128`; some file systems tell another device there
            if any(f":{inode} " in line for line in file):
                return True
        descriptor = os.open(path, os.O_RDONLY)
        try:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
            return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)
        finally:
            os.close(descriptor)
    except (OSError, struct.error):
        return True


def sync_data(descriptor: int) -> None:
    """Force a file's bytes to stable storage. Blocking."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def share_memory() -> None:
    """Let all threads take memory from one pool: of its own, each would keep what a large answer needed for a moment.

    Measured after fetches of 8 MB each: 74 MB instead of 146.
    """
    if LINUX:
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def return_memory() -> None:
    """Give memory that is free back to the system; glibc would keep it."""
    if LINUX:
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
