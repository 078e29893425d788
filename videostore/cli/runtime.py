"""What every command needs while it runs: exit codes, messages on standard error, and an end on a signal."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from videostore.base.errors import printable, redact
from videostore.cli.output import OutputError
from videostore.cli.signals import END_SIGNALS, install_signal_handlers, is_ignored

DONE = 0
FAILED = 1
REFUSED = 2
INCOMPLETE = 3
INTERRUPTED = 130

EXIT_CODES = {
    DONE: "done",
    FAILED: "failed, for example because of the disk, ffmpeg or the connection",
    REFUSED: "wrong arguments, or nothing is stored in the range",
    INCOMPLETE: "completed, but part of the range was missing",
    INTERRUPTED: "interrupted; no partial files are left",
}
"""What each exit code means, as the help says it. A command may mean something more exact by 3."""

VERBOSE = "--verbose"
_SENTENCE_ENDS = (".", "?", "…", "!")


_on_second_signal: list[Callable[[], object]] = []


@contextlib.contextmanager
def second_signal(call: Callable[[], object]) -> Iterator[None]:
    """Meanwhile, call this when the user interrupts once more. Otherwise nothing cuts the closing short."""
    _on_second_signal.append(call)
    try:
        yield
    finally:
        _on_second_signal.remove(call)


def print_message(sentence: str) -> None:
    """Print a message on standard error, as one line and without the passwords in URLs."""
    sentence = redact(" ".join(sentence.split()))
    if not sentence.endswith(_SENTENCE_ENDS):
        sentence += "."
    with contextlib.suppress(OSError, OutputError):  # that the results cannot be written is reported at the end
        sys.stdout.flush()
    with contextlib.suppress(OSError):  # there is no other place for the message
        print(f"videostore: {printable(sentence)}", file=sys.stderr, flush=True)  # noqa: T201


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command until it returns its exit code. A signal to end cancels it, and it closes everything it owns."""
    import asyncio  # slow to import, and the help does not need it

    # Not the loop's own signal handlers: closing the loop removes these, and a signal would then kill the process.
    install_signal_handlers()
    handlers = {number: signal.getsignal(number) for number in END_SIGNALS if not is_ignored(number)}
    try:
        return asyncio.run(_run_until_signal(work, handlers))
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


async def _run_until_signal(work: Coroutine[Any, Any, int], numbers: Iterable[signal.Signals]) -> int:
    import asyncio

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted:  # a second signal must not cut the closing short
            for call in _on_second_signal:
                call()
            return
        interrupted = True
        task.cancel()

    def handle(number: int, frame: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the command has ended
            loop.call_soon_threadsafe(interrupt)

    for number in numbers:
        signal.signal(number, handle)
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED
