"""The table of a benchmark's results, and a description of the machine."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

HEADINGS = ("row", "videostore", "peer", "ratio", "wanted", "result")
_BOUNDS = ("≤", "<")


@dataclass(frozen=True)
class Row:
    """One line of the table. `ok` is None for a row without a target."""

    name: str
    ours: str
    against: str
    """What the peer needs, what is wanted, or both with a semicolon between them. The peer is bare ffmpeg, unless it is
    named."""
    ratio: float | None
    ok: bool | None

    @property
    def peer(self) -> str:
        """What the peer needs."""
        peer, _, wanted = self.against.rpartition("; ")
        return wanted if not peer and not wanted.startswith(_BOUNDS) else peer

    @property
    def wanted(self) -> str:
        """What is wanted."""
        wanted = self.against.rpartition("; ")[2]
        return wanted if wanted.startswith(_BOUNDS) else ""


def format_table(rows: Sequence[Row]) -> str:
    """The rows under their headings, in columns."""
    lines = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    written = [" | ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([written[0], "-+-".join("-" * width for width in widths), *written[1:]])


def describe_machine(binary: str) -> str:
    """Cores, load, system, Python and ffmpeg of this machine."""
    version = subprocess.run([binary, "-version"], capture_output=True, text=True, check=True, timeout=20).stdout
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{os.cpu_count()} cores of {_processor()}{load}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, ffmpeg {version.split()[2]}"
    )


def _cells(row: Row) -> tuple[str, ...]:
    result = {True: "met", False: "MISSED", None: "-"}[row.ok]
    return row.name, row.ours, row.peer or "-", "-" if row.ratio is None else f"{row.ratio:.2f}", row.wanted, result


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            names = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    except OSError:
        names = []
    return next(iter(names), None) or platform.processor() or "unknown type"
