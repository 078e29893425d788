"""The command line: `videostore`, and `python -m videostore`.

A file per command (`state`, `export`, `play`, `record`, `serve`, `verify`); `app` has their arguments and help,
`screen` what is drawn, `outcome` how a command ends: its exit code, and the sentence for the person.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

_OF_THE_MODULE = ("--log-level", "--tcp-mode")
_IN_AN_ADDRESS = ("/", ".", ":")
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Carry out a command line, or be the module where viam-server has started the program; never returns.

    The module imports nothing of what the command line draws and parses with, nor the other way round.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if is_for_module(arguments):
        from videostore.viam.module import main as serve

        serve(arguments)
    heed_signals()
    try:
        from videostore.cli.outcome import carry_out

        code = carry_out(arguments)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # all is closed, and a late one changes nothing
                signal.signal(number, lambda *_: os._exit(code))
    except KeyboardInterrupt:  # while all that is being imported
        code = _INTERRUPTED
    sys.exit(code)


def heed_signals() -> None:
    """Let the signals to end do what Ctrl-C does, wherever the program is; but not those that are ignored (`nohup`)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def is_for_module(arguments: Sequence[str]) -> bool:
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
