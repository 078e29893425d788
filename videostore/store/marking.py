"""Marking: events on the timeline, and what is kept and saved of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from videostore.base.clock import Clock
from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError, VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.storage.archive import Archive
from videostore.storage.notes import MOST_EVENTS, Event, Notes
from videostore.storage.notes_text import MOST_AROUND_S
from videostore.storage.retention import Retention

MOST_LABEL = 200
"""Characters of a label."""
LABEL = f"printable text of 1 to {MOST_LABEL} characters"
"""What it has to be."""
AROUND_S = 15.0
"""Unless told otherwise, an event has so many seconds before and after its moment."""

_BEGINNING_US = 3600 * US_PER_SECOND

SaveClip = Callable[[Range, str], Awaitable[str]]
"""Queues the save of a range with this metadata, and returns the name of its file."""
CancelSave = Callable[[str, Range], Awaitable[bool]]
"""Cancels the save of the file with this name and range. Returns whether no clip will be saved."""


class Marking:
    """Marks moments of one recording."""

    def __init__(self, notes: Notes, archive: Archive, retention: Retention, clock: Clock) -> None:
        self._notes = notes
        self._archive = archive
        self._retention = retention
        self._clock = clock
        self._marking = asyncio.Lock()

    async def mark(self, event: Event, save: SaveClip | None) -> Event:
        """Note an event; keep its footage and save it, if that is asked for. Returns it with its number.

        Raises:
            NoRoomError: too much of the quota is kept, or the clip cannot be saved for want of room.
            RequestError: all that is stored is newer, too many events are kept, or too many saves wait.
            VideoStoreError: it cannot be noted.
        """
        self._check_writable()
        async with self._marking:
            asked = Range(event.from_us, event.to_us)
            if await self._archive.is_indexed_since(event.from_us):
                oldest = await self._archive.index.oldest(1)
                check_remembered(event, oldest[0].start_us if oldest else None, self._clock.wall_us())
            if event.keep:
                await self._retention.check_keep(self._notes.kept, asked)
            check_events(self._notes)
            if save is not None:
                event = replace(event, file_name=await save(asked, event.label))
            try:
                return await self._notes.add_event(event)
            except OSError as error:
                raise self._not_noted(error) from error

    async def unmark(self, id: object, *, release: bool, cancel: CancelSave | None = None) -> Event:
        """Forget an event; with `release`, only stop keeping its footage. With `cancel`, its save is cancelled before.

        Returns the event as it was; without the name of a clip that will not be saved.

        Raises:
            RequestError: there is no such event.
            VideoStoreError: that cannot be noted.
        """
        self._check_writable()
        async with self._marking:
            found = next((one for one in self._notes.events if one.id == id), None)
            if found is None or isinstance(id, bool):
                raise RequestError("event-unknown", field="id", value=id)
            name, asked = found.file_name, Range(found.from_us, found.to_us)
            if cancel is not None and name is not None and await cancel(name, asked):
                found = replace(found, file_name=None)
            try:
                if release:
                    await self._notes.change_event(replace(found, keep=False))
                else:
                    await self._notes.remove_event(found.id)
            except OSError as error:
                raise self._not_noted(error) from error
            return found

    async def events(self, from_us: int, to_us: int) -> tuple[Event, ...]:
        """The events whose ranges overlap [from_us, to_us), by their moments."""
        if self._archive.read_only:
            await self._notes.load()
        return tuple(one for one in self._notes.events if one.from_us < to_us and one.to_us >= from_us)

    async def kept_bytes(self) -> int:
        """About how much of the quota is kept."""
        return await self._retention.kept_bytes(self._notes.kept)

    def _check_writable(self) -> None:
        if self._archive.read_only:
            raise RequestError("read-only-mark")

    def _not_noted(self, error: OSError) -> VideoStoreError:
        return VideoStoreError("event-not-noted", path=self._archive.directory, reason=reason_of(error))


def check_events(notes: Notes) -> None:
    """Raises RequestError if all events that can be noted are kept: another one would be forgotten at once."""
    if sum(one.keep for one in notes.events) >= MOST_EVENTS:
        raise RequestError("too-many-events", limit=MOST_EVENTS)


def check_remembered(event: Event, first_us: int | None, now_us: int) -> None:
    """Refuse an event before all that is stored, of which the first frame is at `first_us`: it would be forgotten.

    One of the last hour is not refused: the recording may just be beginning.

    Raises:
        RequestError: its range ended before then.
    """
    if first_us is not None and event.to_us < first_us and event.at_us < now_us - _BEGINNING_US:
        raise RequestError("mark-before-recording", field="at", at_us=event.at_us, first_us=first_us)


def make_event(at_us: int, label: object, before_s: object, after_s: object, *, keep: bool) -> Event:
    """An event that is not noted yet.

    Raises:
        RequestError: the label or a length is wrong.
    """
    if not isinstance(label, str) or not 1 <= len(label.strip()) <= MOST_LABEL or not label.isprintable():
        raise RequestError("field-wrong", field="label", value=label, expected=LABEL)
    before_us, after_us = _length_us(before_s, "before_s"), _length_us(after_s, "after_s")
    return Event(0, at_us, at_us - before_us, at_us + after_us, label.strip(), keep)


def _length_us(seconds: object, field: str) -> int:
    if seconds is None:
        seconds = AROUND_S
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MOST_AROUND_S:
        expected = f"a number of seconds from 0 to {MOST_AROUND_S:g}"
        raise RequestError("field-wrong", field=field, value=seconds, expected=expected)
    return round(seconds * US_PER_SECOND)


async def wait_until(clock: Clock, time_us: int, poll_s: float) -> None:
    """Wait until a time has come, but no longer than that is away now: the clock may be set back meanwhile."""
    deadline_us = clock.monotonic_us() + time_us - clock.wall_us()
    while clock.wall_us() < time_us and clock.monotonic_us() < deadline_us:  # noqa: ASYNC110 (clocks tell it)
        await asyncio.sleep(poll_s)
