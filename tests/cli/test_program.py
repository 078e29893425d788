from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.support.own_mounts import keep_own_mounts
from tests.support.program import Program, Result
from videostore.cli.app import app


def test_it_shows_its_version_and_without_a_command_the_help(program: Program) -> None:
    from videostore import __version__

    assert program("--version").out == f"videostore {__version__}\n"
    done = program()
    assert done.code == 0 and "Commands:" in done.out


def test_the_help_of_a_command_is_its_docstring_its_parts_and_its_exit_codes() -> None:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        assert command.help.startswith(command.callback.__doc__)
        assert f"videostore {name}" in command.help and command.epilog.startswith("\b\nExit codes:\n  0 ")


def test_the_usage_shows_which_arguments_may_be_left_out(program: Program) -> None:
    assert program("export", "--help").out.startswith("Usage: videostore export [OPTIONS] FROM TO\n")
    assert program("when", "--help").out.startswith("Usage: videostore when [OPTIONS] CLIP [POSITION]\n")


def test_an_argument_that_looks_like_a_negative_number_is_not_taken_for_an_option(program: Program) -> None:
    assert (
        program("when", "clip.mp4", "-5").sentence == "POSITION is -5 s. It must not be before the start of the clip."
    )


def test_started_by_a_test_it_sees_what_is_mounted_for_that_alone(
    program: Program, recording: Path, tmp_path: Path
) -> None:
    """All workers start it from one server, and each has its own view of what is mounted."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    assert program("--version").code == 0  # the server is there, and has another view

    def look() -> Result | None:
        if not keep_own_mounts():
            return None
        subprocess.run(["mount", "--bind", recording, mounted], check=True)
        return program("state", "--json", "--storage", mounted)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(look).result()
    if done is None:
        pytest.skip("only root can have mounts of its own")
    assert done.code == 0 and json.loads(done.out)["stored_seconds"] > 6, done.err
    assert not os.listdir(mounted)
