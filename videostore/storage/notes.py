"""Notes: what the segments themselves do not tell, namely why gaps are there and which moments were marked.

They are in a file of their own, `notes.json`, because the index is a cache that may be lost, and what is kept must not
be lost with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from videostore.base.errors import reason_of
from videostore.base.files import PASSING_ERRORS, open_regular, sync_directory, sync_file
from videostore.base.ranges import Range, merge_ranges
from videostore.base.tasks import DetachedTasks, off_loop

FILE_NAME = "notes.json"
MOST_GAPS, MOST_EVENTS = 2000, 2000
"""Of more, the oldest are forgotten; of events those that keep nothing. The file has 600 KB then."""
MOST_REASON = 200
"""Characters of a reason. Some are what ffmpeg says."""

_VERSION = 1
_MOST_BYTES = 1 << 24
_GAP_FIELDS = {"from_us": (int,), "to_us": (int,), "reason": (str,)}
_EVENT_FIELDS = {
    "id": (int,),
    "at_us": (int,),
    "from_us": (int,),
    "to_us": (int,),
    "label": (str,),
    "keep": (bool,),
    "file_name": (str, type(None)),
}
_NEXT_ID = re.compile(r'"next_id": ([0-9]{1,15})\b')
_ROW = re.compile(r'\{"(?:id|from_us)": ')
"""How an event or a gap begins. A label has no such quotes: they are escaped."""


@dataclass(frozen=True, slots=True)
class RecordingGap:
    """A stretch of time in which nothing was recorded."""

    from_us: int
    """End of the last frame before it, in microseconds UTC."""
    to_us: int
    """Capture time of the first frame after it."""
    reason: str
    """Why, in words for people."""


@dataclass(frozen=True, slots=True)
class Event:
    """A moment that was marked."""

    id: int
    """Its number, which no other event of the recording has."""
    at_us: int
    """The moment, in microseconds UTC."""
    from_us: int
    """Start of the range around it."""
    to_us: int
    """End of the range around it."""
    label: str
    """What was marked, as it was given."""
    keep: bool = False
    """Whether the quota passes over the footage of the range."""
    file_name: str | None = None
    """Name of the clip that is saved of it, by which `save_status` knows it; None if none is."""


_Content: TypeAlias = tuple[tuple[RecordingGap, ...], tuple[Event, ...], int]
"""Gaps, events, and the number of the next event."""


class Notes:
    """The notes of one storage directory. A read-only one reads them again when another process has changed them."""

    def __init__(self, directory: Path, logger: logging.Logger, *, read_only: bool) -> None:
        """Call `load` before anything else."""
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

    async def load(self) -> None:
        """Read the file, if it has changed.

        Raises:
            OSError: the system lacks resources at the moment. Without what is kept, the quota would delete it.
        """
        self._take(*await off_loop(self._read_at))

    async def reload(self) -> None:
        """Take those of the directory that is in the place of the one before: the same path leads to another disk.

        Raises:
            OSError: as `load`.
        """
        async with self._writing:
            self._state = None
            self._take(*await off_loop(self._read_at))

    async def close(self) -> None:
        """Wait until everything is written."""
        await self._tasks.wait()

    async def add_gap(self, gap: RecordingGap) -> None:
        """Note a gap, in place of those that it overlaps: nothing was recorded between two attempts."""
        gap = replace(gap, reason=gap.reason[:MOST_REASON])
        others = [one for one in self._gaps if one.to_us <= gap.from_us or one.from_us >= gap.to_us]
        self._gaps = tuple(sorted([*others, gap], key=lambda one: one.from_us)[-MOST_GAPS:])
        await self._write()

    async def add_event(self, event: Event) -> Event:
        """Note an event, on stable storage. Returns it with its number.

        Raises:
            OSError: the file cannot be written. The event is not noted then.
        """
        event = replace(event, id=self._next_id)
        self._next_id += 1
        events = sorted([*self._events, event], key=lambda one: (one.at_us, one.id))
        while len(events) > MOST_EVENTS:
            oldest = next((one for one in events if not one.keep and one is not event), event)
            events.remove(oldest)
        self._events = tuple(events)
        try:
            await self._write(needed=True)
        except OSError:
            self._events = tuple(one for one in self._events if one.id != event.id)
            raise
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

    async def _write(self, *, needed: bool = False) -> None:
        """Write what is noted by now. A failure that is not passed on is made up for by the next write."""
        try:
            await self._tasks.run(self._write_latest())
        except OSError as error:
            self._logger.error("%s cannot be written: %s.", self._path, reason_of(error))
            if needed:
                raise

    async def _write_latest(self) -> None:
        async with self._writing:
            latest = self._gaps, self._events, self._next_id
            if latest == self._written or self._read_only:
                return
            await off_loop(self._replace, latest)
            self._written = latest

    def _replace(self, content: _Content) -> None:
        """Blocking: the text of thousands takes some 50 ms."""
        status = self._path.parent.stat()
        if self._place not in (None, (status.st_dev, status.st_ino)):
            raise OSError(errno.ESTALE, "the storage directory was removed or replaced")  # it has its own notes
        _replace(self._path, _as_text(*content).encode())

    def _take(self, place: tuple[int, int] | None, found: _Content | None) -> None:
        self._place = place
        if found is not None:
            self._gaps, self._events, self._next_id = self._written = found

    def _read_at(self) -> tuple[tuple[int, int] | None, _Content | None]:
        """The directory that is there, and what is noted in it. Blocking."""
        return _place_of(self._path.parent), self._read()

    def _read(self) -> _Content | None:
        """What the file holds; None if that has not changed. Blocking."""
        try:
            status = self._path.stat()
            state = status.st_ino, status.st_size, status.st_mtime_ns
            if state == self._state:
                return None
            with open_regular(self._path) as file:
                data = file.read(_MOST_BYTES)
            self._state = state
        except FileNotFoundError:
            self._state = None
            return (), (), 1
        except OSError as error:
            if error.errno in PASSING_ERRORS:
                if self._read_only:
                    return None
                raise
            self._logger.error("%s cannot be read: %s.", self._path, reason_of(error))
            if not self._read_only:
                with contextlib.suppress(OSError):  # it may be read by hand
                    os.replace(self._path, self._damaged_path)
            return (), (), 1
        try:
            return _parse(data)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            found = _salvage(data)
            gaps, events, _ = found
            told = "%s is damaged: %s. %d gaps and %d events of it can still be read."
            self._logger.error(told, self._path, reason_of(error), len(gaps), len(events))
            if not self._read_only:
                with contextlib.suppress(OSError):
                    _replace(self._damaged_path, data)
                    _replace(self._path, _as_text(*found).encode())
            return found

    @property
    def _damaged_path(self) -> Path:
        return self._path.with_name(f"{FILE_NAME}.damaged")


def _place_of(directory: Path) -> tuple[int, int] | None:
    """Blocking."""
    with contextlib.suppress(OSError):
        status = directory.stat()
        return status.st_dev, status.st_ino
    return None


def _as_text(gaps: Iterable[RecordingGap], events: Iterable[Event], next_id: int) -> str:
    """A line for each, so that people and `grep` can read it."""
    parts = [f'{{"version": {_VERSION}, "next_id": {next_id}']
    for name, rows in (("gaps", gaps), ("events", events)):
        parts.append(f'"{name}": [' + ",".join(f"\n{json.dumps(asdict(one))}" for one in rows) + "]")
    return ",\n".join(parts) + "}\n"


def _parse(data: bytes) -> _Content:
    """What a file holds.

    Raises:
        ValueError, TypeError, KeyError: it is damaged, or of a later version.
    """
    found = json.loads(data)
    if found["version"] != _VERSION:
        raise ValueError(f"it is of version {found['version']!r}")
    gaps = tuple(RecordingGap(**_fields(one, _GAP_FIELDS)) for one in found["gaps"])
    events = tuple(Event(**_fields(one, _EVENT_FIELDS)) for one in found["events"])
    return gaps, events, max([int(found["next_id"]), *(one.id + 1 for one in events)])


def _salvage(data: bytes) -> _Content:
    """What can be read of a damaged file: a flipped bit must not let go of all that is kept."""
    text, decoder = data.decode(errors="replace"), json.JSONDecoder()
    gaps, events = list[RecordingGap](), list[Event]()
    for begin in islice(_ROW.finditer(text), MOST_GAPS + MOST_EVENTS):
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            row, _ = decoder.raw_decode(text, begin.start())
            if "id" in row:
                events.append(Event(**_fields(row, _EVENT_FIELDS)))
            else:
                gaps.append(RecordingGap(**_fields(row, _GAP_FIELDS)))
    found = _NEXT_ID.search(text)
    return tuple(gaps), tuple(events), max([int(found[1]) if found else 1, *(one.id + 1 for one in events)])


def _fields(row: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    values = {name: row[name] for name in kinds}
    if any(type(value) not in kinds[name] for name, value in values.items()):
        raise TypeError("a value has the wrong type")
    return values


def _replace(path: Path, content: bytes) -> None:
    """Blocking."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    sync_file(new)
    os.replace(new, path)
    sync_directory(path.parent)
