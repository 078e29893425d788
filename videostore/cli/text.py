"""Text of several lines that is safe to show on a terminal, and sizes as people read them."""

from __future__ import annotations

from videostore.base.errors import printable


def printable_lines(text: str) -> str:
    """The text with everything escaped that would control a terminal, except its line breaks."""
    return "\n".join(printable(line) for line in text.split("\n"))


def format_size(size_bytes: float) -> str:
    """A size in the largest unit of which there is at least one."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"
