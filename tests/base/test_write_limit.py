"""The limit on the size of files, in reasons."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from tests.support.size_limit import files_of_at_most
from videostore.base.errors import reason_of
from videostore.base.write_limit import limit_behind, limit_behind_exit, told_limit

LIMIT = "this process may write no file of more than 1,000 bytes (RLIMIT_FSIZE)"


def test_a_file_that_would_be_larger_than_the_limit_is_refused_with_it(tmp_path: Path) -> None:
    with files_of_at_most(1000), pytest.raises(OSError) as refused, (tmp_path / "file").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1001)
    with files_of_at_most(1000):
        assert reason_of(refused.value) == f"File too large: {LIMIT}"


def test_it_is_told_only_where_it_may_be_the_reason() -> None:
    too_large = OSError(errno.EFBIG, "File too large")
    assert told_limit() == limit_behind(too_large) == limit_behind_exit(-signal.SIGXFSZ) == ""
    assert reason_of(too_large) == "File too large"
    with files_of_at_most(1000):
        assert told_limit() == limit_behind(too_large) == limit_behind_exit(-signal.SIGXFSZ) == LIMIT
        assert limit_behind(OSError(errno.ENOSPC, "No space left on device")) == limit_behind(ValueError("x")) == ""
        assert limit_behind_exit(-signal.SIGKILL) == limit_behind_exit(1) == ""
