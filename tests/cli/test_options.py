from __future__ import annotations

from typing import Any

import typer.main

from videostore.cli import environment
from videostore.cli.app import app

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def parameters(command: str) -> dict[str, Any]:
    return {one.name: one for one in COMMANDS[command].params}


def test_commands_that_read_a_range_share_their_options() -> None:
    export, play = parameters("export"), parameters("play")
    for name in ("start", "end", "storage", "utc", "verbose"):
        assert export[name].opts == play[name].opts and export[name].help == play[name].help


def test_commands_that_reach_a_machine_read_its_key_from_the_environment() -> None:
    for command in ("state", "export"):
        found = parameters(command)
        assert found["api_key"].envvar == environment.API_KEY
        assert found["api_key_id"].envvar == environment.API_KEY_ID


def test_every_command_but_serve_can_be_verbose() -> None:
    assert {name for name in COMMANDS if "verbose" not in parameters(name)} == {"serve"}
