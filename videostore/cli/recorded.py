"""What `videostore record` has recorded, as it says when it ends."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from videostore.base.constants import JOIN_US, US_PER_SECOND
from videostore.base.ranges import Range, merge_damaged
from videostore.base.tasks import off_loop
from videostore.cli import terminal
from videostore.cli.gaps import damage_lines
from videostore.cli.runtime import DONE, FAILED, INCOMPLETE, print_message
from videostore.cli.time_options import format_length, format_range
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.segment import Segment, UnknownFileError, UnreadableError, describe_fragments, probe
from videostore.media.segment_names import name_time_us, parse_open_name
from videostore.storage.index import Index
from videostore.storage.segment_files import list_directory

_SHOWN = 20
_LOGGER = logging.getLogger("videostore")


async def report_recording(directory: Path, started_us: int, reason: str) -> int:
    """Say what was recorded since a time, or for what reason nothing was, and return the exit code."""
    segments, left_open = await _recorded_segments(directory, started_us - US_PER_SECOND)
    ranges = _joined(segments)
    if not ranges:
        print_message(f"Nothing was recorded: {reason.rstrip('.')}." if reason else "Nothing was recorded.")
        return FAILED
    recorded_us = sum(one.to_us - one.from_us for one in ranges)
    pieces = f" in {len(ranges)} ranges" if len(ranges) > 1 else ""
    terminal.print_result(f"Recorded {format_length(recorded_us)}{pieces} into {directory}")
    facts: list[tuple[str, ...]] = [*zip(("from", "to"), format_range(ranges[0]), strict=True)]
    if len(ranges) > 1:
        facts = [
            ("holds", " to ".join(format_range(one)), f"({format_length(one.to_us - one.from_us)})")
            for one in ranges[-_SHOWN:]
        ]
    terminal.print_result(terminal.facts_table(facts))
    if len(ranges) > 1:
        missing_us = ranges[-1].to_us - ranges[0].from_us - recorded_us
        print_message(
            f"{format_length(missing_us)} are missing between these ranges. `videostore state --all` shows all ranges."
        )
    for line in damage_lines(merge_damaged(found for one in segments for found in one.damaged), utc=False):
        print_message(line)
    for name in left_open:
        print_message(f"{name} could not be closed. The next recorder in this directory closes it.")
    return DONE if len(ranges) == 1 else INCOMPLETE


async def _recorded_segments(directory: Path, from_us: int) -> tuple[list[Segment], list[str]]:
    """The segments from a time on, as the index has them; those that it lacks are read from their files.

    Also the names of those among them that are still open.
    """
    opened, closed, _ = await off_loop(list_directory, directory)
    names = [name for name in closed if (name_time_us(name) or 0) >= from_us]
    indexed: dict[str, Segment] = {}
    with contextlib.suppress(OSError, sqlite3.Error):
        index = await Index.open_snapshot(directory, _LOGGER)
        try:
            indexed = {one.file_name: one for one in await index.select(from_us, 1 << 62)}
        finally:
            await index.close()
    found = [indexed.get(name) or await off_loop(_read, directory / name) for name in names]
    read = [await off_loop(_read_open, directory / name) for name in opened]
    left_open = [one for one in read if one and one.start_us >= from_us]
    segments = [one for one in (*found, *left_open) if one is not None]
    return sorted(segments, key=lambda one: one.start_us), [one.file_name for one in left_open]


def _read_open(path: Path) -> Segment | None:
    run = parse_open_name(path.name)
    try:
        return describe_fragments(path.name, read_fragments(path), run[1] if run else None)
    except (OSError, NotOursError):
        return None


def _joined(segments: Sequence[Segment]) -> list[Range]:
    """The ranges that segments make. Those of one run follow each other without a gap."""
    ranges: list[Range] = []
    before: Segment | None = None
    for one in segments:
        if before is not None and (_follows(one, before) or one.start_us <= ranges[-1].to_us + JOIN_US):
            ranges[-1] = Range(ranges[-1].from_us, max(ranges[-1].to_us, one.end_us))
        else:
            ranges.append(Range(one.start_us, one.end_us))
        before = one
    return ranges


def _follows(one: Segment, before: Segment) -> bool:
    if one.run_us is None or one.run_us != before.run_us or one.run_number is None or before.run_number is None:
        return False
    return one.run_number == before.run_number + 1


def _read(path: Path) -> Segment | None:
    try:
        return probe(path)
    except (OSError, UnknownFileError, UnreadableError):
        return None
