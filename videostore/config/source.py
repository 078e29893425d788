"""Reads the attributes of a stream that the recorder pulls itself. No error shows them: they hold passwords."""

from __future__ import annotations

import re
from collections.abc import Mapping

from videostore.base.errors import ConfigError
from videostore.config.model import SourceConfig
from videostore.config.section import Section, is_unicode

EXPECTED = "the URL of a stream, such as rtsp://user:password@host/path, or a device, such as /dev/video0"
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]{0,63}")
_OPTIONS_EXPECTED = 'an object with options of ffmpeg for the input, such as {"rtsp_transport": "udp"}'
_MAX_CHARS = 2000
_MAX_OPTIONS = 50


def parse_source(root: Section, *, reencode: bool) -> SourceConfig | None:
    """The source; None if there is none. Options without one make a warning.

    Raises:
        ConfigError: one of its attributes is wrong.
    """
    url, options = root.get("source"), root.get("source_options")
    if options is not None and not isinstance(options, Mapping):
        raise _wrong("source_options", f"a {type(options).__name__}", _OPTIONS_EXPECTED)
    if url is None or url == "":
        if options:
            root.note("The attribute source_options has no effect without source.")
        return None
    if not isinstance(url, str):
        raise _wrong("source", f"a {type(url).__name__}", EXPECTED)
    if not _is_text(url):
        raise _wrong("source", "a text that is too long or cannot be printed", EXPECTED)
    return SourceConfig(url, _options(options or {}), reencode)


def _options(given: Mapping[object, object]) -> tuple[tuple[str, str], ...]:
    if len(given) > _MAX_OPTIONS:
        raise _wrong("source_options", f"{len(given)} options", f"at most {_MAX_OPTIONS} options")
    options = []
    for name, value in given.items():
        if not isinstance(name, str) or not _OPTION.fullmatch(name):
            raise _wrong("source_options", str(name), "an object whose keys are ffmpeg's options, without a dash")
        text = _text(value)
        if text is None:
            kind = f"a {type(value).__name__}" if value is not None else "null"
            raise _wrong(f"source_options.{name}", kind, "a text or a number without line breaks")
        options.append((name, text))
    return tuple(options)


def _text(value: object) -> str | None:
    """A value of an option as ffmpeg takes it; None if it cannot be one."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float)):
        return str(int(value) if isinstance(value, float) and value.is_integer() else value)
    return value if isinstance(value, str) and (not value or _is_text(value)) else None


def _is_text(value: str) -> bool:
    return len(value) <= _MAX_CHARS and value.isprintable() and is_unicode(value)


def _wrong(attribute: str, value: str, expected: str) -> ConfigError:
    return ConfigError("attribute-wrong", attribute=attribute, value=value, expected=expected)
