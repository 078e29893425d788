"""`videostore serve`: runs the Viam module by hand, as viam-server does."""

from __future__ import annotations

import os
import stat
from typing import NoReturn

from videostore.base.errors import RequestError
from videostore.cli.invocation import TCP_ADDRESS

_LEVELS = ("debug", "info", "warning", "error", "critical")
_HIGHEST_PORT = 65535


def serve(socket: str, log_level: str, *, tcp_mode: bool) -> NoReturn:
    """Run the module; never returns. Imports what no other command needs.

    Raises:
        RequestError: nothing can be served there, or there is no such log level.
    """
    _check(socket, log_level, tcp_mode)
    from videostore.viam.module import main

    main([socket, "--log-level", log_level, *(["--tcp-mode"] if tcp_mode else [])])
    raise SystemExit(1)


def _check(socket: str, log_level: str, tcp_mode: bool) -> None:
    if log_level.lower() not in _LEVELS:
        raise RequestError(
            "option-wrong", field="--log-level", value=log_level, expected=f"one of {', '.join(_LEVELS)}"
        )
    if tcp_mode:
        port = int(socket.rpartition(":")[2]) if TCP_ADDRESS.fullmatch(socket) else 0
        if not 0 < port <= _HIGHEST_PORT:
            raise RequestError(
                "option-wrong", field="SOCKET", value=socket, expected="HOST:PORT, such as 127.0.0.1:9000"
            )
    elif not _can_serve(socket):
        expected = "the path of a socket, in a directory that exists"
        raise RequestError("option-wrong", field="SOCKET", value=socket, expected=expected)


def _can_serve(path: str) -> bool:
    """Whether a path is a socket, or a free name in a directory."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return os.path.isdir(os.path.dirname(os.path.abspath(path)))
    except (OSError, ValueError):
        return False
