from __future__ import annotations

from typing import Any

import typer.main

from videostore.cli.app import app

IMPORT: Any = typer.main.get_command(app).commands["import"]  # type: ignore[attr-defined]


def test_it_takes_several_files_and_one_time() -> None:
    several = {one.name: one.nargs == -1 or one.multiple for one in IMPORT.params if one.name in ("files", "start")}
    assert several == {"files": True, "start": False}


def test_the_help_says_what_a_file_has_to_tell() -> None:
    assert "--start" in IMPORT.help and "doubtful" in IMPORT.help
