"""Which options this ffmpeg has and which values they take, as its help lists them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from videostore.ffmpeg.process import ask

_OPTION = re.compile(r" {0,2}-([A-Za-z][\w.-]*)(?: +<(\w+)> +([A-Z.]{8}))?")
"""An option, with its type if it is one of a demuxer, a protocol or a codec, and then indented; and what it is for."""
_FOR_INPUTS = "D"
_CONSTANT = re.compile(r" {5}([\w.-]+) .*[A-Z.]{8}")
"""A word that the option above it takes."""
_CERTAIN = "probesize"
"""An ffmpeg whose help lacks this has another form of it."""
_BOOLEANS = ("true", "false", "yes", "no", "y", "n", "on", "off", "enable", "disable", "enabled", "disabled", "auto")
_NUMBERS = frozenset({"int", "int64", "uint64", "float", "double"})
_NUMBER_WORDS = frozenset({"default", "max", "min", "all", "none", "inf", "pi", "e", "phi", "qp2lambda"})
_WORD = re.compile(r"[A-Za-z_][\w.-]*")
_MEASURE = re.compile(r"[-+]?[0-9][0-9.]*([A-Za-z]+)")
_MULTIPLE = re.compile(r"[yzafpnumcdhkKMGTPEZY]?i?B?|dB|x[0-9A-Fa-f]+|[eE][0-9]*")
"""What may stand behind a number."""
_MOST_WORDS = 12


@dataclass
class _Known:
    """What is known of an option: different parts of ffmpeg may have different ones of one name."""

    types: set[str] = field(default_factory=set)
    words: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OptionFault:
    """What is wrong with an option."""

    name: str
    value: str | None
    """Its value; None if no part of ffmpeg has the option."""
    expected: str
    """What the value must be, or the option that is most similar; empty if there is none."""


async def option_fault(binary: str, options: Mapping[str, str]) -> OptionFault | None:
    """The first of these options that no part of this ffmpeg has, or whose value no part takes.

    None if there is no such option, or if that cannot be known: of values, only numbers, flags and choices are.

    Raises:
        FFmpegError: ffmpeg cannot be run.
    """
    if not options:
        return None
    help = await ask(binary, "-hide_banner", "-loglevel", "error", "-h", "full")
    known = _read(help.decode(errors="replace"))
    if _CERTAIN not in known:
        return None
    for name, value in options.items():
        option = known.get(name.partition(":")[0])
        if option is None:
            similar = difflib.get_close_matches(name.partition(":")[0], sorted(known), 1)
            return OptionFault(name, None, next(iter(similar), ""))
        if value and option.types and not any(_takes(kind, option.words, value) for kind in option.types):
            return OptionFault(name, value, _expected(option))
    return None


def _read(help: str) -> dict[str, _Known]:
    known: dict[str, _Known] = {}
    option: _Known | None = None
    for line in help.splitlines():
        if found := _OPTION.match(line):
            option = known.setdefault(found[1], _Known())
            if found[3] is None or _FOR_INPUTS in found[3]:
                option.types.add(found[2] or "")
        elif (found := _CONSTANT.match(line)) and option is not None:
            option.words[found[1]] = None
        else:
            option = None
    return known


def _takes(kind: str, words: Mapping[str, None], value: str) -> bool:
    """Whether an option of a type takes a value, as far as can be seen."""
    if kind == "boolean":
        return value in ("0", "1", "-1") or value.lower() in _BOOLEANS
    if kind == "flags":
        return not words or all(one in words or one in _NUMBER_WORDS for one in re.split(r"[-+|]", value.lstrip("+-")))
    if kind == "duration":
        return not _WORD.fullmatch(value)
    if kind in _NUMBERS:
        if _WORD.fullmatch(value):
            return value in words or value.lower() in _NUMBER_WORDS
        measure = _MEASURE.fullmatch(value)
        return measure is None or _MULTIPLE.fullmatch(measure[1]) is not None
    return True


def _expected(option: _Known) -> str:
    words = list(option.words)
    if "boolean" in option.types:
        return "true or false"
    if not words:
        return "a number"
    listed = ", ".join(words[:_MOST_WORDS]) + (" …" if len(words) > _MOST_WORDS else "")
    return f"one of {listed}" if "flags" in option.types else f"a number, or one of {listed}"
