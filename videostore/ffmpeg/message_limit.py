"""Keeps a program that complains with every frame from filling the log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

PERIOD_S = 60.0
"""A message of one kind is logged once in this time."""

MAX_KINDS = 100
"""Kinds that are told apart; all others count as one."""

_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+")
_OTHERS = ""


class MessageLimit:
    """Decides which messages are logged: of each kind one a minute, with the number of those before it.

    Messages that differ only in their numbers are of one kind.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kinds: dict[str, _Kind] = {}

    def pass_on(self, text: str) -> str | None:
        """The message to log; None if one of its kind was logged in the last minute."""
        now = self._now()
        name = _VARYING.sub("#", text)
        if name not in self._kinds and len(self._kinds) >= MAX_KINDS:
            self._kinds = {name: kind for name, kind in self._kinds.items() if kind.held or now < kind.next_s}
            name = name if len(self._kinds) < MAX_KINDS else _OTHERS
        kind = self._kinds.setdefault(name, _Kind())
        if now < kind.next_s:
            kind.held += 1
            kind.last = text
            return None
        held, kind.held, kind.next_s = kind.held, 0, now + PERIOD_S
        return f"{text} ({held} more like it since the last line)" if held else text

    def held(self, *, due: bool) -> list[str]:
        """What was held back and not told, for when a program has ended; only what is `due`, or all of it."""
        now = self._now()
        told = []
        for kind in self._kinds.values():
            if kind.held and (now >= kind.next_s or not due):
                told.append(f"{kind.last} ({kind.held} more like it since the last line)")
                kind.held, kind.next_s = 0, now + PERIOD_S
        return told


class _Kind:
    """Messages of one kind."""

    __slots__ = ("held", "last", "next_s")

    def __init__(self) -> None:
        self.held = 0
        self.last = ""
        self.next_s = 0.0
