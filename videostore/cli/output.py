"""The standard streams: standard output may be full, broken or closed, and that must be reported as such."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from videostore.base.errors import VideoStoreError, reason_of


class OutputError(VideoStoreError):
    """Standard output cannot be written to."""


class StandardOutput(io.TextIOWrapper):
    """Standard output, whose errors differ from those of other files. A broken pipe stays a BrokenPipeError."""

    def write(self, text: str, /) -> int:
        with _raising_output_errors():
            return super().write(text)

    def flush(self) -> None:
        with _raising_output_errors():
            super().flush()


@contextlib.contextmanager
def _raising_output_errors() -> Iterator[None]:
    try:
        yield
    except (BrokenPipeError, BlockingIOError):
        raise
    except OSError as error:
        raise OutputError("output-failed", reason=reason_of(error)) from error


def prepare_standard_streams() -> None:
    """Make the standard streams safe to use; call this before anything is written.

    - A stream that the caller has closed (`>&-`) is opened on the null device, so that no file of ours takes its
      number. Standard output is opened for reading, so that writing results to it fails.
    - A character that the encoding cannot express becomes a question mark.
    - Standard output raises OutputError.
    """
    for number, name, mode in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and sys.__stdout__ in (out, None):  # otherwise a test captures it
        encoding, by_line, write_through = out.encoding, out.line_buffering, out.write_through
        sys.stdout = StandardOutput(out.detach(), encoding, "replace", None, by_line, write_through)


def flush_output() -> Exception | None:
    """Write out the rest of the results; returns the error that prevents it."""
    try:
        sys.stdout.flush()
    except (OSError, OutputError) as error:
        discard_output()
        return error
    return None


def discard_output() -> None:
    """Let what is still buffered go to the null device, so that no second error follows when the process exits."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)
