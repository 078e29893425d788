"""`make setup` where the package index cannot be reached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

NEEDED = ("Makefile", "setup.cfg", "setup.py", "pyproject.toml", "scripts/page/package-lock.json")


@pytest.mark.exhaustive
def test_a_setup_that_fails_can_be_run_again_and_replaces_an_unfinished_environment(tmp_path: Path) -> None:
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    venv.create(tmp_path / ".venv")
    leftover = tmp_path / ".venv/leftover"
    leftover.touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    command = ["make", "--no-print-directory", "setup", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "Setting up .venv" in done.stderr and "Run make setup to try again." in done.stderr
    assert not leftover.exists() and not (tmp_path / ".venv/.installed").exists()
