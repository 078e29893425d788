"""Checks the Python package: installs the wheel in new environments, and runs the examples and the command line there.

`python -m scripts.release.package_check python3.10 python3.13 …` checks with each of these Pythons, by default its own.
Installing needs the package index.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 4
PAGE_FILES = {"videostore/web/page/index.html", "videostore/web/page/vendor/hls.mjs"}
"""Some of what the page is made of: its own, and what npm brings."""
COUNT = "import av, sys; print(sum(1 for _ in av.open(sys.argv[1]).decode(video=0)))"


class CheckError(Exception):
    """The package does not work. The text is for the terminal."""


def main() -> int:
    """Check the package with each Python. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="package-check", description="Check the wheel in new environments.")
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", default=[sys.executable])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="videostore-package-") as directory:
        base = Path(directory)
        try:
            wheel = build(base)
            for number, python in enumerate(options.pythons):
                check(python, wheel, base / str(number))
        except CheckError as error:
            print(f"package-check: {error}", file=sys.stderr)
            return 1
    return 0


def build(base: Path) -> Path:
    """Build the sdist, and the wheel from it."""
    code = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    sdist = base / run(sys.executable, "-c", code, base, cwd=ROOT).splitlines()[-1]
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", base, sdist)
    (wheel,) = base.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        missing = PAGE_FILES - set(archive.namelist())
    if missing:
        raise CheckError(f"the wheel lacks {', '.join(sorted(missing))}")
    print(f"{sdist.name} ({sdist.stat().st_size // 1024} KiB), {wheel.name} ({wheel.stat().st_size // 1024} KiB)")
    return wheel


def check(python: str, wheel: Path, home: Path) -> None:
    """Install the wheel into a new environment, and use it from a directory outside the repository."""
    began = time.monotonic()
    run(python, "-m", "venv", home / "venv")
    own = home / "venv" / "bin"
    run(own / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    version = run(
        own / "python", "-c", "import sys, videostore; print(sys.version.split()[0], videostore.__file__)", cwd=home
    )
    if str(home) not in version:
        raise CheckError(f"another package than the installed one is used: {version}")
    print(f"\nPython {version.split()[0]}: installed in {time.monotonic() - began:.0f} s")
    here = home / "here"
    here.mkdir()

    def example(name: str, *arguments: object) -> str:
        return run(own / "python", ROOT / "examples" / f"{name}.py", *arguments, cwd=here)

    def videostore(*arguments: object) -> str:
        return run(own / "videostore", *arguments, cwd=here)

    print("  record.py:", example("record", "door", SECONDS).strip())
    print("  state.py:", example("state", "door").strip().replace("\n", "; "))
    example("fetch", "door", "-1m", "now", "fetched.mp4")
    (here / "streamed.mp4").write_bytes(
        subprocess.run(
            [own / "python", ROOT / "examples/stream.py", "door", "-1m", "now"],
            cwd=here,
            env=environment(),
            capture_output=True,
            check=True,
        ).stdout
    )
    example("export", "door", "-1m", "now", "exported.mp4")
    saved = Path(example("save", "door", "upload", "-1m", "now").strip())
    print("  record_input.py:", example("record_input", "exported.mp4", "again").strip())
    frames = {path.name: int(run(own / "python", "-c", COUNT, path)) for path in [*sorted(here.glob("*.mp4")), saved]}
    print("  clips:", ", ".join(f"{name} {count} frames" for name, count in frames.items()))
    if min(frames.values()) < SECONDS * 5:
        raise CheckError("a clip has too few frames")
    print(f"  {videostore('--version').strip()}; verify: {videostore('verify', '--storage', 'again').strip()}")
    for line in videostore("state", "--storage", "door").splitlines():
        print(f"  | {line}")


def environment() -> dict[str, str]:
    """This process's environment without variables that could lead to the repository."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise CheckError(f"{' '.join(map(str, command[:4]))} … failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
