"""What the page takes from npm: pinned, and left out with a warning where it cannot be fetched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from scripts.page import fetch
from tests.support.checkout import ROOT


def run(vendor: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Fetch in a process of its own, with a PATH and no package index."""
    code = (
        "import sys; from pathlib import Path; from scripts.page import fetch; "
        "fetch.fetch.__defaults__ = (Path(sys.argv[1]),); sys.exit(fetch.main())"
    )
    environment = {**os.environ, "PATH": path, "PIP_NO_INDEX": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code, str(vendor)], env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_lock_pins_the_package_with_its_integrity_and_no_host() -> None:
    pinned = fetch.locked()
    wanted = json.loads((fetch.HERE / "package.json").read_text())["dependencies"][fetch.PACKAGE]
    assert pinned["version"] == wanted
    assert pinned["integrity"].startswith("sha512-")
    assert "://" not in (fetch.HERE / "package-lock.json").read_text()


def test_where_it_cannot_be_fetched_a_warning_says_what_is_missing_and_nothing_fails(tmp_path: Path) -> None:
    done = run(tmp_path / "vendor", str(tmp_path))
    assert done.returncode == 0
    assert "WARNING: hls.js could not be fetched" in done.stderr
    assert "python -m scripts.page.fetch" in done.stderr
    assert not fetch.is_there(tmp_path / "vendor")


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    vendor = tmp_path / "vendor"
    vendor.mkdir()
    for name in fetch.FILES.values():
        (vendor / name).write_text("kept")
    (vendor / fetch.STATEMENT).write_text(json.dumps(fetch.locked()))
    assert run(vendor, str(tmp_path)).stderr == ""
    assert all((vendor / name).read_text() == "kept" for name in fetch.FILES.values())


def test_another_version_is_not_what_is_pinned(tmp_path: Path) -> None:
    for name in fetch.FILES.values():
        (tmp_path / name).write_text("old")
    (tmp_path / fetch.STATEMENT).write_text(json.dumps({**fetch.locked(), "version": "0.0.1"}))
    assert not fetch.is_there(tmp_path)
