"""The check of wheels, against an index of files."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.release import wheel_check
from scripts.release.wheel_check import CheckError, pins_for, without_wheel
from tests.support.checkout import ROOT

LOCK = """# A comment.
everywhere==1.0
old==1.0 ; python_full_version < '3.11'
old==2.0 ; python_full_version >= '3.11'
windows==1.0 ; sys_platform == 'win32'
arm==1.0 ; platform_machine == 'aarch64'
"""


def test_the_pins_are_those_of_the_other_machine_and_its_python() -> None:
    assert list(pins_for(LOCK, "3.10")) == ["everywhere==1.0", "old==1.0", "arm==1.0"]
    assert list(pins_for(LOCK, "3.13")) == ["everywhere==1.0", "old==2.0", "arm==1.0"]


def test_every_package_of_the_lock_is_checked_for_some_python() -> None:
    lock = wheel_check.LOCK.read_text(encoding="utf-8")
    names = {line.partition("==")[0] for line in lock.splitlines() if line and "win32" not in line and line[0] != "#"}
    checked = {pin.partition("==")[0] for python in wheel_check.PYTHONS for pin in pins_for(lock, python)}
    assert names - checked == {"macholib"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of files, which pip asks instead of the usual one."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return tmp_path


def publish(index: Path, name: str, tags: str) -> None:
    """Add a wheel."""
    with zipfile.ZipFile(index / f"{name}-1.0-{tags}.whl", "w") as wheel:
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tags}\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.mark.exhaustive
def test_every_package_without_a_wheel_for_the_machine_is_named(index: Path) -> None:
    publish(index, "pure", "py3-none-any")
    publish(index, "usual", "cp313-cp313-manylinux2014_aarch64.manylinux_2_17_aarch64")
    publish(index, "stable", "cp310-abi3-manylinux_2_28_aarch64")
    publish(index, "newer", "cp313-cp313-manylinux_2_34_aarch64")
    publish(index, "intel", "cp313-cp313-manylinux_2_28_x86_64")
    publish(index, "other", "cp312-cp312-manylinux_2_28_aarch64")
    (index / "source-1.0.tar.gz").touch()
    good, bad = ("pure", "usual", "stable"), ("newer", "intel", "other", "source")
    pins = [f"{name}==1.0" for name in (*good, *bad)]
    assert sorted(without_wheel(pins, "3.13")) == sorted(f"{name}==1.0" for name in bad)


def test_what_pip_does_not_answer_is_a_failure_of_the_check(index: Path) -> None:
    with pytest.raises(CheckError, match="pip failed"):
        without_wheel(["not a requirement"], "3.13")


def test_the_exit_code_and_the_line_tell_what_lacks_a_wheel(index: Path) -> None:
    publish(index, "pure", "py3-none-any")
    lock = index / "lock"
    for text, code, told in (
        ("pure==1.0\n", 0, "all 1 pins have wheels"),
        ("pure==1.0\nlost==2.0\n", 1, "no wheel for lost==2.0"),
    ):
        lock.write_text(text)
        command = [sys.executable, "-m", "scripts.release.wheel_check", "3.13", "--lock", str(lock)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == code
        assert done.stdout == f"linux/aarch64, glibc 2.31, Python 3.13: {told}\n"
