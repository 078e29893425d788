"""One object of the machine config's attributes, and how its values are read."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from videostore.base.errors import ConfigError, shown, shown_name
from videostore.config.defaults import MAX_NAME_CHARS, MAX_PATH_BYTES

ATTRIBUTES = {
    "": (
        "camera",
        "source",
        "source_options",
        "source_name",
        "audio",
        "sync",
        "storage",
        "video",
        "framerate",
        "web",
        "yuyv",
    ),
    "storage": ("size_gb", "storage_path", "upload_path", "segment_seconds", "min_free_gb"),
    "video": ("format", "codec", "bitrate", "preset"),
    "web": ("host", "port", "password_file", "password_env", "hosts"),
}
"""Every known attribute, by the object that contains it."""
WITHOUT_EFFECT = ("yuyv",)
"""Attributes of the Go module that are accepted and ignored."""

_EXAMPLES = {"storage": '{"size_gb": 10}', "video": '{"bitrate": 2000000}', "web": '{"port": 8600}'}
"""What each of the objects can look like."""

_ABSOLUTE = "an absolute path or one that begins with ~/"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""What cannot be in a path."""


class Section:
    """One object of the attributes, with the dotted name that errors give its parts."""

    def __init__(self, prefix: str, values: Mapping[str, Any], *, whole_only: bool = False) -> None:
        """With `whole_only`, a fraction of an attribute that is a whole number is refused."""
        self._prefix = prefix
        self._values = values
        self._whole_only = whole_only
        self._notes: list[str] = []
        """Warnings about what was read so far."""

    def get(self, key: str) -> object:
        """The value as it was given; None if it is missing."""
        return self._values.get(key)

    def section(self, key: str) -> Section:
        """The object inside; empty if it is missing."""
        value = self.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            self.refuse(key, value, f"an object, such as {_EXAMPLES[key]}")
        return Section(key, value, whole_only=self._whole_only)

    def text(self, key: str, expected: str = "a string") -> str | None:
        """A string; None if it is missing or empty. `expected` says what it must be."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(key, value, expected)
        if "\0" in value or not is_unicode(value):
            self.refuse(key, value, "a string without NUL characters and lone surrogates")
        return value or None

    def name(self, key: str, of: str) -> str | None:
        """The name of a resource or an image, which `of` describes; None if it is missing or empty."""
        value = self.text(key, f"the name of {of}")
        if value is not None and len(value) > MAX_NAME_CHARS:
            self.refuse(key, value, f"a name of at most {MAX_NAME_CHARS} characters, not {len(value)}")
        return value

    def choice(self, key: str, choices: tuple[str, ...], *, any_case: bool = False) -> str | None:
        """One of some strings; None if it is missing or empty. With `any_case`, capitals are read as small letters."""
        expected = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
        given = self.text(key, expected)
        value = given.lower() if given is not None and any_case else given
        if value is not None and value not in choices:
            self.refuse(key, given, expected)
        return value

    def flag(self, key: str) -> bool | None:
        """True or false; None if it is missing."""
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            self.refuse(key, value, "true or false")
        return value

    def number(self, key: str, expected: str) -> float | None:
        """A finite number; None if it is missing. `expected` says what it must be."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(key, value, expected)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.refuse(key, value, expected)
        return number

    def integer(self, key: str, most: int, unit: str) -> int:
        """A whole number from 0 to `most`; 0, which stands for the default, if it is missing. `unit` is what it counts.

        A fraction is cut off, as by the Go module, but never to 0.
        """
        expected = f"a whole number greater than 0 and at most {most} {unit}"
        value = self.number(key, expected)
        if value is None:
            return 0
        whole = max(int(value), math.ceil(min(value, 1)))
        if not 0 <= value <= most or (whole != value and self._whole_only):
            self.refuse(key, self.get(key), expected)
        if whole != value:
            self._notes.append(f"The attribute {self._dotted(key)} is {shown(value)}. It is taken as {whole}.")
        return whole

    def path(self, key: str, default: str) -> Path:
        """An absolute path, with `~` expanded."""
        given = self.text(key, _ABSOLUTE)
        expanded = os.path.expanduser(given or default)
        if CONTROL.search(expanded):  # a line break would end the line of a list for ffmpeg
            self.refuse(key, expanded, "a path without line breaks and other control characters")
        if not os.path.isabs(expanded):
            if given is None:
                self.missing(key, f"an absolute path, because there is no home directory for the default {default}")
            self.refuse(key, given, _ABSOLUTE)
        encoded = expanded.encode(errors="surrogateescape")
        if len(encoded) > MAX_PATH_BYTES:
            self.refuse(key, expanded, f"a path of at most {MAX_PATH_BYTES} bytes")
        if max(map(len, encoded.split(b"/"))) > MAX_NAME_CHARS:
            self.refuse(key, expanded, f"a path in which each name has at most {MAX_NAME_CHARS} bytes")
        return Path(expanded)

    def note(self, warning: str) -> None:
        """Add a sentence to the warnings."""
        self._notes.append(warning)

    def warnings(self) -> list[str]:
        """One sentence for every attribute that is unknown, has no effect, or is not used as it is."""
        warnings = list(self._notes)
        for key in self._values:
            if key not in ATTRIBUTES[self._prefix]:
                similar = _similar(self._prefix, key)
                hint = f" Did you mean {similar}?" if similar else ""
                warnings.append(f"The attribute {shown_name(self._dotted(key))} is unknown and is ignored.{hint}")
            elif key in WITHOUT_EFFECT and self.get(key) is not None:
                warnings.append(f"The attribute {self._dotted(key)} no longer has an effect. It can be removed.")
        return warnings

    def missing(self, key: str, expected: str) -> NoReturn:
        """Raise ConfigError for a required attribute that is missing."""
        attribute = self._dotted(key)
        others = (other for other in self._values if other != key)
        misspelt = next((other for other in others if _similar(self._prefix, other) == attribute), None)
        if misspelt is None:
            raise ConfigError("attribute-missing", attribute=attribute, expected=expected)
        raise ConfigError(
            "attribute-misspelt", attribute=attribute, expected=expected, found=self._dotted(str(misspelt))
        )

    def refuse(self, key: str, value: object, expected: str) -> NoReturn:
        """Raise ConfigError for an attribute with a wrong value."""
        raise ConfigError("attribute-wrong", attribute=self._dotted(key), value=value, expected=expected)

    def refuse_entry(self, key: str, value: object, expected: str) -> NoReturn:
        """The same for a wrong entry of a list."""
        raise ConfigError("attribute-entry-wrong", attribute=self._dotted(key), value=value, expected=expected)

    def _dotted(self, key: str) -> str:
        return f"{self._prefix}.{key}" if self._prefix else str(key)


def _similar(prefix: str, key: object) -> str | None:
    """The dotted name of the known attribute that is most similar to an unknown one of the section `prefix`."""
    wanted = str(key)[:MAX_NAME_CHARS].lower()
    known = {leaf: section for section, leaves in ATTRIBUTES.items() if section != prefix for leaf in leaves}
    if wanted in known:
        return f"{known[wanted]}.{wanted}" if known[wanted] else wanted
    close = difflib.get_close_matches(wanted, ATTRIBUTES[prefix], n=1)
    if not close:
        return None
    return f"{prefix}.{close[0]}" if prefix else close[0]


def is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
