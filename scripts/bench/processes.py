"""What processes take: CPU time and memory."""

from collections.abc import Iterable
from pathlib import Path

import psutil


def cpu_s(process: psutil.Process) -> float:
    """User and system time so far, exactly where the system tells it of each thread."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    times_ns = [int(path.read_text(encoding="ascii").split()[0]) for path in threads]
    return sum(times_ns) / 1e9 if any(times_ns) else float(sum(process.cpu_times()[:2]))


def memory_mb(processes: Iterable[psutil.Process]) -> float:
    """The proportional share (PSS): pages that several processes use count once."""
    return float(sum(one.memory_full_info().pss for one in processes) / 1e6)
