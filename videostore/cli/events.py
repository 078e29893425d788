"""`videostore events`, `mark` and `unmark`: the events of a recording."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError, VideoStoreError, printable
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.cli.local_store import open_reader
from videostore.cli.machine_options import Remote
from videostore.cli.runtime import DONE, print_message
from videostore.cli.time_options import check_since, format_range, format_time, now_us
from videostore.storage.directory_lock import is_locked
from videostore.storage.notes import Event
from videostore.storage.save_record import SaveOutcome, SaveStatus
from videostore.store.marking import make_event
from videostore.store.resting_events import mark_at_rest, unmark_at_rest
from videostore.store.results import StorageState

Outcomes: TypeAlias = Mapping[str, SaveOutcome]
"""What became of saves, by the names of their clips."""

_LOOK_S = 10.0
"""So long it is looked whether something is recorded in an event's range: of a lost index every segment is read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events are listed: those whose ranges overlap this one, of which either end may be open."""

    since_us: int | None = None
    until_us: int | None = None

    def __contains__(self, one: Event) -> bool:
        return (self.since_us is None or one.to_us > self.since_us) and (
            self.until_us is None or one.from_us < self.until_us
        )


async def events(directory: Path, asked: Asked, *, utc: bool, as_json: bool) -> int:
    """List the events of a storage directory."""
    async with open_reader(directory) as store:
        found = await store.state()
    return _show(found, asked, utc=utc, as_json=as_json)


