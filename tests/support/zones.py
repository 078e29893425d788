"""Time zones for tests, as POSIX rules, so that no time zone database is needed. A minus means east of Greenwich."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

NEW_YORK = "EST5EDT,M3.2.0,M11.1.0"
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
CAIRO = "EET-2"
KOLKATA = "IST-5:30"
APIA = "<+13>-13"
UTC = "UTC0"


@contextlib.contextmanager
def in_zone(rule: str) -> Iterator[None]:
    """Set the time zone of the process, and restore it at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", rule)
        time.tzset()
        yield
    time.tzset()
