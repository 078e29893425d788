"""How a command ends: its exit code, and one sentence for whoever called it."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Coroutine, Sequence
from typing import Any

from videostore.cli.moments import written
from videostore.errors import ConfigError, FFmpegError, RequestError, VideoStoreError, reason_of
from videostore.timestamps import parse_timestamp

DONE = 0
FAILED = 1
REFUSED = 2
"""A mistake of the user: a wrong argument, or nothing is stored in the range."""
INCOMPLETE = 3
"""It is done, but not all of it was there; or `verify` has found something."""
INTERRUPTED = 130

VERBOSE = "--verbose"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ATTRIBUTE = re.compile(r"(?:The attribute )?\b(?:storage|video)\.([a-z_]+)|The attribute ([a-z_]+)")
_TIME = re.compile(r"(?<!')\b\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.\d{3}Z")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
_OPTIONS = {"storage_path": "--storage", "upload_path": "--storage"}
_ENDS = (".", "?", "…", "!")


def carry_out(arguments: Sequence[str]) -> int:
    """Carry out a command line, and say what went wrong; the exit code."""
    verbose = VERBOSE in arguments
    _set_up_logging(verbose)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # names of files need not be characters, nor are all of them everywhere
            stream.reconfigure(errors="replace")
    try:
        from videostore.cli.app import call

        code = call(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # nobody reads on, as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except VideoStoreError as error:
        tell(_sentence(error, utc="--utc" in arguments))
        if verbose and error.__cause__ is not None:
            traceback.print_exc()
        return REFUSED if isinstance(error, (RequestError, ConfigError)) else FAILED
    except Exception as error:  # noqa: BLE001 (the last resort of the whole program)
        if verbose:
            traceback.print_exc()
            tell(f"This was not foreseen: {reason_of(error)}.")
        else:
            tell(f"This was not foreseen: {reason_of(error)}; run it again with {VERBOSE} for the traceback.")
        return FAILED


def tell(sentence: str) -> None:
    """Say something to the person, beside the results."""
    sys.stdout.flush()
    sentence = _CREDENTIALS.sub("…@", _one_line(sentence))
    print(f"videostore: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 (it is what is wanted)


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end and return its exit code; a signal to end cancels it, and it closes all that it owns."""
    return asyncio.run(_attend(work))


async def _attend(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:  # a second one must not cut the closing short
            interrupted = True
            task.cancel()

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            asyncio.get_running_loop().add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted:
            return INTERRUPTED
        raise


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


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(_ENDS) else f"{text}."


def _set_up_logging(verbose: bool) -> None:
    root = logging.getLogger()
    if not verbose:
        root.addHandler(logging.NullHandler())  # else Python prints warnings by itself
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    logging.getLogger("videostore").setLevel(logging.DEBUG)
