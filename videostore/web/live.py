"""The live window: the newest parts of a recording, numbered as they come, for all viewers together.

A viewer asks every second. However many there are, the open segment is read once for all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from videostore.base.constants import US_PER_SECOND
from videostore.store.viewing import ViewedSegment, Viewing
from videostore.web.parts import PartTables, Patience
from videostore.web.playlists import Entry, longest_s, playlist

_WINDOW_US = 60 * US_PER_SECOND
"""How far a live viewer can go back without asking for a range."""
_MOST_ENTRIES = 600
_GUESS_US = US_PER_SECOND // 10
"""So much longer than it was may the last frame of a run be said to have been shown."""
_FRESH_S = 0.3
"""For so long a playlist is given out again."""
_NUMBERS_PER_S = 20
"""More than parts come: after a restart of the server the numbers are higher than before it."""
_BEHIND_US = 2 * US_PER_SECOND
"""So far a look at the newest segment may be behind one before it."""


class LiveWindow:
    """The parts that a live playlist of one recorder has."""

    def __init__(self, viewing: Viewing, tables: PartTables) -> None:
        self._viewing = viewing
        self._tables = tables
        self._entries: deque[Entry] = deque()
        self._sequence = 0
        self._discontinuities = 0
        self._target_s = 1
        self._texts = ("", "")
        self._made = 0.0
        self._making = asyncio.Lock()
        self._patience = Patience()
        self._run_us: int | None = None
        """The run that was being recorded last."""

    async def playlist(self, *, with_headers: bool = False) -> str:
        """The playlist of this moment, or that for VLC (`with_headers`)."""
        async with self._making:
            if not self._texts[0] or time.monotonic() - self._made > _FRESH_S:
                await self._refresh()
                self._made = time.monotonic()
            return self._texts[with_headers]

    async def _refresh(self) -> None:
        newest_us = await self._viewing.newest_us()
        if newest_us is not None:
            ahead_us = newest_us - self._entries[-1].part.end_us if self._entries else 0
            if not -_BEHIND_US <= ahead_us <= _WINDOW_US:  # not watched meanwhile, or the clock was set back
                self._clear()
            from_us = self._entries[-1].part.start_us if self._entries else newest_us - _WINDOW_US // 2
            segments = await self._viewing.segments(from_us, newest_us + _BEHIND_US, _MOST_ENTRIES)
            self._run_us = await self._viewing.current_run_us() or self._run_us
            for segment in segments:
                if not self._is_of_before(segment) and not await self._take(segment):
                    break
            self._forget(newest_us)
        self._target_s = max(self._target_s, longest_s(self._entries))
        self._texts = (self._text_of(with_headers=False), self._text_of(with_headers=True))

    def _text_of(self, *, with_headers: bool) -> str:
        return playlist(
            self._entries,
            ended=False,
            sequence=self._sequence,
            discontinuities=self._discontinuities,
            target_s=self._target_s,
            with_headers=with_headers,
        )

    def _is_of_before(self, segment: ViewedSegment) -> bool:
        """Whether it was recorded before the clock was set back, to a time that it holds or that is before it."""
        run_us = self._run_us
        return run_us is not None and segment.key.run_us != run_us and segment.segment.end_us > run_us + _GUESS_US

    async def _take(self, segment: ViewedSegment) -> bool:
        """Add the parts of a segment that are new. Returns whether those behind it may follow."""
        last = self._entries[-1] if self._entries else None
        if last is not None and segment.key.order < last.key.order:
            return True
        try:
            table = await self._tables.read_now(segment)
        except OSError:
            return not self._patience.waits_for(segment.key)
        if table is None:
            return True
        for part in table.parts:
            if last is None or last.key != segment.key or part.begin_byte >= last.part.end_byte:
                self._add(Entry(segment.key, table.header_bytes, part))
        return True

    def _add(self, entry: Entry) -> None:
        if not self._entries and not self._sequence:
            self._sequence = int(time.time() * _NUMBERS_PER_S)
        self._entries.append(entry)

    def _forget(self, newest_us: int) -> None:
        while self._entries and (
            self._entries[0].part.end_us < newest_us - _WINDOW_US or len(self._entries) > _MOST_ENTRIES
        ):
            self._drop_first()

    def _clear(self) -> None:
        while self._entries:
            self._drop_first()

    def _drop_first(self) -> None:
        gone = self._entries.popleft()
        self._sequence += 1
        if self._entries and self._entries[0].key != gone.key:
            self._discontinuities += 1
