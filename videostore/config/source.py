"""Reads the attributes of a stream that the recorder pulls itself. No error shows them: they hold passwords."""

from __future__ import annotations

import re
from collections.abc import Mapping

from videostore.base.errors import ConfigError, shown
from videostore.config.model import SourceConfig
from videostore.config.section import Section, is_unicode

EXPECTED = "the URL of a stream, such as rtsp://user:password@host/path, or a device, such as /dev/video0"
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]{0,63}")
_OPTIONS_EXPECTED = 'an object with options of ffmpeg for the input, such as {"rtsp_transport": "udp"}'
NAME_EXPECTED = "the name of one of ffmpeg's options, without a dash"
_VALUE_EXPECTED = "a text without line breaks, a number, or true or false"
_LARGEST = 1 << 63
"""ffmpeg has no number beyond it."""
_MAX_CHARS = 2000
_MAX_OPTIONS = 50


def parse_source(root: Section, *, reencode: bool) -> SourceConfig | None:
    """The source; None if there is none. Options without one make a warning.

    Raises:
        ConfigError: one of its attributes is wrong.
    """
    url, options = root.get("source"), root.get("source_options")
    if options is not None and not isinstance(options, Mapping):
        raise _unfit("source_options", _kind(options), _OPTIONS_EXPECTED)
    if url is None or url == "":
        if options:
            root.note("The attribute source_options has no effect without source.")
        return None
    if not isinstance(url, str):
        raise _unfit("source", _kind(url), EXPECTED)
    if not _is_text(url):
        raise _unfit("source", _kind(url), EXPECTED)
    return SourceConfig(url, _options(options or {}), reencode)


def _options(given: Mapping[object, object]) -> tuple[tuple[str, str], ...]:
    if len(given) > _MAX_OPTIONS:
        raise _unfit("source_options", f"an object with {len(given)} options", f"one with at most {_MAX_OPTIONS}")
    options = []
    for name, value in given.items():
        if not isinstance(name, str) or not _OPTION.fullmatch(name):
            raise ConfigError(
                "attribute-entry-wrong", attribute="source_options", value=str(name), expected=NAME_EXPECTED
            )
        text = _text(value)
        if text is None:
            raise _unfit(f"source_options.{name}", _kind(value), _VALUE_EXPECTED)
        options.append((name, text))
    return tuple(options)


def _text(value: object) -> str | None:
    """A value of an option as ffmpeg takes it; None if it cannot be one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return shown(value) if abs(value) < _LARGEST else None
    return value if isinstance(value, str) and (not value or _is_text(value)) else None


def _is_text(value: str) -> bool:
    return len(value) <= _MAX_CHARS and value.isprintable() and is_unicode(value)


def _kind(value: object) -> str:
    """What a value is, without what may be a password in it."""
    if isinstance(value, str):
        return "a text that cannot be printed" if len(value) <= _MAX_CHARS else f"a text of {len(value)} characters"
    if isinstance(value, Mapping):
        return "an object"
    return shown(value) if value is None or isinstance(value, (int, float)) else "a list"


def _unfit(attribute: str, found: str, expected: str) -> ConfigError:
    return ConfigError("attribute-unfit", attribute=attribute, found=found, expected=expected)
