"""The command line: `videostore`, and `python -m videostore`.

A file per command (`state`, `export`, `play`, `record`, `serve`, `verify`); `app` has their arguments and help,
`screen` what is drawn, `outcome` how a command ends: its exit code, and the sentence for the person.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from videostore.cli.invocation import install_signal_handlers, is_module_invocation

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Carry out a command line, or be the module where viam-server has started the program; never returns.

    The module imports nothing of what the command line draws and parses with, nor the other way round.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if is_module_invocation(arguments):
        from videostore.viam.module import main as serve

        serve(arguments)
    install_signal_handlers()
    try:
        from videostore.cli.command_line import run_command_line

        code = run_command_line(arguments)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # all is closed, and a late one changes nothing
                signal.signal(number, lambda *_: os._exit(code))
    except KeyboardInterrupt:  # while all that is being imported
        code = _INTERRUPTED
    sys.exit(code)
