"""The signals that end the program."""

from __future__ import annotations

import atexit
import os
import signal
from typing import Any

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def install_signal_handlers() -> None:
    """Make SIGTERM and SIGHUP do what Ctrl-C does. Signals that are ignored, as under `nohup`, stay ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def is_ignored(number: signal.Signals) -> bool:
    """Whether a signal is ignored, as SIGHUP is under `nohup`."""
    return signal.getsignal(number) is signal.SIG_IGN


def exit_on_signals(code: int) -> None:
    """From now on, let a signal end the process at once: everything is closed, and the exit code is known.

    Python waits for threads, which may hang, then runs what is registered here, and then removes its handlers.
    """
    for number in END_SIGNALS:
        if not is_ignored(number):
            signal.signal(number, lambda *_: os._exit(code))
    atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
