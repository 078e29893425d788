"""`videostore state`: what is stored, what is missing, and what room is left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import Range
from videostore.cli import terminal as screen
from videostore.cli.gaps import between
from videostore.cli.local_store import is_recorded_to, reading
from videostore.cli.machine_options import Remote
from videostore.cli.runtime import DONE
from videostore.cli.time_options import length, now_us, written, written_within
from videostore.store.results import StorageState

_SHOWN = 20
_FRESH_US = 60 * US_PER_SECOND
"""A recording whose newest frame is older is not going on, though a file of it may have been written to just now."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be shown."""

    where: str
    state: StorageState
    recorded_to: bool | None
    """Whether somebody records right now; None where that is not known."""

    def ranges(self, since_us: int | None) -> list[Range]:
        """Those that do not end before a moment."""
        return [one for one in self.state.ranges if since_us is None or one.to_us > since_us]

    @property
    def newest_us(self) -> int | None:
        """The end of the newest frame."""
        return max((one.to_us for one in self.state.ranges), default=None)

    @property
    def newest_age_us(self) -> int | None:
        """How old that is; what a clock that was set back has left in the future is new."""
        return None if self.newest_us is None else max(0, now_us() - self.newest_us)

    @property
    def stored_us(self) -> int:
        """Length of all ranges."""
        return sum(one.to_us - one.from_us for one in self.state.ranges)


async def state(directory: Path, *, since_us: int | None, everything: bool, utc: bool, as_json: bool) -> int:
    """Show the state of a directory."""
    async with reading(directory) as store:
        found = Found(str(directory), await store.state(), is_recorded_to(directory))
    if found.recorded_to and (found.newest_age_us or 0) > _FRESH_US:  # a copy that was made just now
        found = replace(found, recorded_to=False)
    return _show(found, since_us=since_us, everything=everything, utc=utc, as_json=as_json)


async def state_of_machine(remote: Remote, *, since_us: int | None, everything: bool, utc: bool, as_json: bool) -> int:
    """Show the state of a recorder of a machine."""
    async with remote.connect() as machine:
        found = Found(f"{machine.component} of {machine.address}", await machine.state(), None)
    return _show(found, since_us=since_us, everything=everything, utc=utc, as_json=as_json)


def _show(found: Found, *, since_us: int | None, everything: bool, utc: bool, as_json: bool) -> int:
    ranges = found.ranges(since_us)
    if as_json:
        print(json.dumps(_described(found, ranges), indent=2))  # noqa: T201 (the result)
        return DONE
    screen.draw(_facts(found, utc=utc))
    if not ranges:
        return DONE
    screen.draw()
    shown = ranges if everything else ranges[-_SHOWN:]
    if len(shown) < len(ranges):
        first = written_within(ranges[0], utc=utc)[0]
        screen.draw(f"{len(ranges) - len(shown)} earlier ranges, from {first} on, are shown with --all.")
    screen.draw(_table(shown, between(found.state.ranges), utc=utc))
    return DONE


def _facts(found: Found, *, utc: bool) -> Table:
    state, newest_us, age_us = found.state, found.newest_us, found.newest_age_us
    table = screen.facts()
    table.add_row("Storage", found.where)
    if newest_us is None or age_us is None:
        table.add_row("Stored", "nothing yet")
    else:
        newest = f"the newest frame is {length(age_us)} old ({written(newest_us, utc=utc, precision='seconds')})"
        if found.recorded_to is None:
            table.add_row("Newest", newest)
        else:
            table.add_row("Recording", f"yes, {newest}" if found.recorded_to else f"not now, {newest}")
        count = len(state.ranges)
        table.add_row("Stored", f"{length(found.stored_us)} in {count} range{'s' if count > 1 else ''}")
    quota = "" if state.limit_bytes is None else f" of a quota of {screen.size(state.limit_bytes)}"
    table.add_row("Used", f"{screen.size(state.used_bytes)}{quota}")
    table.add_row("Free", f"{screen.size(state.device_free_bytes)} on the device")
    return table


def _table(shown: Sequence[Range], gaps: Sequence[Range], *, utc: bool) -> Table:
    """The last ranges; `gaps` are those between all."""
    table = screen.listing("FROM", "TO", "LENGTH", "GAP BEFORE")
    before = [None, *gaps][-len(shown) :]
    for one, gap in zip(shown, before, strict=True):
        missing = length(gap.to_us - gap.from_us) if gap else ""
        table.add_row(*written_within(one, utc=utc), length(one.to_us - one.from_us), missing)
    return table


def _described(found: Found, ranges: Sequence[Range]) -> dict[str, Any]:
    state, newest_us, age_us = found.state, found.newest_us, found.newest_age_us
    return {
        "storage": found.where,
        "recording": found.recorded_to,
        "oldest": _time(state.ranges[0].from_us) if state.ranges else None,
        "newest": None if newest_us is None else _time(newest_us),
        "newest_age_seconds": None if age_us is None else age_us / US_PER_SECOND,
        "stored_seconds": found.stored_us / US_PER_SECOND,
        "used_bytes": state.used_bytes,
        "quota_bytes": state.limit_bytes,
        "device_free_bytes": state.device_free_bytes,
        "ranges": [_range(one) for one in ranges],
        "gaps": [_range(one) for one in between(ranges)],
    }


def _range(one: Range) -> dict[str, Any]:
    return {
        "from": _time(one.from_us),
        "to": _time(one.to_us),
        "seconds": (one.to_us - one.from_us) / US_PER_SECOND,
    }


def _time(time_us: int) -> str:
    return written(time_us, utc=True, precision="microseconds")
