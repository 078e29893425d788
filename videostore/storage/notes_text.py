"""What is noted, and as what text: a damaged file is read as far as it can be."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import Range
from videostore.base.timestamps import EARLIEST_US, LATEST_US

DELETED = "deleted to stay within the quota and the free space"
"""The reason of a gap between footage that is kept and what was recorded later."""
MOST_GAPS, MOST_EVENTS = 2000, 2000
"""Of more, the oldest are forgotten; of events those that keep nothing. The file has 600 KB then."""
MOST_AROUND_S = 3600
"""How much before and after its moment an event may have."""

_MOST_AROUND_US = MOST_AROUND_S * US_PER_SECOND
_VERSION = 1
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
    """A stretch of time of which nothing is stored."""

    from_us: int
    """End of the last frame before it, in microseconds UTC."""
    to_us: int
    """Capture time of the first frame after it, or when the recorder stopped within it."""
    reason: str
    """Why, in words for people."""


def why_gap(gap: Range, noted: Iterable[RecordingGap]) -> str | None:
    """Why there is a gap; None if that is not known. Of several reasons, that of the longest time."""
    lengths = {one: min(one.to_us, gap.to_us) - max(one.from_us, gap.from_us) for one in noted}
    longest = max(lengths, key=lambda one: lengths[one], default=None)
    return longest.reason if longest is not None and lengths[longest] > 0 else None


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


NotesContent: TypeAlias = tuple[tuple[RecordingGap, ...], tuple[Event, ...], int]
"""Gaps, events, and the number of the next event."""


def as_text(gaps: Iterable[RecordingGap], events: Iterable[Event], next_id: int) -> str:
    """A line for each, so that people and `grep` can read it."""
    parts = [f'{{"version": {_VERSION}, "next_id": {next_id}']
    for name, rows in (("gaps", gaps), ("events", events)):
        parts.append(f'"{name}": [' + ",".join(f"\n{json.dumps(asdict(one))}" for one in rows) + "]")
    return ",\n".join(parts) + "}\n"


def parse(data: bytes) -> NotesContent:
    """What a file holds.

    Raises:
        ValueError, TypeError, KeyError: it is damaged, or of a later version.
    """
    found = json.loads(data)
    if found["version"] != _VERSION:
        raise ValueError(f"it is of version {found['version']!r}")
    gaps = tuple(_gap(one) for one in found["gaps"])
    events = tuple(Event(**_fields(one, _EVENT_FIELDS)) for one in found["events"])
    if not all(map(_is_possible, events)) or len({one.id for one in events}) < len(events):
        raise ValueError("an event has a time or a number that cannot be")
    return gaps, events, max([_fields(found, {"next_id": (int,)})["next_id"], *(one.id + 1 for one in events)])


def salvage(data: bytes) -> NotesContent:
    """What can be read of a damaged file: a flipped bit must not let go of all that is kept."""
    text, decoder = data.decode(errors="replace"), json.JSONDecoder()
    gaps, events = list[RecordingGap](), list[Event]()
    for begin in islice(_ROW.finditer(text), MOST_GAPS + MOST_EVENTS):
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            row, _ = decoder.raw_decode(text, begin.start())
            if "id" in row:
                events.append(_mended(Event(**_fields(row, _EVENT_FIELDS))))
            else:
                gaps.append(_gap(row))
    found = _NEXT_ID.search(text)
    next_id = max([int(found[1]) if found else 1, *(one.id + 1 for one in events)])
    numbers = set[int]()
    for at, one in enumerate(events):
        if one.id in numbers:  # one of the two numbers is wrong, and each event needs one of its own
            events[at], next_id = replace(one, id=next_id), next_id + 1
        numbers.add(one.id)
    return tuple(gaps), tuple(events), next_id


def _gap(row: Mapping[str, Any]) -> RecordingGap:
    gap = RecordingGap(**_fields(row, _GAP_FIELDS))
    if not EARLIEST_US <= gap.from_us <= gap.to_us <= LATEST_US:
        raise ValueError("a gap has a time that cannot be")
    return gap


def _is_possible(event: Event) -> bool:
    """Whether an event can have been noted. One of many years would keep all that is recorded from the quota."""
    before_us, after_us = event.at_us - event.from_us, event.to_us - event.at_us
    return (
        0 <= before_us <= _MOST_AROUND_US
        and 0 <= after_us <= _MOST_AROUND_US
        and EARLIEST_US <= event.at_us <= LATEST_US
        and event.id > 0
    )


def _mended(event: Event) -> Event:
    """An event of which one time may be wrong: most have as much before their moment as behind it.

    Raises ValueError if more is wrong.
    """
    guesses = (
        event,
        replace(event, to_us=2 * event.at_us - event.from_us),
        replace(event, from_us=2 * event.at_us - event.to_us),
        replace(event, at_us=(event.from_us + event.to_us) // 2),
    )
    found = next(filter(_is_possible, guesses), None)
    if found is None:
        raise ValueError("an event has a time or a number that cannot be")
    return found


def _fields(row: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    values = {name: row[name] for name in kinds}
    if any(type(value) not in kinds[name] for name, value in values.items()):
        raise TypeError("a value has the wrong type")
    return values
