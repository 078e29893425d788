"""What differs between the operating systems: each question to the system is asked here, and has an answer everywhere.

| | Linux | macOS (untested) |
|---|---|---|
| file events (watchdog) | inotify, tells of each file that is closed | FSEvents, does not: the tick finds it |
| an ffmpeg outlives its module | for cutting and reading inputs, no (`setpriv`) | until its pipe ends |
| priority of cutting | `nice` | `nice` |
| pipe to ffmpeg | made as wide as a picture | as it is |
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
import shutil
import sys
from collections.abc import Sequence

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
