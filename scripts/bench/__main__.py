"""`make bench`: measures the module on this machine, and compares each row with bare ffmpeg, and with what is wanted.

Without names it measures what recording and asking for clips cost, which takes a quarter of an hour. `scale` is a
separate table: how the costs of the store grow with the number of stored segments.

All files are in temporary directories, which are removed at the end. A missed target is marked in the table; it is not
a failure of the program.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from scripts.bench import answers as bench_answers
from scripts.bench import archive as bench_archive
from scripts.bench import footage as bench_footage
from scripts.bench import go_module as bench_go_module
from scripts.bench import pictures as bench_pictures
from scripts.bench import recorders as bench_recorders
from scripts.bench import recording as bench_recording
from scripts.bench import requests as bench_requests
from scripts.bench import scale as bench_scale
from scripts.bench import scale_table
from scripts.bench import streams as bench_streams
from scripts.bench import sync as bench_sync
from scripts.bench import unindexed as bench_unindexed
from scripts.bench import video as bench_video
from scripts.bench import web as bench_web
from scripts.bench.table import Row, describe_machine, format_table
from videostore.ffmpeg.process import find_ffmpeg

PARTS = (
    bench_recording,
    bench_recorders,
    bench_streams,
    bench_sync,
    bench_requests,
    bench_archive,
    bench_unindexed,
    bench_go_module,
    bench_answers,
    bench_video,
    bench_pictures,
    bench_footage,
    bench_web,
)
TABLE = (
    *("record", "memory", "save-10s", "save-60s", "fetch-10s", "fetch-60s"),
    *("start", "state", "idle", "unindexed", "streams"),
)
"""What is measured if no rows are named."""
_ALONE = """Values are medians, with their quartiles in brackets; from fewer than 8, with the smallest and the largest.
Measured alone, by the first word of a row: python -m scripts.bench ROW"""
ROWS = tuple(dict.fromkeys((*(row for part in PARTS for row in part.ROWS), bench_scale.NAME)))


async def run(names: Sequence[str], *, quick: bool) -> list[Row]:
    """Measure the rows with these names, except those of `scale`."""
    binary = find_ffmpeg()
    found = []
    for part in PARTS:
        rows = [row for row in part.ROWS if row in names]
        if rows:
            found += await part.measure(rows, binary, quick=quick, say=_say)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="ROW", help=f"rows to measure: {', '.join(ROWS)}; default: {', '.join(TABLE)}"
    )
    parser.add_argument("--all", action="store_true", help="measure all rows, which takes an hour")
    parser.add_argument(
        "--quick", action="store_true", help="measure for a shorter time and less often; the figures are less exact"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; the rows are {', '.join(ROWS)}")
    names = ROWS if options.all else tuple(options.names) or TABLE
    machine, began = describe_machine(find_ffmpeg()), time.monotonic()
    tables, missed = [], []
    if rows := asyncio.run(run(names, quick=options.quick)):
        tables.append(format_table(rows))
        missed += [row.name for row in rows if row.ok is False]
    if bench_scale.NAME in names:
        headings, lines = asyncio.run(bench_scale.measure(find_ffmpeg(), quick=options.quick, say=_say))
        tables.append(scale_table.format_lines(headings, lines))
        missed += [f"{bench_scale.NAME} ({line.name})" for line in lines if line.ok is False]
    print(f"\n{machine}", *tables, _ALONE, f"Measured in {time.monotonic() - began:.0f} s.", sep="\n\n")
    print(f"Missed: {', '.join(missed)}." if missed else "Every target was met.")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
