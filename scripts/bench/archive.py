"""Measures the module with a directory of 30,000 segments: its start, its answers, its memory, and what it needs at
rest.
"""

import asyncio
import base64
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from viam.components.camera.client import CameraClient

from scripts.bench.pairs import in_turn, milliseconds, with_spread
from scripts.bench.recording import NAME, describe_memory
from scripts.bench.stored import GAP_EVERY, SEGMENT_S, Stored, make_storage
from scripts.bench.table import Row
from scripts.fakes.viam_server import Parent
from videostore.base.constants import US_PER_SECOND
from videostore.base.time_format import format_utc_exact

ROWS = ("state", "idle", "start", "memory")
SEGMENTS, CLIP_S, FETCHES = 30_000, 60, 10
CALL_TIMEOUT_S = 120.0
SETTLE_S = 5.0
"""After the start the module compares directory and index once. Measurements begin after that."""
TARGET_STATE_S, TARGET_IDLE, TARGET_RSS_MB, TARGET_START_S = 0.1, 0.01, 120.0, 0.55


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Measure these rows of `ROWS`."""
    if not rows:
        return []
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        say(f"{', '.join(rows)}: making {SEGMENTS:,} segments")
        stored = await make_storage(Path(directory, "storage"), binary, SEGMENTS)
        if "start" in rows:
            say("start: the module on these segments, in turn with its imports alone")
            started, imported = await in_turn(5 if quick else 11, lambda: _start(stored), _import)
            text = f"{_seconds([ready for ready, _ in started])} to Ready, {_seconds([all_s for _, all_s in started])} "
            text += f"until the component is there; imports alone {_seconds([import_s for import_s, _ in imported])}"
            ok = sorted(all_s for _, all_s in started)[len(started) // 2] <= TARGET_START_S
            found.append(Row("start", text, f"≤ {TARGET_START_S:g} s", None, ok))
        async with Parent() as parent:
            await parent.start_module()
            await parent.add(NAME, stored.attributes)
            await asyncio.sleep(SETTLE_S)
            module, client = psutil.Process(parent.process.pid), parent.camera(NAME)
            if "idle" in rows:
                found.append(await _measure_idle(module, 5.0 if quick else 20.0, say))
            if "state" in rows:
                say("state: get-storage-state over gRPC")
                took_s = [await _state(client) for _ in range(20)]
                ours = f"{milliseconds(took_s, 1)}, {max(took_s) * 1000:.1f} ms max of {len(took_s)}"
                ok = max(took_s) <= TARGET_STATE_S
                found.append(Row("state", ours, f"≤ {TARGET_STATE_S * 1000:.0f} ms", None, ok))
            if "memory" in rows:
                say(f"memory: {FETCHES} fetches")
                size_bytes = [await _fetch(client, stored) for _ in range(FETCHES)]
                await asyncio.sleep(SETTLE_S)  # the module frees the memory of its answers
                rss_mb, text = describe_memory(module)
                text += f" after {FETCHES} fetches of {max(size_bytes) / 1e6:.0f} MB"
                found.append(Row("memory fetching", text, f"≤ {TARGET_RSS_MB:g} MB", None, rss_mb <= TARGET_RSS_MB))
    return sorted(found, key=lambda row: ROWS.index(row.name.partition(" ")[0]))


async def _start(stored: Stored) -> tuple[float, float]:
    """Seconds until the module is ready, and until it has its component."""
    async with Parent() as parent:
        began = time.monotonic()
        await parent.start_module()
        ready_s = time.monotonic() - began
        await parent.add(NAME, stored.attributes)
        return ready_s, time.monotonic() - began


async def _import() -> tuple[float, float]:
    """Seconds that a Python takes that imports what the module does, and those of an empty one."""

    def timed(code: str) -> float:
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", code], check=True, timeout=CALL_TIMEOUT_S)
        return time.monotonic() - began

    modules = "videostore.viam.module, videostore.viam.video_service"
    return await asyncio.to_thread(timed, f"import {modules}"), await asyncio.to_thread(timed, "")


async def _fetch(client: CameraClient, stored: Stored) -> int:
    """Size of a fetched clip in bytes."""
    from_us = stored.start_us + SEGMENT_S * US_PER_SECOND // 2
    to_us = from_us + CLIP_S * US_PER_SECOND
    command = {"command": "fetch", "from": format_utc_exact(from_us), "to": format_utc_exact(to_us)}
    answer = await client.do_command(command, timeout=CALL_TIMEOUT_S)
    return len(base64.b64decode(str(answer["video"])))


async def _state(client: CameraClient) -> float:
    began = time.monotonic()
    answer = await client.do_command({"command": "get-storage-state"}, timeout=CALL_TIMEOUT_S)
    elapsed_s = time.monotonic() - began
    ranges = answer["stored_video"]
    if not isinstance(ranges, list) or len(ranges) != SEGMENTS // GAP_EVERY:
        raise RuntimeError(f"the module has not indexed the storage: {str(ranges)[:200]}")
    return elapsed_s


async def _measure_idle(module: psutil.Process, seconds: float, say: Callable[[str], None]) -> Row:
    say(f"idle: CPU of the module over {seconds:.0f} s")
    before_s, began = sum(module.cpu_times()[:4]), time.monotonic()
    await asyncio.sleep(seconds)
    share = (sum(module.cpu_times()[:4]) - before_s) / (time.monotonic() - began)
    return Row("idle", f"{share * 100:.2f} % of a core", f"≤ {TARGET_IDLE * 100:g} %", None, share <= TARGET_IDLE)


def _seconds(values: Sequence[float]) -> str:
    return with_spread(values, "s", 2)