async def events_of_machine(remote: Remote, asked: Asked, *, utc: bool, as_json: bool) -> int:
    """List the events of a recorder on another machine."""
    async with remote.connect() as machine:
        found = await machine.state()
    return _show(found, asked, utc=utc, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment to be marked, and what to do with its footage."""

    at_us: int | None
    """None: the present, by the clock of the recorder."""
    label: str
    before_s: float
    after_s: float
    keep: bool
    save: bool
    metadata: str | None
    """Of the clip that is saved; None stands for the label."""
    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        for field in ("metadata", "tags"):
            if getattr(self, field) and not self.save:
                raise RequestError("mark-without-save", field=field)


async def mark(directory: Path, asked: Mark, *, utc: bool) -> int:
    """Mark a moment of the recording in a directory."""
    at_us = now_us() if asked.at_us is None else asked.at_us
    event = make_event(at_us, asked.label, asked.before_s, asked.after_s, keep=asked.keep)
    done = await mark_at_rest(directory, event, save=asked.save, metadata=asked.metadata, tags=asked.tags)
    _show_marked(done, utc=utc)
    if not await off_loop(is_locked, directory):
        with contextlib.suppress(VideoStoreError, asyncio.TimeoutError):  # it is marked all the same
            if not await asyncio.wait_for(_holds_any(directory, done), _LOOK_S):
                print_message("Nothing is recorded in this range. `videostore state` shows what is.")
    return DONE


async def _holds_any(directory: Path, event: Event) -> bool:
    """Whether something is recorded in the range of an event."""
    async with open_reader(directory) as store:
        ranges = (await store.state()).ranges
    return any(one.from_us < event.to_us and event.from_us < one.to_us for one in ranges)


async def mark_on_machine(remote: Remote, asked: Mark, *, utc: bool) -> int:
    """Mark a moment of a recorder on another machine."""
    async with remote.connect() as machine:
        event = await machine.mark(
            asked.label,
            "now" if asked.at_us is None else asked.at_us,
            before_s=asked.before_s,
            after_s=asked.after_s,
            keep=asked.keep,
            save=asked.save,
            metadata=asked.metadata,
            tags=asked.tags,
        )
    return _show_marked(event, utc=utc)


async def unmark(directory: Path, id: int, *, release: bool, cancel_save: bool) -> int:
    """Forget an event of the recording in a directory."""
    file_name = await unmark_at_rest(directory, id, release=release, cancel_save=cancel_save)
    return _show_unmarked(id, file_name, release=release, cancel_save=cancel_save)


async def unmark_on_machine(remote: Remote, id: int, *, release: bool, cancel_save: bool) -> int:
    """Forget an event of a recorder on another machine."""
    async with remote.connect() as machine:
        file_name = await machine.unmark(id, release=release, cancel_save=cancel_save)
    return _show_unmarked(id, file_name, release=release, cancel_save=cancel_save)


def event_as_json(one: Event, outcomes: Outcomes) -> dict[str, Any]:
    """An event as `--json` shows it."""
    outcome = outcomes.get(one.file_name or "")
    at, start, end = (format_time(time_us, utc=True, precision="microseconds") for time_us in _times(one))
    seconds = (one.to_us - one.from_us) / US_PER_SECOND
    shown = {"from": start, "to": end, "seconds": seconds, "label": one.label, "keep": one.keep}
    save = {"save_status": outcome.status.value if outcome else None, "save_reason": outcome.reason if outcome else ""}
    return {"id": one.id, "at": at, **shown, "saved": one.file_name, **save}


def event_notes(one: Event, outcomes: Outcomes) -> str:
    """What is kept and saved of an event, in words; empty if nothing is."""
    notes = ["kept"] if one.keep else []
    if one.file_name:
        notes.append(_save_note(one, one.file_name, outcomes.get(one.file_name)))
    return printable(", ".join(notes))


def _save_note(one: Event, name: str, outcome: SaveOutcome | None) -> str:
    reason = outcome.reason.rstrip(".") if outcome else ""
    if outcome is None:
        return f"to be saved as {name}; what became of that is not known"
    if outcome.status is SaveStatus.DONE:
        return f"saved as {name}"
    if outcome.status is not SaveStatus.PENDING:
        return f"not saved as {name}: {reason or outcome.status.value}"
    if one.to_us > now_us():
        return f"to be saved as {name} when its end is recorded"
    return f"still to be saved as {name}" + (f": {reason}" if reason else "")


def _times(one: Event) -> tuple[int, int, int]:
    return one.at_us, one.from_us, one.to_us


def _show_marked(event: Event, *, utc: bool) -> int:
    from videostore.cli import terminal

    start, end = format_range(Range(event.from_us, event.to_us), utc=utc)
    facts = [("event", str(event.id)), ("at", format_time(event.at_us, utc=utc)), ("range", f"{start} to {end}")]
    queued = {event.file_name: SaveOutcome(SaveStatus.PENDING)} if event.file_name else {}
    notes = event_notes(event, queued)
    terminal.print_result(terminal.facts_table([*facts, *([("footage", notes)] if notes else [])]))
    return DONE


def _show_unmarked(id: int, file_name: str | None, *, release: bool, cancel_save: bool) -> int:
    from videostore.cli import terminal

    terminal.print_result(f"Event {id} {'is not kept any more' if release else 'is forgotten'}.")
    if file_name and cancel_save:
        terminal.print_result(printable(f"Its clip {file_name} is not cancelled: it has begun or ended."))
    elif file_name and not release:
        terminal.print_result(printable(f"Its clip {file_name} is saved all the same."))
    elif cancel_save:
        terminal.print_result("No clip of it will be saved.")
    return DONE


def _show(state: StorageState, asked: Asked, *, utc: bool, as_json: bool) -> int:
    found, outcomes = [one for one in state.events if one in asked], state.outcomes
    check_since(asked.since_us, bool(found))
    if as_json:
        print(json.dumps([event_as_json(one, outcomes) for one in found], indent=2))  # noqa: T201 (the result)
        return DONE
    from videostore.cli import terminal

    if not found:
        terminal.print_result("No events.")
        return DONE
    table = terminal.list_table("ID", "AT", "LABEL", "")
    for one in found:
        notes = event_notes(one, outcomes)
        table.add_row(str(one.id), format_time(one.at_us, utc=utc), printable(one.label), notes)
    terminal.print_result(table)
    return DONE
