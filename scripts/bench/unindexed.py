"""Measures `videostore state` on a directory of 20,000 segments whose index is lost, with its output in a pipe.

The processes that read the segments are its children, so the CPU time is that of all of them.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.pairs import with_spread
from scripts.bench.segments import make_directory
from scripts.bench.table import Row
from scripts.fakes.module_process import ROOT
from videostore.base.constants import US_PER_SECOND

ROWS = ("unindexed",)
SEGMENTS, GAPS, GAP_S = 20_000, 60, 60
ROUNDS, QUICK_ROUNDS = 3, 1
TARGET_CPU_S = 8.0
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class _Read:
    seconds: float
    cpu_s: float
    told: int
    """Lines on standard error."""


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """The rows of `ROWS`."""
    if not rows:
        return []
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as name:
        say(f"unindexed: making {SEGMENTS:,} segments")
        newest_end_us = time.time_ns() // 1000 - 3600 * US_PER_SECOND
        made = await make_directory(Path(name, "storage"), SEGMENTS, newest_end_us, binary, gaps=GAPS, gap_s=GAP_S)
        say("unindexed: videostore state")
        found = [await asyncio.to_thread(_read, made.path) for _ in range(QUICK_ROUNDS if quick else ROUNDS)]
    took, cpu = with_spread([one.seconds for one in found], "s", 1), with_spread([one.cpu_s for one in found], "s", 1)
    text = f"{took}, CPU {cpu}, lines on stderr: {min(one.told for one in found)}"
    ok = all(one.told and one.cpu_s < TARGET_CPU_S for one in found)
    return [Row(f"unindexed, {SEGMENTS:,} segments", text, f"< {TARGET_CPU_S:g} s of CPU, a line on stderr", None, ok)]


def _read(directory: Path) -> _Read:
    """Blocking."""
    command = [sys.executable, "-m", "videostore", "state", "--storage", str(directory)]
    began, before = time.monotonic(), os.times()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
    after = os.times()
    if f"in {GAPS + 1} ranges" not in done.stdout:
        raise RuntimeError(f"the state is wrong: {done.stdout[:200]}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return _Read(time.monotonic() - began, cpu_s, len(done.stderr.splitlines()))
