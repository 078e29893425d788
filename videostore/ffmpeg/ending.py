"""How an ffmpeg ended: by itself, or by a signal of another program."""

from __future__ import annotations

from collections.abc import Sequence

from videostore.base.errors import FFmpegError
from videostore.base.write_limit import limit_behind_exit

_EXIT_AFTER_SIGNAL = 255
"""The exit code of an ffmpeg that ended what it wrote because of a signal."""
_INTERRUPTED = "Immediate exit requested"
"""What it reports of an input that it opens, or reads, when a signal ends it. Up to ffmpeg 5.1 its exit code is 1."""


def failure(exit_code: int, reported: Sequence[str] = ()) -> FFmpegError:
    """The error of an ffmpeg that ended with a code and reported some errors. With 0, a signal ended it before it
    began."""
    signalled = limit_behind_exit(exit_code) or "a signal ended it"
    unsaid = signalled if _is_of_signal(exit_code) else "it gave no reason"
    return FFmpegError("ffmpeg-failed", exit_code=exit_code, reason="; ".join(reported) or unsaid)


def was_ended(error: FFmpegError) -> bool:
    """Whether a signal ended it, which tells nothing about what it was to do."""
    if error.exit_code is None:
        return False
    return _is_of_signal(error.exit_code) or _INTERRUPTED in str(error.fields.get("reason"))


def _is_of_signal(exit_code: int) -> bool:
    return exit_code <= 0 or exit_code == _EXIT_AFTER_SIGNAL
