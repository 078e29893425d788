"""Whether an ffmpeg failed, or was ended."""

from __future__ import annotations

import signal

import pytest

from tests.support.size_limit import files_of_at_most
from videostore.base.errors import FFmpegError
from videostore.ffmpeg.ending import failure, was_ended


@pytest.mark.parametrize("exit_code", [-9, -15, 255, 0])
def test_a_signal_is_told_as_the_reason_where_ffmpeg_gave_none(exit_code: int) -> None:
    error = failure(exit_code)
    assert was_ended(error) and "a signal ended it" in str(error) and error.exit_code == exit_code


def test_a_file_that_may_not_become_larger_is_told_with_the_limit() -> None:
    with files_of_at_most(1000):
        error = failure(-signal.SIGXFSZ)
    assert was_ended(error) and "no file of more than 1,000 bytes (RLIMIT_FSIZE)" in str(error)


def test_an_input_that_is_given_up_tells_of_a_signal() -> None:
    assert was_ended(failure(1, ["pipe:0: Immediate exit requested"]))


def test_what_ffmpeg_reported_is_the_reason() -> None:
    error = failure(1, ["no such filter", "it cannot go on"])
    assert "no such filter; it cannot go on" in str(error) and not was_ended(error)
    assert "it gave no reason" in str(failure(1))
    assert not was_ended(FFmpegError("clip-failed"))
