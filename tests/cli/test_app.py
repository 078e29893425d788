from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import typer.main

from tests.support.program import Program
from videostore.base.errors import RequestError
from videostore.cli.app import app, dispatch

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_help_is_readable_in_80_columns_without_colours_and_has_examples(program: Program) -> None:
    commands = [
        "",
        "state",
        "export",
        "snapshot",
        "play",
        "when",
        "verify",
        "events",
        "mark",
        "unmark",
        "record",
        "import",
        "web",
        "serve",
    ]
    assert {*commands} == {"", *COMMANDS}
    with ThreadPoolExecutor(2) as pool:
        for command, done in zip(commands, pool.map(lambda c: program(*c.split(), "--help"), commands), strict=True):
            assert done.code == 0 and not done.err and "\x1b" not in done.out
            assert max(map(len, done.out.splitlines())) <= 80
            assert not re.search(r"[a-z]\.\.\.$", done.out, re.MULTILINE)  # no sentence is cut off
            assert f"  videostore {command or 'state'} " in done.out
            assert "\n  Exit codes:\n    0 " in done.out
            short = re.findall(r"^  (-[a-z0-9]), --", done.out, re.MULTILINE)
            assert short == (["-o"] if command in ("export", "snapshot") else [])  # none that could be taken for a time


def test_a_path_in_place_of_a_command_is_an_error_with_fields() -> None:
    with pytest.raises(RequestError) as raised:
        dispatch(["foo.mp4", "--verbose"])
    assert (raised.value.code, raised.value.value) == ("no-such-command", "foo.mp4")


def test_a_wrong_command_line_names_the_help_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["play", "-5m", "now", "--loud"]) == 2
    assert capsys.readouterr().err.endswith("See `videostore play --help`.\n")
    assert dispatch(["--loud"]) == 2
    assert capsys.readouterr().err.endswith("See `videostore --help`.\n")


def test_the_help_imports_no_library_that_only_a_command_needs(program: Program) -> None:
    script = """
import sys
from videostore.cli import main
try:
    main(["--help"])
finally:
    print({"aiosqlite", "asyncio", "av", "dateutil", "ffmpeg", "rich", "viam"} & {*sys.modules}, file=sys.stderr)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=program.here, env=program.environment(), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"set()\n")


@pytest.mark.parametrize("url", ["rtsp://admin:secret@cam/1", "rtsp://admin:se/cret@cam/1"])
def test_the_password_of_a_url_that_is_no_command_is_not_shown(program: Program, url: str) -> None:
    done = program(url)
    assert done.code == 2 and done.sentence.startswith("There is no command 'rtsp://…@cam/1'.")
    assert "cret" not in done.out + done.err
    with pytest.raises(RequestError) as refused:
        dispatch([url])
    assert "cret" not in str(refused.value.fields)


def test_a_file_that_is_taken_for_an_option_can_be_named_with_its_directory(program: Program) -> None:
    (program.here / "-visit").touch()
    for arguments, name in (
        (["when", "-x.mp4"], "-x.mp4"),
        (["when", "--x.mp4"], "--x.mp4"),
        (["when", "-visit"], "-visit"),
    ):
        assert f" If {name} is a file, name it as ./{name}. See " in program(*arguments).sentence
    assert "is a file" not in program("state", "--loud").sentence
    done = program("when", "./-visit")
    assert done.code == 2 and done.sentence.startswith("The clip -visit cannot be read: ")
