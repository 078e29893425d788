"""The command line: `videostore`, and `python -m videostore`.

- `invocation` finds out how the program was started, and `signals` has the signals that end it.
- `command_line` runs one command line: streams (`output`), logging, and one sentence for every error (`style`).
- `app` has the arguments and the help of the commands. What several commands take is in `options`, `arguments`,
  `environment`, `time_options`, `machine_options` and `storage_directory`.
- `state`, `export`, `play`, `verify`, `events`, `record` and `serve` are the commands. They read a directory through
  `local_store`, draw on the `terminal`, and report `gaps`.
- `runtime` has the exit codes and runs a command until it ends or a signal comes.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import NoReturn

from videostore.cli.invocation import is_module_invocation, is_picture_child, is_reading_child, is_web_child
from videostore.cli.signals import exit_on_signals, install_signal_handlers

_INTERRUPTED = 130
"""As in `runtime`, which may not be imported yet when it is needed."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line, or the module if viam-server has started the program. Never returns.

    The module imports nothing that the command line needs for parsing and drawing, nor the other way round.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if is_module_invocation(arguments):
        gc.disable()  # the imports leave no garbage worth looking for; the module enables it
        from videostore.viam.module import main as run_module

        run_module(arguments)
    if is_web_child(arguments):
        from videostore.web.child import main as serve_module

        serve_module()
    if is_picture_child(arguments):
        from videostore.clips.picture_child import main as decode_pictures

        decode_pictures()
    if is_reading_child(arguments):
        from videostore.storage.reading_processes import serve

        serve(sys.stdin.buffer, sys.stdout.buffer)
        sys.exit(0)
    install_signal_handlers()
    try:
        from videostore.cli.command_line import run_command_line

        code = run_command_line(arguments)
        exit_on_signals(code)
    except KeyboardInterrupt:  # a signal during the imports
        code = _INTERRUPTED
        exit_on_signals(code)
    sys.exit(code)
