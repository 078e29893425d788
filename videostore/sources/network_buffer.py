"""How long SRT and RIST hold back what has arrived, so that what is lost can be sent once more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

_SRT_US = 120_000
_RIST_US = 1_000_000
"""Unless others are chosen."""
_MS_US = 1000
_NUMBER = re.compile(r"\d{1,9}")
_OFF = frozenset({"0", "false", "no", "off"})


def buffered_us(scheme: str, url: str, options: Mapping[str, str]) -> int:
    """For how long at least, in microseconds, by the URL and ffmpeg's options for it; 0 where that is not known.

    A sender may ask for longer over SRT, which ffmpeg does not tell.
    """
    given = [*parse_qsl(url.partition("?")[2]), *options.items()]
    if scheme == "srt":
        if any((name == "tsbpd" and value in _OFF) or (name, value) == ("transtype", "file") for name, value in given):
            return 0
        return _least([value for name, value in given if name in ("latency", "rcvlatency")], _SRT_US, 1)
    if scheme == "rist":
        chosen = [value for name, value in given if name in ("buffer", "buffer-min", "buffer_size") and value != "0"]
        return _least(chosen, _RIST_US, _MS_US)
    return 0


def _least(values: list[str], usual_us: int, unit_us: int) -> int:
    """The least of several: no frame must be dated before it was captured."""
    if not all(map(_NUMBER.fullmatch, values)):
        return 0
    return min((int(value) * unit_us for value in values), default=usual_us)
