"""`videostore web`: shows storage directories in a browser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from videostore.base.errors import RequestError
from videostore.base.lanes import use_lanes
from videostore.base.system import favour_event_loop
from videostore.base.tasks import off_loop
from videostore.cli import terminal
from videostore.cli.error_lines import errors_told
from videostore.cli.runtime import DONE
from videostore.config import Section, WebConfig, parse_web
from videostore.web.app import make_app
from videostore.web.guard import Guard
from videostore.web.password import read_password
from videostore.web.recorders import RecorderPlace, Recorders
from videostore.web.server import lower_priority, serve

_HIGHEST_PORT = 65535


def parse_port(text: str) -> int:
    """The port that an option names; 0 is any free one.

    Raises:
        RequestError: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_HIGHEST_PORT)) and int(text) <= _HIGHEST_PORT):
        raise RequestError("option-wrong", field="--port", value=text, expected=f"a port from 0 to {_HIGHEST_PORT}")
    return int(text)


def parse_access(
    host: str, port: str, password_file: Path | None, password_env: str | None, hosts: Sequence[str]
) -> WebConfig:
    """Where it serves and to whom, by the options; the same as in the machine config, but port 0 is any free one.

    Raises:
        RequestError: the port is none.
        ConfigError: another option is wrong, or others than this machine would get in without a password.
    """
    number = parse_port(port)
    file = None if password_file is None else str(password_file.expanduser().absolute())
    options = {"host": host, "password_file": file, "password_env": password_env, "hosts": list(hosts)}
    return replace(parse_web(Section("web", options)), port=number)


async def web(directories: Sequence[Path], access: WebConfig, *, verbose: bool) -> int:
    """Serve until the user ends it, which is no failure.

    Raises:
        VideoStoreError: the address cannot be used.
        ConfigError: the password cannot be read, or others can.
    """
    lower_priority()
    favour_event_loop()
    use_lanes()
    guard = Guard(access, await off_loop(read_password, access))
    recorders = Recorders()
    try:
        for directory in directories:
            recorders.add(RecorderPlace(directory.name or "recording", directory))
        async with serve(make_app(recorders, guard), access.host, access.port) as url:
            terminal.print_result(url)
            with errors_told(verbose=verbose), contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    finally:
        await recorders.close()
    return DONE
