"""What differs between operating systems. The rest of the program asks here, and gets an answer on every system.

| | Linux | macOS (untested) |
|---|---|---|
| file events (watchdog) | inotify reports every closed file | FSEvents does not: the regular check finds it |
| an ffmpeg outlives the module | not for cutting and reading inputs (`setpriv`) | until its pipe ends |
| priority of cutting | `nice` | `nice` |
| pipe to ffmpeg | enlarged to hold an image | unchanged |
| a deleted file stays readable by other processes | by a name in `/proc` | no |
| whether a process holds a lock on a file | asked of the system | assumed |
| renaming to a free name in one step | `renameat2`, if the file system can | by hard links |
| writing data without metadata to disk | `fdatasync` | `fsync` |
| memory of the process | one pool, returned after large responses (glibc) | unchanged |
| memory of encoders | in small pages | unchanged |
| processors that may be used | asked of the system | those of the machine |
| encoders for h264 and h265 | x264, x265, OpenH264 | the same, else VideoToolbox |
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import re
import resource
import shutil
import struct
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

LINUX = sys.platform == "linux"
MACOS = sys.platform == "darwin"

ENCODERS = {
    "h264": ("libx264", "libopenh264", *(["h264_videotoolbox"] if MACOS else [])),
    "h265": ("libx265", *(["hevc_videotoolbox"] if MACOS else [])),
}
"""ffmpeg's encoders for each codec, the best first. Hardware encoders are used only if the config names them."""

IDR_OPTIONS = {"libx265": "forced-idr", "_nvenc": "forced-idr", "_amf": "forced-idr", "_qsv": "forced_idr"}
"""By the end of an encoder's name: the option that makes decoding able to begin at a forced keyframe."""

_GIVE_WAY_S = 0.001
_ARENA_MAX = -8
"""`M_ARENA_MAX` of glibc's malloc.h."""
_PR_SET_THP_DISABLE = 41
"""Of Linux's prctl.h."""
_FLOCK = "hhqqi0q"
"""`struct flock` of Linux: type, whence, start, length, process, and padding to the system's size."""
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
"""Of Linux's fcntl.h and fs.h."""
_SPARE_DESCRIPTORS = 256
"""For pipes, connections, the database and the rest of the program."""


