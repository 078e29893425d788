"""Runs one command line: streams, logging, and one sentence for every error."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Sequence

from videostore.base.errors import ConfigError, RequestError, VideoStoreError, reason_of
from videostore.cli.output import OutputError, discard_output, flush_output, prepare_standard_streams
from videostore.cli.runtime import FAILED, INTERRUPTED, REFUSED, VERBOSE, print_message
from videostore.cli.style import CommandLineStyle, sentence_of
from videostore.cli.text import printable_lines


def run_command_line(arguments: Sequence[str]) -> int:
    """Run a command line, and report what went wrong. Returns the exit code."""
    prepare_standard_streams()
    _set_up_logging(VERBOSE in arguments)
    try:
        code = _run(arguments)
        error = flush_output()
        if isinstance(error, BrokenPipeError):  # the reader has stopped, as `| head` does
            return code or FAILED
        if error is not None:
            print_message(str(error))
            return FAILED
        return code
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    verbose = VERBOSE in arguments
    try:
        from videostore.cli.app import dispatch

        return dispatch(arguments)
    except BrokenPipeError:
        discard_output()
        return FAILED
    except OutputError as error:
        discard_output()
        print_message(str(error))
        return FAILED
    except VideoStoreError as error:
        print_message(sentence_of(error, _style(arguments)))
        if verbose and error.__cause__ is not None:
            _print_traceback()
        return REFUSED if isinstance(error, (RequestError, ConfigError)) else FAILED
    except Exception as error:  # noqa: BLE001 (the last resort of the whole program)
        again = "" if verbose else f" Run the command again with {VERBOSE} for the traceback."
        if verbose:
            _print_traceback()
        print_message(f"Unexpected error: {reason_of(error)}.{again}")
        return FAILED


def _style(arguments: Sequence[str]) -> CommandLineStyle:
    remote = any(one.partition("=")[0] == "--machine" for one in arguments)
    return CommandLineStyle(utc="--utc" in arguments, options=not remote)


def _print_traceback() -> None:
    with contextlib.suppress(OSError):
        print(printable_lines(traceback.format_exc().rstrip()), file=sys.stderr, flush=True)  # noqa: T201


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


def _set_up_logging(verbose: bool) -> None:
    root = logging.getLogger()
    if not verbose:
        root.addHandler(logging.NullHandler())  # without a handler, Python itself prints warnings
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    logging.getLogger("videostore").setLevel(logging.DEBUG)
