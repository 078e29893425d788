"""Text that is safe to show on a terminal, and sizes as people read them."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """The text with a question mark for every character that shows nothing, except those in `keep`.

    Names of files and messages of other programs may hold characters that control a terminal.
    """
    return "".join(one if one.isprintable() or one in keep else "?" for one in text)


def format_size(size_bytes: float) -> str:
    """A size in the largest unit of which there is at least one."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"
