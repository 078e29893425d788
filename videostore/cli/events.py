"""`videostore events`, `mark` and `unmark`: the events of a recording."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import printable
from videostore.base.ranges import Range
from videostore.cli.local_store import open_reader
from videostore.cli.machine_options import Remote
from videostore.cli.runtime import DONE
from videostore.cli.time_options import format_range, format_time
from videostore.storage.notes import Event
from videostore.store.marking import make_event
from videostore.store.resting_events import mark_at_rest, unmark_at_rest


async def events(directory: Path, *, since_us: int | None, utc: bool, as_json: bool) -> int:
    """List the events of a storage directory."""
    async with open_reader(directory) as store:
        found = (await store.state()).events
    return _show(found, since_us=since_us, utc=utc, as_json=as_json)


async def events_of_machine(remote: Remote, *, since_us: int | None, utc: bool, as_json: bool) -> int:
    """List the events of a recorder on another machine."""
    async with remote.connect() as machine:
        found = (await machine.state()).events
    return _show(found, since_us=since_us, utc=utc, as_json=as_json)


async def mark(directory: Path, at_us: int, label: str, before_s: float, after_s: float, *, utc: bool) -> int:
    """Mark a moment of a recording that no recorder has."""
    event = await mark_at_rest(directory, make_event(at_us, label, before_s, after_s, keep=False))
    return _show_marked(event, utc=utc)


async def mark_on_machine(
    remote: Remote,
    at_us: int | None,
    label: str,
    before_s: float,
    after_s: float,
    *,
    keep: bool,
    save: bool,
    utc: bool,
) -> int:
    """Mark a moment of a recorder on another machine; None is the present there."""
    async with remote.connect() as machine:
        at = "now" if at_us is None else at_us
        event = await machine.mark(label, at, before_s=before_s, after_s=after_s, keep=keep, save=save)
    return _show_marked(event, utc=utc)


async def unmark(directory: Path, id: int, *, release: bool) -> int:
    """Forget an event of a recording that no recorder has."""
    await unmark_at_rest(directory, id, release=release)
    return DONE


async def unmark_on_machine(remote: Remote, id: int, *, release: bool) -> int:
    """Forget an event of a recorder on another machine."""
    async with remote.connect() as machine:
        await machine.unmark(id, release=release)
    return DONE


def event_as_json(one: Event) -> dict[str, Any]:
    """An event as `--json` shows it."""
    at, start, end = (format_time(time_us, utc=True, precision="microseconds") for time_us in _times(one))
    seconds = (one.to_us - one.from_us) / US_PER_SECOND
    shown = {"from": start, "to": end, "seconds": seconds, "label": one.label, "keep": one.keep}
    return {"id": one.id, "at": at, **shown, "saved": one.file_name}


def event_notes(one: Event) -> str:
    """What is kept and saved of an event, in words; empty if nothing is."""
    notes = [*(["kept"] if one.keep else []), *([f"saved as {one.file_name}"] if one.file_name else [])]
    return printable(", ".join(notes))


def _times(one: Event) -> tuple[int, int, int]:
    return one.at_us, one.from_us, one.to_us


def _show_marked(event: Event, *, utc: bool) -> int:
    from videostore.cli import terminal

    start, end = format_range(Range(event.from_us, event.to_us), utc=utc)
    facts = [("event", str(event.id)), ("at", format_time(event.at_us, utc=utc)), ("range", f"{start} to {end}")]
    notes = event_notes(event)
    terminal.print_result(terminal.facts_table([*facts, *([("of it", notes)] if notes else [])]))
    return DONE


def _show(found: Sequence[Event], *, since_us: int | None, utc: bool, as_json: bool) -> int:
    found = [one for one in found if since_us is None or one.to_us > since_us]
    if as_json:
        print(json.dumps([event_as_json(one) for one in found], indent=2))  # noqa: T201 (the result)
        return DONE
    from videostore.cli import terminal

    if not found:
        terminal.print_result("No events.")
        return DONE
    table = terminal.list_table("ID", "AT", "LABEL", "")
    for one in found:
        table.add_row(str(one.id), format_time(one.at_us, utc=utc), printable(one.label), event_notes(one))
    terminal.print_result(table)
    return DONE
