"""How the program was started: by viam-server, as a module, or by a user, with a command."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence

from videostore.base.constants import PICTURE_CHILD, READING_CHILD, WEB_CHILD
from videostore.base.errors import redact

_TCP_MODE = "--tcp-mode"
_LOG_LEVEL = "--log-level"
_SOCKET_SUFFIX = ".sock"
"""How the names of viam-server's sockets end (`CreateSocketAddress` of viamrobotics/rdk, module/modmanager)."""
TCP_ADDRESS = re.compile(r"[^/\s]+:\d{1,5}", re.ASCII)
_PATH_CHARACTERS = ("/", ".", ":")


def is_module_invocation(arguments: Sequence[str]) -> bool:
    """Whether viam-server has started the program.

    It passes the absolute path of a socket, or `HOST:PORT` with `--tcp-mode`, and may add a log level. To serve
    anywhere else there is `videostore serve`.
    """
    address = _address(arguments)
    if _TCP_MODE in arguments and TCP_ADDRESS.fullmatch(address):
        return True
    return os.path.isabs(address) and _can_be_socket(address)


def is_web_child(arguments: Sequence[str]) -> bool:
    """Whether a module has started the program as its server."""
    return list(arguments) == [WEB_CHILD]


def is_picture_child(arguments: Sequence[str]) -> bool:
    """Whether a store has started the program to decode its pictures."""
    return list(arguments) == [PICTURE_CHILD]


def is_reading_child(arguments: Sequence[str]) -> bool:
    """Whether another process of the program has started it to read segments."""
    return list(arguments) == [READING_CHILD]


def looks_like_path(argument: str) -> bool:
    """Whether an argument is the path of something or an address, rather than a misspelt command."""
    return any(character in argument for character in _PATH_CHARACTERS)


def file_hint(arguments: Sequence[str], option: str | None) -> str:
    """How to name the file that was taken for an unknown option, if one of the arguments seems to be that."""
    for argument in arguments:
        if option and argument.startswith(option) and (os.path.lexists(argument) or "." in argument):
            return f" If {redact(argument)} is a file, name it as ./{redact(argument)}."
    return ""


def _address(arguments: Sequence[str]) -> str:
    """The first argument that is not an option of the module; empty if there is none, or another option before it."""
    rest = iter(arguments)
    for argument in rest:
        if argument == _LOG_LEVEL:
            next(rest, None)
        elif argument != _TCP_MODE and not argument.startswith(f"{_LOG_LEVEL}="):
            return argument
    return ""


def _can_be_socket(path: str) -> bool:
    """Whether a path is a socket, or is free and has the name of one."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return path.endswith(_SOCKET_SUFFIX)
    except (OSError, ValueError):
        return False
