"""Retention holds: ranges of the recording that are not deleted, because a clip or a pending save still needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from videostore.base.clock import Clock
from videostore.base.ranges import Range, merge_ranges


class RetentionHolds:
    """Ranges that must not be deleted. A hold lasts as long as its context."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.kept: Callable[[], Iterable[Range]] = tuple
        """What is held besides, for as long as it is listed there."""
        self._held: dict[object, tuple[Range, int]] = {}

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
