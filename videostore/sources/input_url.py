"""What an input is called: for ffmpeg, which must take it for nothing else, and for people, without its password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from videostore.base.errors import RequestError, shown

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]*")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USERINFO = re.compile(r"(?<=://)[^/?#\s@:]*(?:[:@]\S*@|@)")
"""A password may hold what ends a host's name, and an @: the last one counts."""
_TELLING = (
    "pass|pw|psw|psk|secret|token|key|auth|usr|user|login|account|sig|cred|cookie|header|session|ticket|jwt|hash"
    "|streamid|playpath"
)
_VALUE = r"(?:(?![&;#_/?|][A-Za-z][A-Za-z0-9.-]*=(?![=&]|$))[^\s'\"])+"
"""Up to the next `name=`, whatever separates the two; what else may separate may also be of a password."""
_NAMED = re.compile(rf"(?i)((?:{_TELLING})[\w.%\[\]-]*=)({_VALUE})")
_STREAM_KEY = re.compile(r"(?i)(rtmp\w*://[^\s/]+/(?:[^\s?#'\"]*/)?)([^\s/?#'\"]+)")
"""The last part of the path: whoever knows it may send in the camera's place."""
_SECRET_OPTION = re.compile(rf"(?i){_TELLING}")
_SEPARATORS = re.compile(r"[/?#@|:&;]")
_HEADER_SEPARATORS = re.compile(r"[\s;,=]|\\[rn]")
_SHORTEST_SECRET = 3
"""What is shorter occurs in any text."""
_SHOWN_CHARS = 200
_OWN_OPTIONS = frozenset({"i", "y", "n", "v", "loglevel"})
"""What ffmpeg says of an input must be heard."""
_STANDARD_INPUT = frozenset({"pipe", "fd"})


class Address:
    """Where an input is. Its `str` is fit for messages."""

    def __init__(self, input: str, options: Mapping[str, str], format: str | None) -> None:
        """`options` are ffmpeg's for the input, without a dash; an empty value stands for an option that takes none.

        Raises:
            RequestError: the sentence says what cannot be meant.
        """
        self._secrets = _secrets(input, options)
        told = shown(self.conceal(input))
        if not input or not input.isprintable():
            raise RequestError(f"The input {told} cannot be opened: name a file, a device or a URL.")
        scheme = _SCHEME.match(input)
        self._path = None if format not in (None, "") and not _exists(Path(input)) else Path(input)
        self.scheme = scheme[1].lower() if scheme and not _exists(Path(input)) else ""
        """Of a URL, in small letters; empty for a path."""
        if input.startswith("-") and not _exists(Path(input)):
            raise RequestError(
                f"The input {told} looks like an option, and there is no such file: name a file, a device or a "
                "URL, and give options apart from it."
            )
        if self.scheme in _STANDARD_INPUT:
            raise RequestError(f"The input {told} is a pipe, which is not there: name a file, a device or a URL.")
        for name in options:
            if not _OPTION.fullmatch(name) or name in _OWN_OPTIONS:
                raise RequestError(f"{shown(name)} is no option of an input: name it as ffmpeg does, without a dash.")
        self._input = input
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
        text = _NAMED.sub(r"\1…", _USERINFO.sub("…@", text))
        return _STREAM_KEY.sub(r"\1…", text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no path at all, too long a name for one
        return False


def _secrets(input: str, options: Mapping[str, str]) -> list[str]:
    """What must not be told, the longest first."""
    found = {match[2] for match in (*_NAMED.finditer(input), *_STREAM_KEY.finditer(_USERINFO.sub("", input)))}
    for name, value in options.items():
        if _SECRET_OPTION.search(name):
            found.add(value)
        if "header" in name.lower() or "cookie" in name.lower():
            for line in re.split(r"[\r\n]+|\\[rn]", value):
                said = line.partition(":")[2].strip() or line
                found |= {said, *_HEADER_SEPARATORS.split(said)}
    for userinfo in _userinfos(input):
        found |= {userinfo, userinfo.partition(":")[2]}
        if _SEPARATORS.search(userinfo.replace(":", "", 1)):  # ffmpeg takes parts of it for the host and for the path
            found |= {re.split(r"[/?#@]", userinfo, maxsplit=1)[0], *_SEPARATORS.split(userinfo)}
    found |= {unquote(one) for one in found}
    found -= {match[0][:-3] for match in _AUTHORITY.finditer(input)}  # else no URL could be told any more
    return sorted((one for one in found if len(one) >= _SHORTEST_SECRET), key=len, reverse=True)


def _userinfos(input: str) -> list[str]:
    """User and password of each URL in it, which ffmpeg finds without slashes, too."""
    begins = [match.end() for match in _AUTHORITY.finditer(input)]
    scheme = _SCHEME.match(input)
    if scheme and not begins:
        begins = [scheme.end()]
    found = []
    for rest in (input[begin:] for begin in begins):
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        if "@" in rest and ("@" in authority or ":" in authority):
            found.append(rest.rpartition("@")[0])
    return [one for one in found if one]
