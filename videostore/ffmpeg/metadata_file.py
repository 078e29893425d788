"""Files with tags, which ffmpeg reads as an input."""

from __future__ import annotations

from collections.abc import Mapping

_ESCAPES = str.maketrans({**{c: "\\" + c for c in "=;#\\\n\r"}, "\0": None})


def metadata_file(tags: Mapping[str, str]) -> str:
    """Tags in ffmpeg's own format, which takes what a command line cannot: any length, any character except NUL.

    The last line has no line break: ffmpeg would take it as escaped after a value that ends in a backslash.
    """
    lines = [";FFMETADATA1"]
    for name, value in tags.items():
        escaped = value.translate(_ESCAPES)
        if escaped:
            lines.append(f"{name}={escaped}")
    return "\n".join(lines)
