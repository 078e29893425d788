"""Which options this ffmpeg has, as its help lists them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from videostore.ffmpeg.process import ask

_OPTION = re.compile(r"^ {0,2}-([A-Za-z][\w.-]*)", re.MULTILINE)
"""Of a demuxer, a protocol or a codec it is indented."""
_CERTAIN = "probesize"
"""An ffmpeg whose help lacks this has another form of it."""


async def unknown_option(binary: str, names: Collection[str]) -> tuple[str, str] | None:
    """The first of these options that no part of this ffmpeg has, and the most similar one that it has, or "".

    None if there is no such option, or if that cannot be known.

    Raises:
        FFmpegError: ffmpeg cannot be run.
    """
    if not names:
        return None
    help = await ask(binary, "-hide_banner", "-loglevel", "error", "-h", "full")
    known = set(_OPTION.findall(help.decode(errors="replace")))
    if _CERTAIN not in known:
        return None
    for name in names:
        option = name.partition(":")[0]
        if option not in known:
            return name, next(iter(difflib.get_close_matches(option, sorted(known), 1)), "")
    return None
