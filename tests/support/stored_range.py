"""A range that the machine of the tests of clients has recorded."""

from __future__ import annotations

from tests.support.machine import US
from tests.support.machine import Machine as Recording

RECORDED_S = 5
"""How long it records before its camera fails for a moment."""


def stored(recorded: Recording) -> tuple[int, int]:
    """A range that is recorded. It does not begin or end at the time of a frame."""
    delivered = recorded.camera.delivered
    return delivered[2] + 1, delivered[0] + (RECORDED_S - 1) * US
