"""The address of an input: as ffmpeg gets it, protected from being misread, and as people see it, without passwords."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from videostore.base.errors import RequestError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]*")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USERINFO = re.compile(r"(?<=://)[^/?#\s@:]*(?:[:@]\S*@|@)")
"""A password may contain an @ and characters that end a host name: the last @ counts."""
_SENSITIVE_WORDS = (
    "pass|pw|psw|psk|secret|token|key|auth|usr|user|login|account|sig|cred|cookie|header|session|ticket|jwt|hash"
    "|streamid|playpath"
)
"""The name of a parameter or an option that contains one of these has a secret value."""
_VALUE = r"(?:(?![&;#_/?|][A-Za-z][A-Za-z0-9.-]*=(?![=&]|$))[^\s'\"])+"
"""Up to the next `name=`, whatever separates the two: any other separator may be part of a password."""
_SENSITIVE_PARAMETER = re.compile(rf"(?i)((?:{_SENSITIVE_WORDS})[\w.%\[\]-]*=)({_VALUE})")
_STREAM_KEY = re.compile(r"(?i)(rtmp\w*://[^\s/]+/(?:[^\s?#'\"]*/)?)([^\s/?#'\"]+)")
"""The last part of an RTMP path: with it anyone can send in the camera's place."""
_SENSITIVE_OPTION = re.compile(rf"(?i){_SENSITIVE_WORDS}")
_SEPARATORS = re.compile(r"[/?#@|:&;]")
_HEADER_SEPARATORS = re.compile(r"[\s;,=]|\\[rn]")
_SHORTEST_SECRET = 3
"""Anything shorter occurs in ordinary text."""
_SHOWN_CHARS = 200
_RESERVED_OPTIONS = frozenset({"i", "y", "n", "v", "loglevel"})
"""videostore sets these itself: it has to read what ffmpeg reports about the input."""
_STANDARD_INPUT = frozenset({"pipe", "fd"})
_DESCRIPTOR = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/[^/]+/fd/\d+")
"""Files that this process has opened. ffmpeg would find its own there."""
_SPLIT_PASSWORD = re.compile(r"[a-zA-Z0-9+.-]+://[^/?#@]*:[^/?#]*@[^/?#]*[/?#].*@", re.DOTALL)


class Address:
    """Where an input is. Its `str` can be shown: it contains no secrets."""

    def __init__(self, input: str, options: Mapping[str, str], format: str | None) -> None:
        """`options` are ffmpeg's for the input, without a dash; an empty value stands for an option without a value.

        Blocking, briefly: it looks at the path.

        Raises:
            RequestError: the input or an option is invalid.
        """
        self._secrets = _secrets(input, options)
        redacted = self.redact(input)
        if not input or not input.isprintable():
            raise RequestError("input-unusable", input=redacted)
        scheme = _SCHEME.match(input)
        self._path = None if format not in (None, "") and not _exists(Path(input)) else Path(input)
        self.scheme = scheme[1].lower() if scheme and not _exists(Path(input)) else ""
        """A URL's scheme in lower case; empty for a path."""
        if input.startswith("-") and not _exists(Path(input)):
            raise RequestError("input-like-option", input=redacted)
        if self.scheme in _STANDARD_INPUT or _DESCRIPTOR.fullmatch(input) or self._is_fifo():
            raise RequestError("input-pipe", input=redacted)
        for name in options:
            if not _OPTION.fullmatch(name) or name in _RESERVED_OPTIONS:
                raise RequestError("input-option", value=name)
        self._input = input
        self.is_file = self.is_missing = False
        """Whether it is a regular file, or a path at which nothing exists, when `look` looked last."""
        self.look()
        self._shown = redacted[:_SHOWN_CHARS]

    def __str__(self) -> str:
        return self._shown

    @property
    def ends_in_password(self) -> bool:
        """Whether a `/`, `?` or `#` may stand in its password: before it is an `@`, and behind it another one."""
        return bool(_SPLIT_PASSWORD.match(self._input))

    def look(self) -> None:
        """Look at what is there now. Blocking."""
        if self._path is None or self.scheme:
            return
        self.is_missing = not _exists(self._path)
        try:
            self.is_file = self._path.is_file()
        except (OSError, ValueError):
            self.is_file = False

    def _is_fifo(self) -> bool:
        """Whether it is a named pipe: what is read from it to look at the input would be missing in the recording."""
        try:
            return self._path is not None and self._path.is_fifo()
        except (OSError, ValueError):
            return False

    @property
    def is_device(self) -> bool:
        """Whether it is the path of a device, which may be plugged in later."""
        return not self.scheme and Path(self._input).is_relative_to("/dev")

    @property
    def path(self) -> Path | None:
        """Where it is, if it is a regular file."""
        return self._path if self.is_file else None

    @property
    def argument(self) -> str:
        """What ffmpeg gets after `-i`."""
        return f"file:{self._input}" if self.is_file else self._input

    def redact(self, text: str) -> str:
        """The text without user names, passwords and other secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        text = _SENSITIVE_PARAMETER.sub(r"\1…", _USERINFO.sub("…@", text))
        return _STREAM_KEY.sub(r"\1…", text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # not a path, or its name is too long
        return False


def _secrets(input: str, options: Mapping[str, str]) -> list[str]:
    """What must not be shown, the longest first."""
    found = {
        match[2] for match in (*_SENSITIVE_PARAMETER.finditer(input), *_STREAM_KEY.finditer(_USERINFO.sub("", input)))
    }
    for name, value in options.items():
        if _SENSITIVE_OPTION.search(name):
            found.add(value)
        if "header" in name.lower() or "cookie" in name.lower():
            for line in re.split(r"[\r\n]+|\\[rn]", value):
                content = line.partition(":")[2].strip() or line
                found |= {content, *_HEADER_SEPARATORS.split(content)}
    for userinfo in _userinfos(input):
        found |= {userinfo, userinfo.partition(":")[2]}
        if _SEPARATORS.search(userinfo.replace(":", "", 1)):  # ffmpeg takes parts of it for the host and the path
            found |= {re.split(r"[/?#@]", userinfo, maxsplit=1)[0], *_SEPARATORS.split(userinfo)}
    found |= {unquote(one) for one in found}
    found |= {quote(one, safe="") for one in found} | {b64encode(one.encode()).decode() for one in found if ":" in one}
    found -= {match[0][:-3] for match in _AUTHORITY.finditer(input)}  # else no URL could be shown any more
    return sorted((one for one in found if len(one) >= _SHORTEST_SECRET), key=len, reverse=True)


def _userinfos(input: str) -> list[str]:
    """User and password of each URL in it; ffmpeg recognizes a URL without slashes as well."""
    starts = [match.end() for match in _AUTHORITY.finditer(input)]
    scheme = _SCHEME.match(input)
    if scheme and not starts:
        starts = [scheme.end()]
    found = []
    for rest in (input[start:] for start in starts):
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        if "@" in rest and ("@" in authority or ":" in authority):
            found.append(rest.rpartition("@")[0])
    return [one for one in found if one]
