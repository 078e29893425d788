"""`videostore when`: when a clip, or a position in it, was captured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostore.base.constants import US_PER_SECOND
from videostore.base.tasks import run_in_thread
from videostore.base.time_format import format_position
from videostore.cli.runtime import DONE
from videostore.cli.time_options import format_length, format_time
from videostore.media.clip_reader import ClipFrame, clip_times, read_clip_frame
from videostore.media.clip_times import ClipStretch, ClipTimes

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 100
_COLUMNS = ("POSITION", "FROM", "TO", "LENGTH", "GAP BEFORE")
_TO_THE_SECOND = "to the second, as the Go module recorded it"


async def when(path: Path, *, everything: bool, utc: bool, as_json: bool) -> int:
    """Show what a clip tells about its own time."""
    times = await clip_times(path)
    if as_json:
        print(json.dumps(_as_json(path, times), indent=2))  # noqa: T201 (the result)
        return DONE
    from videostore.cli.terminal import print_result, print_widest  # slow to import, and JSON does not need it

    shown = times.stretches if everything else times.stretches[:_SHOWN]
    print_result(_facts(times))
    print_result()
    rows = _rows(shown, utc=utc)
    print_widest(_table(rows), _list(rows))
    if len(shown) < len(times.stretches):
        print_result(f"{len(times.stretches) - len(shown)} more are shown with --all.")
    if times.unlisted:
        print_result(f"The clip does not tell the times of {times.unlisted} more: they are too many to be listed.")
    return DONE


async def when_at(path: Path, position_us: int, within_us: int, *, as_json: bool) -> int:
    """Show when the frame was captured that a clip shows at a position, or up to `within_us` after it."""
    frame = await run_in_thread(read_clip_frame, path, position_us, within_us)
    if as_json:
        print(json.dumps(_frame_as_json(path, frame), indent=2))  # noqa: T201 (the result)
        return DONE
    from videostore.cli.terminal import facts_table, print_result

    facts = [
        ("Frame", f"shown from {format_position(frame.position_us)}"),
        ("Captured", _exact(frame.captured_us, utc=False)),
        ("UTC", _exact(frame.captured_us, utc=True)),
        ("Precision", _precision(frame.precision_us)),
    ]
    print_result(facts_table(facts))
    return DONE


def _precision(precision_us: int) -> str:
    if precision_us >= US_PER_SECOND:
        return _TO_THE_SECOND
    return f"{precision_us} µs" if precision_us else "exact to the microsecond"


def _facts(times: ClipTimes) -> Table:
    from videostore.cli.terminal import facts_table

    facts = [
        ("Recorder", times.recorder or "not told"),
        ("First frame", _exact(times.first_us, utc=False)),
        ("UTC", _exact(times.first_us, utc=True)),
    ]
    if not all(one.exact for one in times.stretches):
        facts.append(("Precision", f"~ is {_TO_THE_SECOND}"))
    return facts_table(facts)


def _rows(stretches: Sequence[ClipStretch], *, utc: bool) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for before, one in zip((None, *stretches), stretches, strict=False):
        about = "" if one.exact else "~"
        rows.append(
            (
                format_position(one.position_us),
                about + _exact(one.from_us, utc=utc),
                about + _exact(one.to_us, utc=utc),
                format_length(one.to_us - one.from_us),
                "" if before is None else _gap(one.from_us - before.to_us),
            )
        )
    return rows


def _table(rows: Sequence[tuple[str, ...]]) -> Table:
    from videostore.cli.terminal import list_table

    table = list_table(*_COLUMNS)
    for row in rows:
        table.add_row(*row)
    return table


def _list(rows: Sequence[tuple[str, ...]]) -> Table:
    """The same with each value in a line of its own, for 80 columns and fewer."""
    from videostore.cli.terminal import facts_table

    # The gap comes first: it lies before the stretch.
    order = [-1, *range(len(_COLUMNS) - 1)]
    return facts_table((_COLUMNS[number], row[number]) for row in rows for number in order if row[number])


def _gap(gap_us: int) -> str:
    """A gap; to the microsecond if it is short. Times go back if the clock was set back between two runs."""
    if gap_us < 0:
        return f"{format_length(-gap_us)} back"
    return format_length(gap_us) if gap_us >= US_PER_SECOND else f"{gap_us / US_PER_SECOND:.6f} s"


def _as_json(path: Path, times: ClipTimes) -> dict[str, Any]:
    return {
        "clip": str(path),
        "recorder": times.recorder,
        "first": _exact(times.first_us, utc=True),
        "stretches": [
            {
                "position": one.position_us / US_PER_SECOND,
                "from": _exact(one.from_us, utc=True),
                "to": _exact(one.to_us, utc=True),
                "seconds": (one.to_us - one.from_us) / US_PER_SECOND,
                "exact": one.exact,
            }
            for one in times.stretches
        ],
        "unlisted": times.unlisted,
    }


def _frame_as_json(path: Path, frame: ClipFrame) -> dict[str, Any]:
    return {
        "clip": str(path),
        "position": frame.position_us / US_PER_SECOND,
        "captured": _exact(frame.captured_us, utc=True),
        "precision_seconds": frame.precision_us / US_PER_SECOND,
    }


def _exact(time_us: int, *, utc: bool) -> str:
    return format_time(time_us, utc=utc, precision="microseconds")
