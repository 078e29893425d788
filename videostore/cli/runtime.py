"""How a command ends: its exit code, and one sentence for whoever called it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

from videostore.base.errors import VideoStoreError, reason_of
from videostore.cli.invocation import install_signal_handlers
from videostore.cli.terminal import visible

DONE = 0
FAILED = 1
REFUSED = 2
"""A mistake of the user: a wrong argument, or nothing is stored in the range."""
INCOMPLETE = 3
"""It is done, but not all of it was there; or `verify` has found something."""
INTERRUPTED = 130

VERBOSE = "--verbose"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
_ENDS = (".", "?", "…", "!")


class OutputError(VideoStoreError):
    """The standard output takes nothing."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"The standard output cannot be written to: {reason_of(error)}.")


class _Output(io.TextIOWrapper):
    """The standard output, whose faults are told from those of all other files."""

    def write(self, text: str, /) -> int:
        with _as_output_error():
            return super().write(text)

    def flush(self) -> None:
        with _as_output_error():
            super().flush()


@contextlib.contextmanager
def _as_output_error() -> Iterator[None]:
    try:
        yield
    except (BrokenPipeError, BlockingIOError):
        raise
    except OSError as error:
        raise OutputError(error) from error


def tell(sentence: str) -> None:
    """Say something to the person, beside the results."""
    sentence = _CREDENTIALS.sub("…@", _one_line(sentence))
    with contextlib.suppress(
        OSError, OutputError
    ):  # the results are told about at the end, and of a lost message nobody can be
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        print(f"videostore: {visible(sentence)}", file=sys.stderr, flush=True)  # noqa: T201 (it is what is wanted)


def _discard_output() -> None:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end and return its exit code; a signal to end cancels it, and it closes all that it owns."""
    try:
        return asyncio.run(_attend(work))
    finally:
        install_signal_handlers()  # the loop has taken its handlers with it


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


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(_ENDS) else f"{text}."
