"""How the program was started: by viam-server as a module, or by a person; and its signals."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Sequence
from typing import Any

_OF_THE_MODULE = ("--log-level", "--tcp-mode")


_IN_AN_ADDRESS = ("/", ".", ":")


def install_signal_handlers() -> None:
    """Let the signals to end do what Ctrl-C does, wherever the program is; but not those that are ignored (`nohup`)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def is_module_invocation(arguments: Sequence[str]) -> bool:
    """Whether these are a module's arguments: the address of a socket, and neither a command nor somebody's file."""
    first = arguments[0] if arguments else ""
    if first.startswith("-"):
        return first.startswith(_OF_THE_MODULE)
    return _is_place(first) and not is_something_else(first)


def is_something_else(argument: str) -> bool:
    """Whether there is something at this path that nobody could serve on: a file or a directory."""
    try:
        return _is_place(argument) and not stat.S_ISSOCK(os.stat(argument).st_mode)
    except (OSError, ValueError):
        return False


def _is_place(argument: str) -> bool:
    return any(mark in argument for mark in _IN_AN_ADDRESS)
