"""Who has locked a directory, so that the owner of the machine knows which of two recorders to change."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

_LOCKS = Path("/proc/locks")
_INTERPRETER = re.compile(r"python[0-9.]*$")
_PROGRAM = re.compile(r"[\w.+-]{1,64}")
_COMMAND = re.compile(r"[a-z]{1,12}")

_names: dict[tuple[int, int], str] = {}
"""The recorders of this process, by what identifies their locked directories."""


def set_holder(descriptor: int, name: str) -> None:
    """Note which recorder of this process has locked a directory; an empty name is not noted."""
    if name:
        _names[_identity(descriptor)] = name


def forget_holder(descriptor: int) -> None:
    """Forget it, before the directory is unlocked."""
    _names.pop(_identity(descriptor), None)


def holder_of(descriptor: int) -> str:
    """Who has locked an open directory, in words: a recorder of this process by its name, otherwise a process.

    Blocking. If it cannot be known, as in a container of its own, it is "another recorder".
    """
    if name := _names.get(_identity(descriptor)):
        return f"the recorder {name!r}"
    for pid in _processes(descriptor):
        command = ""
        with contextlib.suppress(OSError):
            command = command_of(Path(f"/proc/{pid}/cmdline").read_bytes())
        return f"process {pid} ({command})" if command else f"process {pid}"
    return "another recorder"


def command_of(command_line: bytes) -> str:
    """A program and its command, such as `videostore record`, without arguments: these may hold passwords."""
    words = [os.fsdecode(word) for word in command_line.split(b"\0") if word and not word.startswith(b"-")]
    if len(words) > 1 and _INTERPRETER.match(Path(words[0]).name):
        del words[0]
    program = Path(words[0]).name if words else ""
    if not _PROGRAM.fullmatch(program):
        return ""
    return f"{program} {words[1]}" if len(words) > 1 and _COMMAND.fullmatch(words[1]) else program


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _processes(descriptor: int) -> Iterator[int]:
    """The processes that have locked it, as Linux lists them: `1: FLOCK ADVISORY WRITE 4242 08:01:131 0 EOF`."""
    device, inode = _identity(descriptor)
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    with contextlib.suppress(OSError):
        for line in _LOCKS.read_text(encoding="ascii", errors="replace").splitlines():
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5] == wanted and words[4].isdigit():
                yield int(words[4])
