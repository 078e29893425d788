from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from scripts import cli_reference
from tests.support.checkout import ROOT
from videostore.cli.app import app


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.cli_reference", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_committed_page_is_what_the_help_of_the_program_says() -> None:
    checked = run("--check")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("environment", [{"COLUMNS": "40"}, {"COLUMNS": "300", "FORCE_COLOR": "1", "TERM": "xterm"}])
def test_the_page_depends_neither_on_the_width_of_the_terminal_nor_on_its_colours(environment: dict[str, str]) -> None:
    assert run("--print", **environment).stdout == cli_reference.PAGE.read_text(encoding="utf-8")


def test_the_page_has_every_command_with_every_parameter() -> None:
    text = cli_reference.PAGE.read_text(encoding="utf-8")
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        section = text.partition(f"## videostore {name}\n")[2].partition("\n## ")[0]
        assert f"```text\nvideostore {name} [OPTIONS]" in section
        for parameter in command.params:
            shown = parameter.metavar if parameter.param_type_name == "argument" else ", ".join(parameter.opts)
            assert f"| `{shown}" in section, (name, shown)
        assert "| exit code | meaning |" in section


def test_a_page_that_differs_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "reference" / "command-line.md"
    monkeypatch.setattr(cli_reference, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["cli_reference", "--check"])
    assert cli_reference.main() == 1
    monkeypatch.setattr(sys, "argv", ["cli_reference"])
    assert cli_reference.main() == 0
    monkeypatch.setattr(sys, "argv", ["cli_reference", "--check"])
    assert cli_reference.main() == 0
    page.write_text(page.read_text(encoding="utf-8").replace("--utc", "--UTC"), encoding="utf-8")
    capsys.readouterr()
    assert cli_reference.main() == 1
    assert "Run `python -m scripts.cli_reference`." in capsys.readouterr().err
