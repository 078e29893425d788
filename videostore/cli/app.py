"""The program with all of its commands, and how a command line is passed to one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import typer
import typer.main

from videostore.base.errors import RequestError, redact
from videostore.cli import marking_commands, reading_commands, recording_commands, server_commands
from videostore.cli.invocation import file_hint, looks_like_path
from videostore.cli.program import PROGRAM, app
from videostore.cli.runtime import DONE, INTERRUPTED, REFUSED, print_message

__all__ = ["COMMANDS", "PROGRAM", "app", "dispatch"]

COMMANDS = (reading_commands, marking_commands, recording_commands, server_commands)
"""Importing these registers the commands, in the order in which the help lists them."""
_UsageError: Any = typer.BadParameter.__mro__[1]
"""What a wrong command line raises. It is click's, which newer versions of typer contain."""


def dispatch(arguments: Sequence[str]) -> int:
    """Run the command that a command line names. Returns its exit code.

    Raises:
        VideoStoreError: the command failed.
    """
    first = arguments[0] if arguments else ""
    if looks_like_path(first) and not first.startswith("-"):
        raise RequestError("no-such-command", field="command", value=redact(first))
    command = typer.main.get_command(_with(first))
    try:
        code = command.main(args=list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except _UsageError as error:
        help_of = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
        mistake = error.format_message().rstrip(".")
        hint = file_hint(arguments, getattr(error, "option_name", None))
        print_message(f"{mistake}{'' if mistake.endswith('?') else '.'}{hint} See `{help_of} --help`.")
        return REFUSED
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else DONE


def _with(name: str) -> typer.Typer:
    """The program with this command alone: reading the options of all others takes longer than most commands do."""
    named = [one for one in app.registered_commands if one.name == name]
    if not named:
        return app
    only = copy.copy(app)
    only.registered_commands = named
    return only
