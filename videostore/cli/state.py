"""`videostore state`: what is stored, what is missing, and how much space is left."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from videostore.base.constants import STOPPED, US_PER_SECOND
from videostore.base.errors import RequestError, VideoStoreError, printable
from videostore.base.ranges import DamagedRange, Range
from videostore.cli.events import Outcomes, event_as_json, event_notes
from videostore.cli.gaps import damage_lines, gap_lines, gaps_between, replaced_lines
from videostore.cli.local_store import is_being_recorded, open_reader
from videostore.cli.machine_options import Remote
from videostore.cli.runtime import DONE, FAILED
from videostore.cli.style import CommandLineStyle, sentence_of
from videostore.cli.text import format_size
from videostore.cli.time_options import check_since, format_length, format_range, format_time, now_us
from videostore.storage.directory_lock import is_locked
from videostore.storage.notes import Event, RecordingGap, why_gap
from videostore.storage.replaced_files import ReplacedFile
from videostore.store.recorder_socket import ask_status
from videostore.store.results import StorageState

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 20
_FRESH_US = 60 * US_PER_SECOND
"""If the newest frame is older, no recording is in progress, even if a file was written to just now (a copy)."""


@dataclass(frozen=True, slots=True)
class FoundState:
    """The state of a storage directory or a machine, to be shown."""

    storage: str
    """The directory, or the recorder and its machine."""
    state: StorageState
    recording: bool | None
    """Whether a recording is in progress; None if that is not known."""
    reason: str = ""
    """Why not; empty if that is not known."""

    def ranges(self, since_us: int | None) -> list[Range]:
        """The ranges that end after a time."""
        return [one for one in self.state.ranges if since_us is None or one.to_us > since_us]

    def holds(self, since_us: int | None) -> bool:
        """Whether anything is stored or marked after a time."""
        return bool(self.ranges(since_us)) or any(since_us is None or one.to_us > since_us for one in self.state.events)

    def damaged(self, since_us: int | None) -> list[DamagedRange]:
        """What came damaged and ends after a time."""
        return [one for one in self.state.damaged if since_us is None or one.to_us > since_us]

    def replaced(self, since_us: int | None) -> list[ReplacedFile]:
        """The names of segments that are no files, of those whose times are known only what ends after a time."""
        return [one for one in self.state.replaced if since_us is None or not one.stored or one.stored.to_us > since_us]

    @property
    def known_gaps(self) -> list[RecordingGap]:
        """The gaps whose reasons are known."""
        return [*self.state.gaps, *(one.gap for one in self.state.replaced if one.gap is not None)]

    @property
    def newest_us(self) -> int | None:
        """The end of the newest frame; None if nothing is stored."""
        return max((one.to_us for one in self.state.ranges), default=None)

    @property
    def newest_age_us(self) -> int | None:
        """How old that is; 0 for a time in the future, which a clock that was set back leaves."""
        return None if self.newest_us is None else max(0, now_us() - self.newest_us)

    @property
    def stored_us(self) -> int:
        """The length of all ranges."""
        return sum(one.to_us - one.from_us for one in self.state.ranges)


async def state(directory: Path, *, since_us: int | None, everything: bool, utc: bool, as_json: bool) -> int:
    """Show the state of a storage directory."""
    async with open_reader(directory) as store:
        stored = await store.state()
    found = FoundState(str(directory), stored, is_being_recorded(directory))
    if found.recording and (found.newest_age_us or 0) > _FRESH_US:
        found = replace(found, recording=False)
    if not found.recording:
        found = await _with_reason(found, directory)
    return _show(found, since_us=since_us, everything=everything, utc=utc, as_json=as_json)


async def _with_reason(found: FoundState, directory: Path) -> FoundState:
    """Why nothing is recorded to a directory: its recorder tells, and without one what is noted there."""
    if not is_locked(directory):
        newest_us = found.newest_us or 0
        last = [one.reason for one in found.state.gaps if one.to_us > newest_us]
        if last and last[-1] != STOPPED:
            return replace(found, reason=f"no recorder is running here; before it ended: {last[-1]}")
        return replace(found, reason="no recorder is running here")
    status = await ask_status(directory)
    if status is None:
        return replace(found, reason="its recorder does not answer here: its log, its page or --machine tell why")
    return replace(found, recording=status.recording, reason=status.reason.rstrip("."))


async def state_of_machine(remote: Remote, *, since_us: int | None, everything: bool, utc: bool, as_json: bool) -> int:
    """Show the state of a recorder on another machine; of several, whether each records, or why not, or all as JSON."""
    try:
        found = await _ask(remote)
    except RequestError as error:
        if error.code != "several-recorders":
            raise
        answers = {name: await _answer(remote, name) for name in sorted(error.fields["found"])}
        return _show_all(answers, since_us, as_json=as_json, utc=utc)
    return _show(found, since_us=since_us, everything=everything, utc=utc, as_json=as_json)


async def _answer(remote: Remote, component: str) -> FoundState | VideoStoreError:
    """The state of one of several recorders, or why it cannot be told: that keeps the others from nothing."""
    try:
        return await _ask(replace(remote, component=component))
    except VideoStoreError as error:
        return error


async def _ask(remote: Remote) -> FoundState:
    async with remote.connect() as machine:
        state, status = await machine.state(), {}
        with contextlib.suppress(VideoStoreError):  # a recorder of 0.1.0, for instance, does not tell
            status = await machine.status()
        recording = status.get("recording")
        return FoundState(
            f"{machine.component} of {machine.address}",
            state,
            recording if isinstance(recording, bool) else None,
            "" if recording else str(status.get("reason") or "").rstrip("."),
        )


def _show_all(
    answers: Mapping[str, FoundState | VideoStoreError], since_us: int | None, *, as_json: bool, utc: bool
) -> int:
    check_since(since_us, any(isinstance(one, FoundState) and one.holds(since_us) for one in answers.values()))
    style = CommandLineStyle(utc=utc, options=False)
    told: dict[str, Any] = {}
    for name, answer in answers.items():
        if isinstance(answer, VideoStoreError):
            sentence = sentence_of(answer, style)
            told[name] = {"error": {"code": answer.code, "message": sentence}} if as_json else printable(sentence)
        elif as_json:
            told[name] = _as_json(answer, answer.ranges(since_us), since_us)
        else:
            told[name] = _activity(answer, utc=utc)
    if as_json:
        print(json.dumps({"recorders": told}, indent=2))  # noqa: T201 (the result)
    else:
        from videostore.cli.terminal import facts_table, print_result

        print_result(facts_table(list(told.items())))
        print_result()
        print_result("--component NAME shows what one of them has stored.")
    return FAILED if any(isinstance(one, VideoStoreError) for one in answers.values()) else DONE


def _activity(found: FoundState, *, utc: bool) -> str:
    """Whether it records, or why not, and how old the newest frame is."""
    said = {None: "", True: "yes, ", False: "no, "}[found.recording]
    newest = "nothing is stored yet"
    if found.newest_us is not None and found.newest_age_us is not None:
        time = format_time(found.newest_us, utc=utc, precision="seconds")
        newest = f"the newest frame is {format_length(found.newest_age_us)} old ({time})"
    return f"{said}{newest}{f': {printable(found.reason)}' if found.reason else ''}"


def _show(found: FoundState, *, since_us: int | None, everything: bool, utc: bool, as_json: bool) -> int:
    check_since(since_us, found.holds(since_us))
    ranges = found.ranges(since_us)
    if as_json:
        print(json.dumps(_as_json(found, ranges, since_us), indent=2))  # noqa: T201 (the result)
        return DONE
    from videostore.cli.terminal import print_result, print_widest  # slow to import, and JSON does not need it

    print_result(_facts(found, utc=utc))
    replaced = replaced_lines(found.replaced(since_us), utc=utc)
    if not ranges:
        if since_us is not None and found.state.ranges:
            print_result()
            print_result(f"Nothing was recorded since {format_time(since_us, utc=utc)}.")
        _print_lines(replaced)
        return DONE
    print_result()
    shown = ranges if everything else ranges[-_SHOWN:]
    if len(shown) < len(ranges):
        first = format_range(ranges[0], utc=utc)[0]
        print_result(f"{len(ranges) - len(shown)} earlier ranges, from {first} on, are shown with --all.")
    before = [None, *gaps_between(found.state.ranges)][-len(shown) :]
    rows = [
        (*format_range(one, utc=utc), format_length(one.to_us - one.from_us), _length_of(gap))
        for one, gap in zip(shown, before, strict=True)
    ]
    print_widest(_table(rows), _table_with_gaps(rows), _list(rows))
    first_us = shown[0].from_us - 1
    noted = [one for one in found.state.gaps if one.to_us > first_us]
    events = [one for one in found.state.events if one.to_us >= first_us]
    _print_lines(
        [
            *event_lines(events, found.state.outcomes, utc=utc),
            *gap_lines(noted, utc=utc),
            *damage_lines(found.damaged(since_us), utc=utc),
            *replaced,
        ]
    )
    return DONE


def _print_lines(lines: Sequence[str]) -> None:
    from videostore.cli.terminal import print_result

    for line in ("", *lines) if lines else ():
        print_result(line)


def event_lines(events: Sequence[Event], outcomes: Outcomes, *, utc: bool) -> list[str]:
    """A sentence for each of the last events."""
    lines = []
    if len(events) > _SHOWN:
        lines.append(f"{len(events) - _SHOWN} earlier events are in --json.")
    for one in events[-_SHOWN:]:
        added = f" ({notes})" if (notes := event_notes(one, outcomes)) else ""
        lines.append(f"Marked at {format_time(one.at_us, utc=utc)}: {printable(one.label)}{added}.")
    return lines


def _facts(found: FoundState, *, utc: bool) -> Table:
    from videostore.cli.terminal import facts_table

    state = found.state
    facts = [("Storage", found.storage)]
    if found.reason or found.newest_us is not None:
        facts.append(("Newest" if found.recording is None else "Recording", _activity(found, utc=utc)))
    if found.newest_us is None:
        facts.append(("Stored", "nothing yet"))
    else:
        count = len(state.ranges)
        facts.append(("Stored", f"{format_length(found.stored_us)} in {count} range{'s' if count > 1 else ''}"))
        if state.sound:
            facts.append(("Sound", "yes"))
    quota = "" if state.limit_bytes is None else f" of a quota of {format_size(state.limit_bytes)}"
    facts.append(("Used", f"{format_size(state.used_bytes)}{quota}"))
    facts.append(("Free", f"{format_size(state.device_free_bytes)} on the device"))
    return facts_table(facts)


_Row: TypeAlias = tuple[str, str, str, str]
"""Start, end and length of a range, and the length of the gap before it, or nothing."""


def _length_of(gap: Range | None) -> str:
    return format_length(gap.to_us - gap.from_us) if gap else ""


def _table(rows: Sequence[_Row]) -> Table:
    from videostore.cli.terminal import list_table

    table = list_table("FROM", "TO", "LENGTH", "GAP BEFORE")
    for row in rows:
        table.add_row(*row)
    return table


def _table_with_gaps(rows: Sequence[_Row]) -> Table:
    """The same with each gap in a line of its own, for 80 columns."""
    from videostore.cli.terminal import list_table

    table = list_table("FROM", "TO", "LENGTH")
    for start, end, length, gap in rows:
        if gap:
            table.add_row("", "a gap of", gap)
        table.add_row(start, end, length)
    return table


def _list(rows: Sequence[_Row]) -> Table:
    """The same with each time in a line of its own, for 40 columns."""
    from videostore.cli.terminal import facts_table

    facts = []
    for start, end, length, gap in rows:
        if gap:
            facts.append(("GAP", gap))
        facts += [("FROM", start), ("TO", end), ("LENGTH", length)]
    return facts_table(facts)


def _as_json(found: FoundState, ranges: Sequence[Range], since_us: int | None) -> dict[str, Any]:
    state, newest_us, age_us = found.state, found.newest_us, found.newest_age_us
    return {
        "storage": found.storage,
        "recording": found.recording,
        "reason": found.reason or None,
        "oldest": _exact(state.ranges[0].from_us) if state.ranges else None,
        "newest": None if newest_us is None else _exact(newest_us),
        "newest_age_seconds": None if age_us is None else age_us / US_PER_SECOND,
        "stored_seconds": found.stored_us / US_PER_SECOND,
        "used_bytes": state.used_bytes,
        "quota_bytes": state.limit_bytes,
        "device_free_bytes": state.device_free_bytes,
        "sound": state.sound,
        "ranges": [_range_as_json(one) for one in ranges],
        "gaps": [_range_as_json(one) | {"reason": why_gap(one, found.known_gaps)} for one in gaps_between(ranges)],
        "events": [
            event_as_json(one, state.outcomes) for one in state.events if since_us is None or one.to_us > since_us
        ],
        "damaged": [
            _range_as_json(Range(one.from_us, one.to_us)) | {"reason": one.reason} for one in found.damaged(since_us)
        ],
        "replaced": [
            {"file": one.file_name, "kind": one.kind, "stored": _range_as_json(one.stored) if one.stored else None}
            for one in found.replaced(since_us)
        ],
    }


def _range_as_json(one: Range) -> dict[str, Any]:
    return {
        "from": _exact(one.from_us),
        "to": _exact(one.to_us),
        "seconds": (one.to_us - one.from_us) / US_PER_SECOND,
    }


def _exact(time_us: int) -> str:
    return format_time(time_us, utc=True, precision="microseconds")
