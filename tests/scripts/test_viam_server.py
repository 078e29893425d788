"""Where viam-server comes from: found, built, or said to be missing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from scripts import viam_server
from tests.support.checkout import ROOT


def program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def run(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it where only what `directory` has can be found."""
    clean = {name: value for name, value in os.environ.items() if name != viam_server.VARIABLE}
    clean |= {"PATH": str(directory / "bin"), "XDG_CACHE_HOME": str(directory / "cache"), **environment}
    command = [sys.executable, "-m", "scripts.viam_server"]
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60)


def test_without_a_viam_server_and_without_go_it_says_so_and_does_not_fail(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0
    assert "NOT TESTED: there is no viam-server, and there is no Go to build it with." in done.stderr


def test_a_build_that_fails_is_told_and_shows_what_go_said(tmp_path: Path) -> None:
    program(tmp_path / "bin/go", "echo go.mod requires go 9.9 >&2", "exit 1")
    done = run(tmp_path)
    assert done.returncode == 0
    assert "go.mod requires go 9.9" in done.stderr
    assert "NOT TESTED" in done.stderr and "`go mod download` failed, see above" in done.stderr


def test_a_viam_server_that_is_named_but_not_there_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path, VIAM_SERVER=str(tmp_path / "moon"))
    assert done.returncode == 2
    assert "VIAM_SERVER is" in done.stderr and "moon" in done.stderr


def test_a_build_that_hangs_ends_with_everything_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pid"
    program(tmp_path / "bin/go", f"/bin/sleep 600 & echo $! > {pids}; wait")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(viam_server, "CACHE", tmp_path / "cache")
    with pytest.raises(viam_server.NoServerError, match="has not ended in"):
        viam_server.build(timeout_s=5)
    deadline = time.monotonic() + 60
    while running(int(pids.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_one_that_is_named_comes_before_one_on_the_path_and_that_before_one_that_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viam_server, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv(viam_server.VARIABLE, raising=False)
    assert viam_server.find() is None
    built = program(viam_server.built_path())
    assert viam_server.find() == built
    on_path = program(tmp_path / "bin/viam-server")
    assert viam_server.find() == on_path
    named = program(tmp_path / "named")
    monkeypatch.setenv(viam_server.VARIABLE, str(named))
    assert viam_server.find() == named


def test_the_version_is_read_from_what_viam_server_logs(tmp_path: Path) -> None:
    line = "2026-11-26T07:00:00.000Z\\tINFO\\trdk\\tserver/entrypoint.go:1\\tviam-server\\t"
    one = program(tmp_path / "one", f"""printf '{line}{{"version":"1.4.0","git_rev":"abc"}}\\n'""")
    assert viam_server.version_of(one) == "1.4.0"
    assert viam_server.version_of(program(tmp_path / "other", "echo moon")) == "unknown"
