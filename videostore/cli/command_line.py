"""Runs one command line: streams, logging, and one sentence for every error."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Sequence

from videostore.base.errors import ConfigError, FFmpegError, RequestError, VideoStoreError, reason_of
from videostore.base.timestamps import parse_timestamp
from videostore.cli.runtime import FAILED, INTERRUPTED, REFUSED, VERBOSE, OutputError, _discard_output, _Output, tell
from videostore.cli.terminal import visible
from videostore.cli.time_options import written

_ATTRIBUTE = re.compile(r"(?:The attribute )?\b(?:storage|video)\.([a-z_]+)|The attribute ([a-z_]+)")


_TIME = re.compile(r"(?<!')\b\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.\d{3}Z")


_OPTIONS = {"storage_path": "--storage", "upload_path": "--storage"}


def run_command_line(arguments: Sequence[str]) -> int:
    """Carry out a command line, and say what went wrong; the exit code."""
    _open_streams()
    _set_up_logging(VERBOSE in arguments)
    # Names of files need not be characters, nor are all of them everywhere.
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and sys.__stdout__ in (out, None):  # else somebody catches it
        encoding, lines, through = out.encoding, out.line_buffering, out.write_through
        sys.stdout = _Output(out.detach(), encoding, "replace", None, lines, through)
    try:
        code = _call(arguments)
        fault = _flush()
        if isinstance(fault, BrokenPipeError):  # nobody reads on, as behind `| head`
            return code or FAILED
        if fault is not None:
            tell(str(fault))
            return FAILED
        return code
    except KeyboardInterrupt:
        return INTERRUPTED


def _call(arguments: Sequence[str]) -> int:
    verbose = VERBOSE in arguments
    try:
        from videostore.cli.app import call

        return call(arguments)
    except BrokenPipeError:
        _discard_output()
        return FAILED
    except asyncio.CancelledError:
        return INTERRUPTED
    except OutputError as error:
        _discard_output()
        tell(str(error))
        return FAILED
    except VideoStoreError as error:
        tell(_sentence(error, utc="--utc" in arguments))
        if verbose and error.__cause__ is not None:
            _tell_traceback()
        return REFUSED if isinstance(error, (RequestError, ConfigError)) else FAILED
    except Exception as error:  # noqa: BLE001 (the last resort of the whole program)
        again = "" if verbose else f"; run it again with {VERBOSE} for the traceback"
        if verbose:
            _tell_traceback()
        tell(f"This was not foreseen: {reason_of(error)}{again}.")
        return FAILED


def _tell_traceback() -> None:
    with contextlib.suppress(OSError):
        print(visible(traceback.format_exc().rstrip(), "\n"), file=sys.stderr, flush=True)  # noqa: T201


def _open_streams() -> None:
    """Let no file of ours become a standard stream where one was closed (`>&-`), and writing results to it fail."""
    for number, name, mode in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def _flush() -> Exception | None:
    """Write out what is left of the results; what keeps them from it."""
    try:
        sys.stdout.flush()
    except (OSError, OutputError) as error:
        _discard_output()
        return error
    return None


def _sentence(error: VideoStoreError, *, utc: bool) -> str:
    """What the error says, in the words of the command line, and with times as it shows them."""
    if isinstance(error, FFmpegError) and isinstance(error.__cause__, FFmpegError):
        return f"The clip could not be cut: {error.__cause__}"  # there is no log of a module
    text = _TIME.sub(lambda match: written(parse_timestamp(match[0], "time"), utc=utc), str(error))
    if isinstance(error, ConfigError) or "storage_path" in text:
        text = _ATTRIBUTE.sub(lambda match: _option(match[1] or match[2]), text)
    return text


def _option(attribute: str) -> str:
    return _OPTIONS.get(attribute, "--" + attribute.replace("_", "-"))


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), "\n")


def _set_up_logging(verbose: bool) -> None:
    root = logging.getLogger()
    if not verbose:
        root.addHandler(logging.NullHandler())  # else Python prints warnings by itself
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    logging.getLogger("videostore").setLevel(logging.DEBUG)
