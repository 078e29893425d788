"""The largest file that the system lets this process write, which is told where that is why a file was not written."""

from __future__ import annotations

import errno
import resource
import signal


def told_limit() -> str:
    """In words; empty if there is none. Programs that are started have the same."""
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit_bytes == resource.RLIM_INFINITY:
        return ""
    return f"this process may write no file of more than {limit_bytes:,} bytes (RLIMIT_FSIZE)"


def limit_behind(error: BaseException) -> str:
    """The same, if it may be why the system refused to write."""
    return told_limit() if isinstance(error, OSError) and error.errno == errno.EFBIG else ""


def limit_behind_exit(exit_code: int) -> str:
    """The same, if it is why a program ended."""
    return told_limit() if exit_code == -signal.SIGXFSZ else ""
