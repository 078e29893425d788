"""The processes that a test has started, read while each of them may end at any moment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil


def running_children(of: psutil.Process | None = None, word: str = "") -> list[psutil.Process]:
    """The processes below one, this one by default, that have not ended, with this word in their command line."""
    found = []
    for child in (of or psutil.Process()).children(recursive=True):
        command = command_of(child)
        if command and (not word or word in command):
            found.append(child)
    return found


def stopped_children() -> list[psutil.Process]:
    """The processes below this one that a signal has stopped."""
    return [one for one in psutil.Process().children(recursive=True) if _status(one) == psutil.STATUS_STOPPED]


def command_of(process: psutil.Process) -> list[str]:
    """Its command line, empty if it has ended."""
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def shown_by(processes: Iterable[psutil.Process]) -> list[str]:
    """What the list of processes shows of them: command lines and environments."""
    words = []
    for one in processes:
        with contextlib.suppress(psutil.Error):
            words += [*one.cmdline(), *one.environ().values()]
    return words


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill those that have not ended by themselves."""
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def _status(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return str(process.status())
    return ""
