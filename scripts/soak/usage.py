"""Resources of a module process, sampled between faults, and whether they grew."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

WARM_UP_S = 20.0
# With fewer samples after the warm-up, growth is not judged.
MIN_SAMPLES = 6
ENDS = 3
WORK_DIRECTORY = ".cuts"


@dataclass(frozen=True)
class Usage:
    """One sample: memory in MB, and counts."""

    at_s: float
    rss_mb: float
    threads: int
    descriptors: int
    children: int
    cuts: int
    unfinished: int


# How much each may grow after the warm-up, and why.
ALLOWED = {
    "rss_mb": 40.0,  # the C library keeps some memory of large answers
    "threads": 10,  # executors start threads when they need them, and keep them
    "descriptors": 16,  # a socket per connected client, and files that are open at the moment
    "children": 0,  # ffmpeg, one
    "cuts": 0,  # temporary files are removed when a clip is done
    "unfinished": 0,
}


@dataclass(frozen=True)
class ProcessHistory:
    """One process of the module: its start in seconds of the soak, and its samples in order."""

    began_s: float
    pid: int
    samples: list[Usage]

    def ends(self) -> tuple[dict[str, float], dict[str, float]] | None:
        """Medians of the first samples after the warm-up, and of the last. None if there are too few."""
        warm = [sample for sample in self.samples if sample.at_s - self.began_s >= WARM_UP_S]
        if len(warm) < MIN_SAMPLES:
            return None
        return _medians(warm[:ENDS]), _medians(warm[-ENDS:])

    def growth(self) -> list[str]:
        """Sentences about everything that grew by more than is allowed."""
        ends = self.ends()
        if ends is None:
            return []
        first, last = ends
        return [
            f"{name} of the module started at {self.began_s:.0f} s grew from {first[name]:.0f} to {last[name]:.0f} "
            f"(allowed: {allowed:g} more)"
            for name, allowed in ALLOWED.items()
            if last[name] - first[name] > allowed
        ]


def sample(pid: int, at_s: float, storage: Path, upload: Path) -> Usage | None:
    """Sample a process and its directories. None if the process has ended. Blocking."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Usage(
                at_s=at_s,
                rss_mb=process.memory_info().rss / 1e6,
                threads=process.num_threads(),
                descriptors=process.num_fds(),
                children=sum(str(storage.parent / "neighbours") not in _command(c) for c in process.children(True)),
                cuts=_count(storage / WORK_DIRECTORY),
                unfinished=sum(1 for _ in upload.rglob("*.prog")),
            )
    except psutil.Error:
        return None


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def table(processes: Sequence[ProcessHistory]) -> list[str]:
    """A line for each process: after the warm-up -> at the end, and the peak of the memory."""
    lines = ["  began    pid      lasted  RSS MB (peak)        threads   fds       children  .cuts     *.prog"]
    for process in processes:
        if not process.samples:
            lines.append(f"  {process.began_s:6.0f} s {process.pid:<8} (ended before the first sample)")
            continue
        peak = max(one.rss_mb for one in process.samples)
        lasted = process.samples[-1].at_s - process.began_s
        ends = process.ends() or (_medians(process.samples[:1]), _medians(process.samples[-1:]))
        first, last = ends
        cells = "".join(f"{first[name]:.0f} -> {last[name]:.0f}".ljust(10) for name in list(ALLOWED)[1:])
        memory = f"{first['rss_mb']:.0f} -> {last['rss_mb']:.0f} ({peak:.0f})".ljust(21)
        note = "" if process.ends() else "  (too short to judge)"
        lines.append(f"  {process.began_s:6.0f} s {process.pid:<8} {lasted:5.0f} s {memory}{cells}{note}".rstrip())
    allowed = ", ".join(f"{name} {amount:g}" for name, amount in ALLOWED.items())
    return [*lines, f"  allowed to grow after {WARM_UP_S:.0f} s of warm-up: {allowed}"]


def new_history(pid: int, began: float) -> ProcessHistory:
    """The history of a process that has just started. `began` is the soak's start on the monotonic clock."""
    return ProcessHistory(time.monotonic() - began, pid, [])


def _medians(samples: Sequence[Usage]) -> dict[str, float]:
    return {name: statistics.median(getattr(one, name) for one in samples) for name in ALLOWED}


def _count(directory: Path) -> int:
    try:
        return len(os.listdir(directory))
    except FileNotFoundError:
        return 0
