"""How much of a kind the tests try: some in every run, more of it where `make test-exhaustive` asks for it."""

from __future__ import annotations

import os

EXHAUSTIVE = os.environ.get("VIDEOSTORE_TESTS") == "exhaustive"


def at_most(exhaustive: int, usual: int) -> int:
    """How many of a kind to try."""
    return exhaustive if EXHAUSTIVE else usual
