"""`make bench`: measures the module as a process on this machine, each row against bare ffmpeg or what is wanted.

`scale` is a table of its own: how the costs of the store grow with what is stored.

Everything is written to temporary directories, which go with the processes that were started. A figure that is missed
is marked in the table and is no failure of the program.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from scripts.bench import archive as bench_archive
from scripts.bench import recording as bench_recording
from scripts.bench import scale as bench_scale
from scripts.bench import sync as bench_sync
from scripts.bench.table import Row, describe_machine, format_table
from videostore.ffmpeg.process import find_ffmpeg

ROWS = tuple(dict.fromkeys((*bench_recording.ROWS, *bench_sync.ROWS, *bench_archive.ROWS, bench_scale.NAME)))


async def run(names: Sequence[str], *, quick: bool) -> list[Row]:
    """Measures the rows of these names, all without any, but for those of `scale`."""
    binary = find_ffmpeg()
    found = []
    for part in (bench_recording, bench_sync, bench_archive):
        rows = [row for row in part.ROWS if row in (names or ROWS)]
        if rows:
            found += await part.measure(rows, binary, quick=quick, say=_say)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line, measures and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ROW", help=f"rows to measure: {', '.join(ROWS)}; default all")
    parser.add_argument("--quick", action="store_true", help="measure shorter and less often: the figures are rougher")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    machine, began = describe_machine(find_ffmpeg()), time.monotonic()
    tables, missed = [], []
    if rows := asyncio.run(run(options.names, quick=options.quick)):
        tables.append(format_table(rows))
        missed += [row.name for row in rows if row.ok is False]
    if bench_scale.NAME in (options.names or ROWS):
        headings, lines = asyncio.run(bench_scale.measure(find_ffmpeg(), quick=options.quick, say=_say))
        tables.append(bench_scale.format_lines(headings, lines))
        missed += [f"{bench_scale.NAME} ({line.name})" for line in lines if line.ok is False]
    print(f"\n{machine}", *tables, f"Measured in {time.monotonic() - began:.0f} s.", sep="\n\n")
    print(f"Missed: {', '.join(missed)}." if missed else "Nothing that is wanted was missed.")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
