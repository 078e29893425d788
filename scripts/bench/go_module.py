"""Measures the Go module (viam-modules/video-store) beside this one, in turn, on copies of the same 1,200 segments.

`$VIDEOSTORE_GO_MODULE` is its executable. Without it nothing is measured. Both serve the same model and take the same
commands, over gRPC. Clips begin on a keyframe, at a whole second: the Go module knows no fractions.
"""

import asyncio
import base64
import contextlib
import functools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

import psutil

from scripts.bench.pairs import in_turn, milliseconds, ratio_of, with_spread
from scripts.bench.stored import Stored, make_storage
from scripts.bench.table import Row
from scripts.fakes.viam_server import DATA_MANAGER_API, Parent
from videostore.base.constants import US_PER_SECOND

ROWS = ("go-module",)
VARIABLE = "VIDEOSTORE_GO_MODULE"
NAME = "bench"
SEGMENTS, SKIP_S = 1200, 15
SETTLE_S, IDLE_S, QUICK_IDLE_S = 5.0, 20.0, 5.0
ROUNDS, QUICK_ROUNDS = 11, 5
CALL_TIMEOUT_S = 120.0
_OURS = (sys.executable, "-m", "videostore")


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """The rows of `ROWS`."""
    if not rows:
        return []
    program = os.environ.get(VARIABLE)
    if not program or not shutil.which(program):
        return [Row("go-module", f"not measured: {VARIABLE} names no program", "", None, None)]
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as name:
        say(f"go-module: making {SEGMENTS:,} segments")
        stored = await make_storage(Path(name, "storage"), binary, SEGMENTS, foreign=True)
        copy = Path(name, "other", "storage")
        await asyncio.to_thread(shutil.copytree, stored.directory, copy)
        other = Stored(copy, stored.segments)
        rounds = QUICK_ROUNDS if quick else ROUNDS
        say("go-module: starting, in turn")
        starts = await in_turn(rounds, lambda: _start(_OURS, stored), lambda: _start((program,), other))
        found = [_row("until the component is there", *starts)]
        async with _running(_OURS, stored) as ours, _running((program,), other) as theirs:
            await asyncio.sleep(SETTLE_S)
            say("go-module: idle")
            idle = await asyncio.gather(*(_idle(one, QUICK_IDLE_S if quick else IDLE_S) for one in (ours, theirs)))
            for title, command in _commands(stored).items():
                say(f"go-module: {title}, in turn")
                asked = (functools.partial(_ask, one, command) for one in (ours, theirs))
                found.append(_row(title, *await in_turn(rounds, *asked)))
        share, against = (f"{one * 100:.2f} % of a core" for one in idle)
        return [*found, Row("go-module: idle", share, f"Go module {against}", None, None)]


def _row(title: str, ours: Sequence[float], theirs: Sequence[float]) -> Row:
    in_ms = max(ours) < 1
    text, against = (milliseconds(one, 1) if in_ms else with_spread(one, "s", 2) for one in (ours, theirs))
    return Row(f"go-module: {title}", text, f"Go module {against}", ratio_of(ours, theirs), None)


def _commands(stored: Stored) -> dict[str, dict[str, str]]:
    found = {"get-storage-state": {"command": "get-storage-state"}}
    for length_s in (10, 60):
        begin_s = stored.start_us // US_PER_SECOND + SKIP_S
        span = {"from": _stamp(begin_s), "to": _stamp(begin_s + length_s)}
        for command in ("save", "fetch"):
            found[f"{command} of {length_s} s"] = {"command": command, **span}
    return found


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d_%H-%M-%SZ")


@contextlib.asynccontextmanager
async def _running(program: Sequence[str], stored: Stored) -> AsyncIterator[Parent]:
    async with Parent() as parent:
        await parent.start_module(command=program)
        # The Go module must be given its dependencies: it names none.
        await parent.add(NAME, stored.attributes, depends_on=[f"{DATA_MANAGER_API}/data-manager"])
        yield parent


async def _start(program: Sequence[str], stored: Stored) -> float:
    """Seconds until the component is there."""
    began = time.monotonic()
    async with _running(program, stored):
        return time.monotonic() - began


async def _idle(parent: Parent, seconds: float) -> float:
    module = psutil.Process(parent.process.pid)
    before_s, began = sum(module.cpu_times()[:2]), time.monotonic()
    await asyncio.sleep(seconds)
    return float((sum(module.cpu_times()[:2]) - before_s) / (time.monotonic() - began))


async def _ask(parent: Parent, command: Mapping[str, str]) -> float:
    """Seconds until the answer is there; a clip in its bytes."""
    began = time.monotonic()
    answer = await parent.camera(NAME).do_command(command, timeout=CALL_TIMEOUT_S)
    if command["command"] == "fetch" and not base64.b64decode(str(answer["video"])):
        raise RuntimeError("a clip is empty")
    return time.monotonic() - began
