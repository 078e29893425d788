"""Checks that every pinned dependency of the module has a wheel for the usual machines of Viam's users.

`python -m scripts.release.wheel_check 3.13 …` asks the package index for these versions of Python, by default for all
that can build the archive. It installs nothing. Where a wheel is missing, the archive can be built only with a
compiler and the sources of libraries.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.requirements import Requirement

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
GLIBC = 31
"""The archive is built on Debian 11, which has glibc 2.31. Wheels for older ones run there too."""
MACHINE = "aarch64"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
TIMEOUT_S = 600
_MISSING = re.compile(r"No matching distribution found for ([\w.-]+)==")


class CheckError(Exception):
    """The check itself failed. The text is for the terminal."""


def main() -> int:
    """Check all pins. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="wheel-check", description="Check that pinned versions have wheels.")
    parser.add_argument("pythons", nargs="*", metavar="VERSION", default=PYTHONS)
    parser.add_argument("--lock", type=Path, default=LOCK, help="the pins to check")
    options = parser.parse_args()
    lock = options.lock.read_text(encoding="utf-8")
    failed = False

    def check(python: str) -> tuple[str, list[str], list[str]]:
        pins = list(pins_for(lock, python))
        return python, pins, without_wheel(pins, python)

    try:
        with ThreadPoolExecutor(len(PYTHONS)) as pool:
            results = list(pool.map(check, options.pythons))
        for python, pins, missing in results:
            failed |= bool(missing)
            told = f"no wheel for {', '.join(missing)}" if missing else f"all {len(pins)} pins have wheels"
            print(f"linux/{MACHINE}, glibc 2.{GLIBC}, Python {python}: {told}", flush=True)
    except CheckError as error:
        print(f"wheel-check: {error}", file=sys.stderr)
        return 1
    return int(failed)


def pins_for(lock: str, python: str) -> Iterator[str]:
    """The pins of a lock that a Python on this machine uses, without their conditions."""
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": MACHINE,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    for line in lock.splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                yield f"{requirement.name}{requirement.specifier}"


def without_wheel(pins: Sequence[str], python: str) -> list[str]:
    """Those of the pins that have no wheel for a Python on this machine.

    Raises:
        CheckError: the package index cannot be asked.
    """
    missing: list[str] = []
    while rest := [pin for pin in pins if pin not in missing]:
        done = _ask(rest, python)
        if done.returncode == 0:
            break
        named = _MISSING.search(done.stderr)
        found = next((pin for pin in rest if named and pin.startswith(f"{named[1]}==")), None)
        if found is None:
            raise CheckError(f"pip failed:\n{done.stderr.strip()}")
        missing.append(found)
    return missing


def platforms() -> list[str]:
    """The platforms of wheels that run on this machine, as pip names them."""
    return [f"manylinux_2_{minor}_{MACHINE}" for minor in range(GLIBC, 16, -1)] + [f"manylinux2014_{MACHINE}"]


def _ask(pins: Sequence[str], python: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as target:
        command = [
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check"),
            *(
                "--no-deps",
                "--ignore-requires-python",
                "--only-binary=:all:",
                "--python-version",
                python,
                "--implementation",
                "cp",
            ),
            *("--target", target),
            *(word for platform in platforms() for word in ("--platform", platform)),
            *pins,
        ]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise CheckError(f"pip did not finish within {TIMEOUT_S} s.") from error


if __name__ == "__main__":
    sys.exit(main())
