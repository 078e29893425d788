"""`python -m videostore`."""

from __future__ import annotations

import subprocess
import sys

from tests.support.checkout import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "videostore", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_package_runs_as_the_command_line() -> None:
    done = run("--help")
    assert done.returncode == 0 and "record" in done.stdout and done.stderr == ""


def test_a_wrong_command_line_fails() -> None:
    done = run("--no-such-option")
    assert done.returncode != 0 and done.stdout == "" and "--no-such-option" in done.stderr


def test_importing_the_entry_runs_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", "import videostore.__main__"], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
