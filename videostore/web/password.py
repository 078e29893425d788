"""The password of the page: read from a file or the environment, never from a config or a command line."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from videostore.base.errors import ConfigError, reason_of
from videostore.config import WebConfig

LEAST_CHARS, MOST_CHARS = 8, 256
"""With `attempts` a password of 8 characters that is no word takes longer than a life to guess."""
_MOST_BYTES = 4 * MOST_CHARS + 2
_OTHERS_READ, _OTHERS_WRITE = stat.S_IROTH, stat.S_IWGRP | stat.S_IWOTH


class Password:
    """Tells whether a text is the password. It keeps a digest with a key of its own, not the password."""

    def __init__(self, text: str) -> None:
        self._key = secrets.token_bytes(32)
        self._digest = self._of(text)

    def matches(self, text: str) -> bool:
        """Whether this is it. Takes the same time however much of it is right."""
        return hmac.compare_digest(self._digest, self._of(text[: MOST_CHARS + 1]))

    def _of(self, text: str) -> bytes:
        return hmac.new(self._key, text.encode(errors="surrogatepass"), hashlib.sha256).digest()


def read_password(web: WebConfig) -> Password | None:
    """The password of a config; None if it has none. Blocking.

    Raises:
        ConfigError: it cannot be read, others may read or change it, or it is too short.
    """
    if web.password_file is not None:
        return _checked(_read_file(web.password_file), f"{str(web.password_file)!r}")
    if web.password_env is not None:
        text = os.environ.get(web.password_env)
        if text is None:
            raise ConfigError("password-unset", variable=web.password_env)
        return _checked(text, web.password_env)
    return None


def _checked(text: str, source: str) -> Password:
    if not LEAST_CHARS <= len(text) <= MOST_CHARS or not text.isprintable():
        raise ConfigError("password-unfit", source=source, least=LEAST_CHARS, most=MOST_CHARS)
    return Password(text)


def _read_file(path: Path) -> str:
    try:
        # A named pipe would keep it waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise ConfigError("password-unreadable", path=path, reason=reason_of(error)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError("password-unreadable", path=path, reason="it is not a regular file")
        if (reason := _not_safe(status)) is not None:
            raise ConfigError("password-not-safe", path=path, reason=reason)
        text = os.read(descriptor, _MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        told = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else reason_of(error)
        raise ConfigError("password-unreadable", path=path, reason=told) from error
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    return text.removesuffix("\n").removesuffix("\r")


def _not_safe(status: os.stat_result) -> str | None:
    if status.st_uid not in (0, os.geteuid()):
        return "it belongs to another user"
    if status.st_mode & _OTHERS_READ:
        return "every user of this machine can read it"
    if status.st_mode & _OTHERS_WRITE:
        return "others can change it"
    return None
