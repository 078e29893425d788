"""Notes why gaps are there, when recording goes on after them."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from videostore.base.constants import JOIN_US, NEIGHBOUR_US, NOTHING_YET, STOPPED, US_PER_SECOND
from videostore.storage.archive import Archive
from videostore.storage.notes import Event, Notes, RecordingGap

NOT_RUNNING = "the recorder was not running"
RECONFIGURED = "the recorder was reconfigured"
_STOP_US = 2 * US_PER_SECOND
"""From its last frame a recorder that nothing is wrong with may need so long to end: that is no gap of its own."""


class GapNotes:
    """Notes the gaps of one recording. Owns a task for each until `close`: no frame waits for a note."""

    def __init__(
        self, notes: Notes, archive: Archive, opened_us: int, logger: logging.Logger, *, reconfigured: bool = False
    ) -> None:
        """`opened_us` is when the recorder began to run. It may have run before, with another config."""
        self._notes = notes
        self._archive = archive
        self._opened_us = opened_us
        self._logger = logger
        self._reconfigured = reconfigured
        self._tasks: set[asyncio.Task[None]] = set()

    def run_started(self, epoch_us: int, reason: str) -> None:
        """A run begins with a frame of this time; nothing was recorded before it for this reason."""
        self._begin(epoch_us, reason)

    def stopping(self, now_us: int, reason: str) -> None:
        """The recorder stops within a gap: up to here it has this reason, whatever it has when recording goes on."""
        if reason != NOTHING_YET:
            self._begin(now_us, reason, _STOP_US if reason == STOPPED else JOIN_US)

    async def close(self) -> None:
        """Wait until all gaps are noted."""
        await asyncio.gather(*self._tasks)

    def _begin(self, until_us: int, reason: str, least_us: int = JOIN_US) -> None:
        task = asyncio.create_task(self._note(until_us, reason, least_us))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _note(self, until_us: int, reason: str, least_us: int) -> None:
        try:
            end_us = await last_end_us(self._archive, until_us)
            if end_us is None or until_us - end_us <= least_us:
                return
            gap = self._rest(RecordingGap(end_us, until_us, reason.rstrip(".")))
            if gap.to_us - gap.from_us > JOIN_US:
                await self._notes.add_gap(gap)
        except (OSError, sqlite3.Error):
            self._logger.exception("Why there is a gap cannot be noted.")

    def _rest(self, gap: RecordingGap) -> RecordingGap:
        """What of a gap is not noted yet: a recorder that stopped within it has noted its part."""
        noted = [one for one in self._notes.gaps if gap.from_us - JOIN_US <= one.from_us < one.to_us <= self._opened_us]
        begin_us = max((one.to_us for one in noted), default=gap.from_us)
        off_us, on_us = self._opened_us - begin_us, gap.to_us - self._opened_us
        says_nothing = gap.reason == NOTHING_YET and self._reconfigured and off_us > 0
        reason = gap.reason
        if off_us > on_us or says_nothing:
            reason = RECONFIGURED if self._reconfigured else NOT_RUNNING
        if noted and noted[-1].reason == reason:
            begin_us = noted[-1].from_us
        return RecordingGap(begin_us, gap.to_us, reason)


async def last_end_us(archive: Archive, before_us: int) -> int | None:
    """Where the recording before a moment ends; None if there is none, or if something was recorded at the moment."""
    near = await archive.index.select(before_us - NEIGHBOUR_US, before_us)
    if near:
        end_us = max(one.end_us for one in near)
        return end_us if end_us <= before_us else None
    before, _ = archive.timeline.around(before_us)
    return None if before is None or before.to_us > before_us else before.to_us


async def note_deleted(notes: Notes, archive: Archive) -> None:
    """Note what was deleted behind what is kept, and forget what is gone.

    Gaps and events before all that is stored are forgotten, and events before all that is not kept, unless it is
    theirs.
    """
    oldest = await archive.index.oldest(1)
    first_us = oldest[0].start_us if oldest else None
    deleted = archive.deleted.take()
    if first_us is not None and (behind := [one for one in deleted if one.from_us > first_us]):
        await notes.add_deleted(behind)
    unkept_us = await _first_unkept_us(notes, archive)
    if first_us is None or unkept_us is None:
        return
    gone: list[RecordingGap | Event] = [one for one in notes.gaps if one.to_us <= first_us]
    kept = notes.kept
    for one in notes.events:
        inside = any(one.from_us < other.to_us and one.to_us > other.from_us for other in kept)
        if one.to_us <= first_us or (one.to_us <= unkept_us and not inside):
            gone.append(one)
    await notes.forget(gone)


async def _first_unkept_us(notes: Notes, archive: Archive) -> int | None:
    """Where the oldest segment begins over which the quota does not pass; None if there is none."""
    after_us = -(1 << 62)
    for _ in range(len(notes.kept) + 1):
        found = await archive.index.oldest(1, (after_us, ""))
        if not found:
            return None
        inside = [one for one in notes.kept if found[0].start_us < one.to_us and found[0].end_us > one.from_us]
        if not inside:
            return found[0].start_us
        after_us = max(one.to_us for one in inside)
    return None
