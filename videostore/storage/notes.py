"""Notes: what the segments themselves do not tell, namely why gaps are there and which moments were marked.

They are in a file of their own, `notes.json`, because the index is a cache that may be lost, and what is kept must not
be lost with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from videostore.base.constants import RANGE_SLOP_US
from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.files import PASSING_ERRORS, open_regular, sync_directory, sync_file
from videostore.base.ranges import Range, merge_ranges
from videostore.base.tasks import DetachedTasks, end_task, known_outcome, off_loop
from videostore.storage.notes_text import (
    DELETED,
    MOST_EVENTS,
    MOST_GAPS,
    Event,
    NotesContent,
    RecordingGap,
    as_text,
    parse,
    salvage,
    why_gap,
)

__all__ = (
    "DELETED",
    "FILE_NAME",
    "MOST_EVENTS",
    "MOST_GAPS",
    "MOST_REASON",
    "Event",
    "Notes",
    "RecordingGap",
    "why_gap",
)

FILE_NAME = "notes.json"
MOST_REASON = 200
"""Characters of a reason. Some are what ffmpeg says."""

_AGAIN_S = 60.0
_EACH_FORGOTTEN = 1000
_MOST_BYTES = 1 << 24


class Notes:
    """The notes of one storage directory. A read-only one reads them again when another process has changed them."""

    def __init__(self, directory: Path, logger: logging.Logger, *, read_only: bool, again_s: float = _AGAIN_S) -> None:
        """Call `load` before anything else. What the disk does not give is read again every `again_s` seconds."""
        self._path = directory / FILE_NAME
        self._logger = logger
        self._read_only = read_only
        self._state: tuple[int, int, int] | None = None
        self._place: tuple[int, int] | None = None
        """The directory that they are of."""
        self._gaps: tuple[RecordingGap, ...] = ()
        self._events: tuple[Event, ...] = ()
        self._next_id = 1
        self._writing = asyncio.Lock()
        self._written: tuple[object, ...] = ()
        self._tasks = DetachedTasks()
        self._unread = False
        """Whether the file is there and the disk does not give it. It is left as it is until it does."""
        self._trouble: str | None = None
        self._again_s = again_s
        self._reading: asyncio.Task[None] | None = None
        self._forgotten = 0

    @property
    def gaps(self) -> tuple[RecordingGap, ...]:
        """All gaps whose reasons are known, in order."""
        return self._gaps

    @property
    def events(self) -> tuple[Event, ...]:
        """All events, by their moments."""
        return self._events

    @property
    def kept(self) -> list[Range]:
        """The ranges over which the quota passes."""
        return merge_ranges([Range(one.from_us, one.to_us) for one in self._events if one.keep])

    @property
    def unread(self) -> bool:
        """Whether the disk does not give what was noted before: it is not known what is kept."""
        return self._unread

    @property
    def trouble(self) -> str | None:
        """Why that is so; None if it is not."""
        return self._trouble if self._unread else None

    async def load(self) -> None:
        """Read the file, if it has changed.

        Raises:
            OSError: the system lacks resources at the moment. Without what is kept, the quota would delete it.
        """
        self._take(*await off_loop(self._read_at))
        self._read_later()

    async def reload(self) -> None:
        """Take those of the directory that is in the place of the one before: the same path leads to another disk.

        Raises:
            OSError: as `load`.
        """
        async with self._writing:
            self._state = None
            place, found = await off_loop(self._read_at)
            self._take(place, found or ((), (), 1))
        self._read_later()

    async def close(self) -> None:
        """Wait until everything is written."""
        if self._reading is not None:
            await end_task(self._reading)
        await self._tasks.wait()

    async def add_gap(self, gap: RecordingGap) -> None:
        """Note a gap, in place of those that it overlaps: nothing was recorded between two attempts."""
        gap = replace(gap, reason=gap.reason[:MOST_REASON])
        others = [one for one in self._gaps if one.to_us <= gap.from_us or one.from_us >= gap.to_us]
        self._gaps = tuple(sorted([*others, gap], key=lambda one: one.from_us)[-MOST_GAPS:])
        await self._write()

    async def add_deleted(self, deleted: Iterable[Range]) -> None:
        """Note what the quota deleted of what lies behind footage that is kept."""
        known = [Range(one.from_us, one.to_us) for one in self._gaps if one.reason == DELETED]
        merged = merge_ranges([*known, *deleted], RANGE_SLOP_US)
        others = [one for one in self._gaps if one.reason != DELETED]
        gaps = [*others, *(RecordingGap(one.from_us, one.to_us, DELETED) for one in merged)]
        self._gaps = tuple(sorted(gaps, key=lambda one: one.from_us)[-MOST_GAPS:])
        await self._write()

    async def add_event(self, event: Event) -> Event:
        """Note an event, on stable storage. Returns it with its number.

        Raises:
            OSError: the file cannot be written. The event is not noted then.
        """
        async with self._writing:
            await self._read_rest()  # which has the numbers of the events before
        event = replace(event, id=self._next_id)
        self._next_id += 1
        events = _in_order([*self._events, event])
        forgotten: list[Event] = []
        while len(events) > MOST_EVENTS:
            forgotten.append(next((one for one in events if not one.keep and one is not event), event))
            events.remove(forgotten[-1])
        self._events = tuple(events)
        try:
            await self._write(needed=True)
        except OSError:
            self._events = tuple(_in_order(one for one in (*forgotten, *self._events) if one.id != event.id))
            raise
        self._tell_forgotten(forgotten)
        if event not in self._events:
            raise OSError(errno.ESTALE, "the storage directory was replaced")
        return event

    async def change_event(self, event: Event) -> None:
        """Put an event in the place of the one with its number, on stable storage.

        Raises:
            OSError: the file cannot be written. It changes when it can be.
        """
        self._events = tuple(event if one.id == event.id else one for one in self._events)
        await self._write(needed=True)

    async def remove_event(self, id: int) -> None:
        """Forget an event, on stable storage.

        Raises:
            OSError: the file cannot be written. It is forgotten there when it can be.
        """
        self._events = tuple(one for one in self._events if one.id != id)
        await self._write(needed=True)

    async def forget(self, gone: Iterable[RecordingGap | Event]) -> None:
        """Forget gaps and events whose footage is gone."""
        left_out = set(gone)
        if left_out:
            self._gaps = tuple(one for one in self._gaps if one not in left_out)
            self._events = tuple(one for one in self._events if one not in left_out)
            await self._write()

    def _tell_forgotten(self, forgotten: Iterable[Event]) -> None:
        """Say it of the first one, and of each that follows a thousand others."""
        for event in forgotten:
            if self._forgotten % _EACH_FORGOTTEN == 0:
                told = MOST_EVENTS, event.id, event.label
                self._logger.warning("At most %d events are known: %d, %r, is forgotten, as others will be.", *told)
            self._forgotten += 1

    async def _write(self, *, needed: bool = False) -> None:
        """Write what is noted by now. A failure that is not passed on is made up for by the next write."""
        try:
            writing = self._tasks.run(self._write_latest())
            await (known_outcome(writing) if needed else writing)
        except OSError as error:
            self._logger.error("%s cannot be written: %s.", self._path, reason_of(error))
            if needed:
                raise

    async def _write_latest(self) -> None:
        async with self._writing:
            await self._read_rest()
            latest = self._gaps, self._events, self._next_id
            if latest == self._written or self._read_only:
                return
            await off_loop(self._replace, latest)
            self._written = latest

    def _read_later(self) -> None:
        if self._unread and not self._read_only and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._keep_reading())

    async def _keep_reading(self) -> None:
        while self._unread:
            await asyncio.sleep(self._again_s)
            with contextlib.suppress(OSError):
                async with self._writing:
                    await self._read_rest()

    async def _read_rest(self) -> None:
        """Read what could not be read before, and put what was noted since to it.

        Raises:
            OSError: it still cannot be read. Nothing must be written over it.
        """
        if not self._unread:
            return
        place, found = await off_loop(self._read_at)
        if found is None:
            raise OSError(errno.EIO, "what was noted before cannot be read")
        since = self._gaps
        self._take(place, found)
        before = [
            one for one in self._gaps if all(one.to_us <= gap.from_us or one.from_us >= gap.to_us for gap in since)
        ]
        self._gaps = tuple(sorted([*before, *since], key=lambda one: one.from_us)[-MOST_GAPS:])
        self._logger.info("%s can be read again.", self._path)

    def _replace(self, content: NotesContent) -> None:
        """Blocking: the text of thousands takes some 50 ms."""
        status = self._path.parent.stat()
        if self._place not in (None, (status.st_dev, status.st_ino)):
            raise OSError(errno.ESTALE, "the storage directory was removed or replaced")  # it has its own notes
        _replace(self._path, as_text(*content).encode())

    def _take(self, place: tuple[int, int] | None, found: NotesContent | None) -> None:
        self._place = place
        if found is not None:
            self._gaps, self._events, self._next_id = self._written = found

    def _read_at(self) -> tuple[tuple[int, int] | None, NotesContent | None]:
        """The directory that is there, and what is noted in it. Blocking."""
        return _place_of(self._path.parent), self._read()

    def _read(self) -> NotesContent | None:
        """What the file holds; None if that has not changed. Blocking."""
        try:
            status = self._path.stat()
            state = status.st_ino, status.st_size, status.st_mtime_ns
            if state == self._state:
                return None
            with open_regular(self._path) as file:
                data = file.read(_MOST_BYTES)
            self._state, self._unread = state, False
        except FileNotFoundError:
            self._state, self._unread = None, False
            return (), (), 1
        except OSError as error:
            if error.errno in PASSING_ERRORS:
                if self._read_only:
                    return None
                raise
            if not self._read_only and _is_no_file(self._path):
                with contextlib.suppress(OSError):
                    os.replace(self._path, self._damaged_path)
                return (), (), 1
            if not self._unread:
                self._logger.error("%s cannot be read: %s. Trying again later.", self._path, reason_of(error))
            self._unread = True
            self._trouble = str(VideoStoreError("notes-unread", path=self._path, reason=reason_of(error)))
            return None
        try:
            return parse(data)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            found = salvage(data)
            gaps, events, _ = found
            told = "%s is damaged: %s. %d gaps and %d events of it can still be read."
            self._logger.error(told, self._path, reason_of(error), len(gaps), len(events))
            if not self._read_only:
                with contextlib.suppress(OSError):
                    _replace(self._damaged_path, data)
                    _replace(self._path, as_text(*found).encode())
            return found

    @property
    def _damaged_path(self) -> Path:
        return self._path.with_name(f"{FILE_NAME}.damaged")


def _in_order(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda one: (one.at_us, one.id))


def _is_no_file(path: Path) -> bool:
    """Whether something else is in the place of the file. Blocking."""
    with contextlib.suppress(OSError):
        return not stat.S_ISREG(path.stat().st_mode)
    return False


def _place_of(directory: Path) -> tuple[int, int] | None:
    """Blocking."""
    with contextlib.suppress(OSError):
        status = directory.stat()
        return status.st_dev, status.st_ino
    return None


def _replace(path: Path, content: bytes) -> None:
    """Blocking."""
    new = path.with_name(path.name + ".new")
    try:
        new.write_bytes(content)
        sync_file(new)
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    sync_directory(path.parent)
