"""Unindexed files: segments in the storage directory that are not in the index. They are read from either end."""

from __future__ import annotations

from collections.abc import Iterable

from videostore.base.constants import US_PER_SECOND
from videostore.media.segment_names import name_time_us

_BUCKET_US = 3600 * US_PER_SECOND
"""Sorting all names at once would block every other thread. Each hour is sorted when its turn comes."""


class UnindexedFiles:
    """Names of closed segments, ordered by the times in them."""

    def __init__(self, file_names: Iterable[str] = ()) -> None:
        """This only sorts the names into hours. It blocks for many names."""
        self._buckets: dict[int, list[str]] = {}
        self._sizes: dict[str, int] = {}
        for name in file_names:
            self._sizes[name] = 0
            self._buckets.setdefault((name_time_us(name) or 0) // _BUCKET_US, []).append(name)
        self._order = sorted(self._buckets)
        self._count = sum(map(len, self._buckets.values()))
        self.known_bytes = 0
        """Size of the files that have been measured so far."""

    def __len__(self) -> int:
        return self._count

    def take_newest(self, limit: int) -> list[str]:
        """Remove and return at most `limit` names, the newest first."""
        return self._take(limit, newest=True)

    def take_oldest(self, limit: int) -> list[str]:
        """Remove and return at most `limit` names, the oldest first."""
        return self._take(limit, newest=False)

    def measured(self, file_name: str, size_bytes: int) -> None:
        """Add the size of a file, unless it has been taken meanwhile."""
        if file_name in self._sizes:
            self.known_bytes += size_bytes - self._sizes[file_name]
            self._sizes[file_name] = size_bytes

    @property
    def names(self) -> list[str]:
        """All names, in no order."""
        return [name for bucket in self._buckets.values() for name in bucket]

    @property
    def newest_us(self) -> int | None:
        """An upper bound of the times in the names; None if there are none."""
        return (self._order[-1] + 1) * _BUCKET_US if self._order else None

    @property
    def oldest_us(self) -> int | None:
        """A lower bound of the times in the names; None if there are none."""
        return self._order[0] * _BUCKET_US if self._order else None

    def _take(self, limit: int, *, newest: bool) -> list[str]:
        taken: list[str] = []
        while self._order and len(taken) < limit:
            key = self._order[-1 if newest else 0]
            bucket = sorted(self._buckets[key], key=lambda name: name_time_us(name) or 0, reverse=newest)
            count = limit - len(taken)
            taken += bucket[:count]
            if len(bucket) > count:
                self._buckets[key] = bucket[count:]
            else:
                del self._buckets[key]
                self._order.pop(-1 if newest else 0)
        self._count -= len(taken)
        for name in taken:
            self.known_bytes -= self._sizes.pop(name, 0)
        return taken
