"""What an input is called: for ffmpeg, which must take it for nothing else, and for people, without its password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from videostore.errors import RequestError, shown

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]*")
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")
_TELLING = "pass|pwd|secret|token|key|auth|user|login|sig|cred|cookie|header"
_QUERY = re.compile(rf"(?i)([?&][^=&\s]*(?:{_TELLING})[^=&\s]*=)[^&\s#'\"]+")
_SECRET_OPTION = re.compile(rf"(?i){_TELLING}")
_SHORTEST_SECRET = 3
"""What is shorter occurs in any text."""
_SHOWN_CHARS = 200
_OWN_OPTIONS = frozenset({"i", "y", "n"})
_STANDARD_INPUT = frozenset({"pipe", "fd"})


class Address:
    """Where an input is. Its `str` is fit for messages."""

    def __init__(self, input: str, options: Mapping[str, str], format: str | None) -> None:
        """`options` are ffmpeg's for the input, without a dash; an empty value stands for an option that takes none.

        Raises:
            RequestError: the sentence says what cannot be meant.
        """
        if not input or not input.isprintable():
            raise RequestError(f"The input {shown(input)} cannot be opened: name a file, a device or a URL.")
        scheme = _SCHEME.match(input)
        self._path = None if format not in (None, "") and not _exists(Path(input)) else Path(input)
        self.scheme = scheme[1].lower() if scheme and not _exists(Path(input)) else ""
        """Of a URL, in small letters; empty for a path."""
        if input.startswith("-") and not _exists(Path(input)):
            raise RequestError(
                f"The input {shown(input)} looks like an option, and there is no such file: name a file, a device or a "
                "URL, and give options apart from it."
            )
        if self.scheme in _STANDARD_INPUT:
            raise RequestError(
                f"The input {shown(input)} is a pipe, which is not there: name a file, a device or a URL."
            )
        for name in options:
            if not _OPTION.fullmatch(name) or name in _OWN_OPTIONS:
                raise RequestError(f"{shown(name)} is no option of an input: name it as ffmpeg does, without a dash.")
        self._input = input
        self._secrets = _secrets(input, options)
        self._shown = self.conceal(input)[:_SHOWN_CHARS]

    def __str__(self) -> str:
        return self._shown

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file right now. Blocking, for a moment."""
        try:
            return self._path is not None and not self.scheme and self._path.is_file()
        except (OSError, ValueError):
            return False

    @property
    def is_missing(self) -> bool:
        """Whether it is the path of nothing that is there. Blocking, for a moment."""
        return self._path is not None and not self.scheme and not _exists(self._path)

    @property
    def argument(self) -> str:
        """What ffmpeg is given behind `-i`."""
        return f"file:{self._input}" if self.is_file else self._input

    def conceal(self, text: str) -> str:
        """The text without user names, passwords and the like."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return _QUERY.sub(r"\1…", _USERINFO.sub("…@", text))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no path at all, too long a name for one
        return False


def _secrets(input: str, options: Mapping[str, str]) -> list[str]:
    """What must not be told, the longest first."""
    found = {value for name, value in options.items() if _SECRET_OPTION.search(name)}
    _, _, rest = input.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    userinfo, at, _ = authority.rpartition("@")
    if not at and "@" in rest and not authority.rpartition(":")[2].isdigit() and ":" in authority:
        userinfo = rest.rpartition("@")[0]  # a password with a slash in it
    if userinfo:
        found |= {userinfo, userinfo.partition(":")[2]}
    found |= {unquote(one) for one in found}
    return sorted((one for one in found if len(one) >= _SHORTEST_SECRET), key=len, reverse=True)
