"""Tells errors of a command that goes on, and wrong passwords, a line for each, without `--verbose`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from videostore.base.errors import reason_of
from videostore.cli.runtime import print_message
from videostore.cli.time_options import format_time, now_us
from videostore.ffmpeg.message_limit import MessageLimit

_MOST_CHARS = 500


_WARNS = "videostore.web.guard"
"""Whose warnings are told too: they name those who send wrong passwords."""


class _ErrorLines(logging.Handler):
    """Prints what is logged as an error: one of a kind in a minute."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._limit = MessageLimit()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().rstrip(".")
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += f": {type(error).__name__}: {reason_of(error)}"
        if (told := self._limit.pass_on(text[:_MOST_CHARS])) is not None:
            print_message(f"{format_time(now_us())}  {told}")


@contextlib.contextmanager
def errors_told(*, verbose: bool) -> Iterator[None]:
    """While this lasts, errors are told, unless the whole log is shown anyway."""
    if verbose:
        yield
        return
    told = [(logging.getLogger("videostore"), _ErrorLines(logging.ERROR))]
    told.append((logging.getLogger(_WARNS), _ErrorLines(logging.WARNING)))
    told[-1][1].addFilter(lambda record: record.levelno < logging.ERROR)
    for logger, lines in told:
        logger.addHandler(lines)
    try:
        yield
    finally:
        for logger, lines in told:
            logger.removeHandler(lines)