def subordinate(command: Sequence[str], niceness: int = 0) -> list[str]:
    """The command with a lower priority, if asked for, and, on systems that can, ended together with this process.

    Both must be set before it starts: a priority that is set later does not apply to threads that already exist.
    """
    nice = _program("nice") if niceness else None
    prefix = [nice, "-n", str(niceness)] if nice else []
    setpriv = _program("setpriv") if LINUX else None
    return [*prefix, *([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []), *command]


def lower_priority(process_id: int, niceness: int) -> None:
    """Lower the priority of a process that has started, with all of its threads. Those that start later inherit it.

    Linux counts each thread by itself, so one that exists already has to be set too.
    """
    wanted, done = min(os.getpriority(os.PRIO_PROCESS, 0) + niceness, 19), set[int]()
    with contextlib.suppress(OSError):  # it has ended
        os.setpriority(os.PRIO_PROCESS, process_id, wanted)
        while LINUX and (found := set(map(int, os.listdir(f"/proc/{process_id}/task"))) - done):
            for thread in found:
                with contextlib.suppress(ProcessLookupError):
                    os.setpriority(os.PRIO_PROCESS, thread, wanted)
            done |= found


@functools.cache
def _program(name: str) -> str | None:
    return shutil.which(name)


def forbid_core_dump(process_id: int) -> None:
    """Let a process leave no image of its memory when it crashes, on systems that can: it holds a password."""
    if LINUX:
        with contextlib.suppress(OSError, AttributeError, ValueError):  # it has ended
            _, most = resource.prlimit(process_id, resource.RLIMIT_CORE)
            resource.prlimit(process_id, resource.RLIMIT_CORE, (0, most))


def widen_pipe(descriptor: int, size_bytes: int) -> None:
    """Enlarge a pipe to this size, on systems that can: then one write is enough for an image."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # the limit is shared by all pipes of a user
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size_bytes)


def pipe_bytes(descriptor: int) -> int:
    """How much a pipe can hold; 0 where the system does not tell."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    return 0


def unread_bytes(descriptor: int) -> int:
    """How much was written to a pipe and is not read yet; 0 where the system does not tell."""
    answer = array.array("i", [0])
    try:
        fcntl.ioctl(descriptor, termios.FIONREAD, answer)
    except OSError:
        return 0
    return answer[0]


def name_of_descriptor(descriptor: int) -> str | None:
    """A name by which this process and its children can open an open file even after it is deleted; None if none."""
    name = f"/proc/{os.getpid()}/fd/{descriptor}"
    return name if LINUX and os.path.exists(name) else None


def descriptor_room(wanted: int) -> int:
    """How many of `wanted` files can be open at once. Raises this process's limit if it is too low."""
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


def processors() -> int:
    """How many processors this process may use: a container has fewer than its machine."""
    return len(os.sched_getaffinity(0)) if LINUX else os.cpu_count() or 1


def file_system(directory: Path) -> str:
    """The kind of the file system of a directory; empty where the system does not tell. Blocking."""
    if not LINUX:
        return ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/mounts").read_bytes().splitlines()
        # A later mount hides an earlier one. Spaces in the path of one are escaped: `\040`.
        kinds = {_unescaped(fields[1]): os.fsdecode(fields[2]) for line in lines if len(fields := line.split()) > 2}
        resolved = directory.resolve()
        return next((kinds[one] for one in map(str, (resolved, *resolved.parents)) if one in kinds), "")
    return ""


def _unescaped(path: bytes) -> str:
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), path))


def is_held(path: Path) -> bool:
    """Whether a process holds a lock on a file, without taking one; True if that cannot be determined. Blocking.

    Closing a descriptor drops this process's own locks on its file. So the file is opened only if the system's list,
    which includes this process's locks, has no lock on it. The locks of other containers are not in that list.
    """
    if not LINUX:
        return True
    try:
        inode = str(path.stat().st_ino)
        with open("/proc/locks", encoding="ascii") as file:
            # `1: POSIX  ADVISORY  READ 1234 fd:00:5678 128 128`; some file systems have another device number there
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


def rename_exclusively(source: Path, target: Path) -> bool:
    """Rename a file in one step unless the new name exists; False if this system or file system cannot. Blocking.

    Raises:
        FileExistsError: the new name exists.
        OSError: the file cannot be renamed.
    """
    if not LINUX:
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # another C library
        return False
    if rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.EEXIST, errno.ENOENT):
        raise OSError(error, os.strerror(error), str(target if error == errno.EEXIST else source))
    return False


def sync_data(descriptor: int) -> None:
    """Force a file's bytes to stable storage. Blocking."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def share_memory() -> None:
    """Let all threads allocate from one pool. With its own pool each would keep the memory of its largest response.

    Measured after fetches of 8 MB each: 74 MB instead of 146.
    """
    if LINUX:
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def avoid_huge_pages() -> None:
    """Give this process, and those that it starts from here on, memory in small pages.

    x264 asks for pages of 2 MiB for its pictures and fills few of them. Measured while recording 720p: 80 MB instead of
    87 for ffmpeg, and 0.4 % more CPU.
    """
    if LINUX:
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def favour_event_loop() -> None:
    """Let a thread that is busy in Python give way after 1 ms instead of 5, each time that the event loop wants to run.

    One turn of the loop may have to ask several times. Measured beside a thread that packs a plan, half of all turns
    begin within 1.7 ms instead of 5.7.
    """
    sys.setswitchinterval(_GIVE_WAY_S)


def return_memory() -> None:
    """Return free memory to the system; glibc would keep it."""
    if LINUX:
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
