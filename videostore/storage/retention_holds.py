"""Retention holds: ranges of the recording that are not deleted, because a clip or a pending save still needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from videostore.base.clock import Clock
from videostore.base.ranges import Range, merge_ranges


class KeptNotes(Protocol):
    """What notes tell of the footage that is kept."""

    @property
    def kept(self) -> list[Range]:
        """The ranges that are kept."""
        ...

    @property
    def unread(self) -> bool:
        """Whether that is not known at the moment."""
        ...


class RetentionHolds:
    """Ranges that must not be deleted. A hold lasts as long as its context."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.kept: Callable[[], Iterable[Range]] = tuple
        """What is held besides, for as long as it is listed there."""
        self._held: dict[object, tuple[Range, int]] = {}
        self._notes: KeptNotes | None = None
        self._unread_us: int | None = None
        """Up to when all is held, because it is not known what is kept."""

    def follow(self, notes: KeptNotes, newest_us: Callable[[], int | None]) -> None:
        """Hold what these notes keep; while that is not known, everything that was stored when it was found out.

        `newest_us` returns the end of what is stored: the clock may be behind it.
        """

        def kept() -> list[Range]:
            if not notes.unread:
                self._unread_us = None
                return notes.kept
            if self._unread_us is None:
                self._unread_us = max(self._clock.wall_us(), newest_us() or 0)
            return [Range(0, self._unread_us)]

        self._notes, self.kept = notes, kept
        kept()

    @property
    def unknown(self) -> bool:
        """Whether it is not known what is kept, so that more is held."""
        return self._notes is not None and self._notes.unread

    @contextlib.contextmanager
    def hold(self, from_us: int, to_us: int, since_us: int | None = None) -> Iterator[None]:
        """Keep segments that overlap [from_us, to_us). `since_us` is when the clip was requested; now by default."""
        key = object()
        self._held[key] = Range(from_us, to_us), self._clock.wall_us() if since_us is None else since_us
        try:
            yield
        finally:
            del self._held[key]

    @property
    def ranges(self) -> list[Range]:
        """All ranges that are held, in order."""
        return merge_ranges([*self.kept(), *(held for held, _ in self._held.values())])

    @property
    def since_us(self) -> int | None:
        """When the oldest hold was requested, UTC, 0 if it is kept; None if nothing is held."""
        if any(True for _ in self.kept()):
            return 0
        return min((since_us for _, since_us in self._held.values()), default=None)
