"""`make test-server`: finds a real viam-server or builds one, and runs tests/server with it.

It looks at `$VIAM_SERVER`, then for `viam-server` on the PATH, then for one that was built before. Where there is none
it builds one with Go, from the sources that Go's module proxy has. Where that is not possible it says why and runs
nothing; that is no failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from videostore.base.system import subordinate

ROOT = Path(__file__).resolve().parents[1]
RDK = "go.viam.com/rdk"
RDK_VERSION = "v1.4.0"
"""The version that is built. One that is found is used whatever its version is."""
VARIABLE = "VIAM_SERVER"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "videostore"
BUILD_TIMEOUT_S = 30 * 60
_VERSION_TIMEOUT_S = 60
# Only the loopback interface: viam-server tries out the internet whenever it starts.
_ALONE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


class NoServerError(Exception):
    """There is no viam-server. The text is a sentence that says why."""


def built_path() -> Path:
    """Where a viam-server that was built here is kept."""
    return CACHE / f"viam-server-{RDK_VERSION}"


def find() -> Path | None:
    """The viam-server of this machine, or None.

    Raises:
        NoServerError: the environment names one that is no program.
    """
    if named := os.environ.get(VARIABLE):
        if found := shutil.which(named):
            return Path(found).resolve()
        raise NoServerError(f"{VARIABLE} is {named!r}, which is no program.")
    if found := shutil.which("viam-server"):
        return Path(found)
    return built_path() if os.access(built_path(), os.X_OK) else None


def build(timeout_s: float = BUILD_TIMEOUT_S) -> Path:
    """Build viam-server, without what needs C libraries: it only has its models for cameras that are made up.

    Raises:
        NoServerError: there is no Go, it is too old, a source cannot be had, or it takes too long.
    """
    go = shutil.which("go")
    if go is None:
        raise NoServerError("there is no Go to build it with")
    print(f"Building viam-server {RDK_VERSION}, which takes some minutes.", file=sys.stderr, flush=True)
    began = time.monotonic()
    CACHE.mkdir(parents=True, exist_ok=True)
    downloaded = _run([go, "mod", "download", "-json", f"{RDK}@{RDK_VERSION}"], CACHE, timeout_s)
    sources = Path(json.loads(downloaded)["Dir"])
    made = built_path().with_name(f"{built_path().name}.{os.getpid()}.part")
    linker = f"-s -w -X {RDK}/config.Version={RDK_VERSION.removeprefix('v')}"
    # In its own directory, and so with exactly the dependencies that it names.
    command = [go, "build", "-trimpath", "-buildvcs=false", "-tags=no_cgo", f"-ldflags={linker}", f"-o={made}"]
    try:
        left_s = timeout_s - (time.monotonic() - began)
        _run([*command, "./web/cmd/server"], sources, left_s, {"CGO_ENABLED": "0"})
        made.replace(built_path())
    finally:
        made.unlink(missing_ok=True)
    return built_path()


def version_of(server: Path) -> str:
    """What a viam-server says about its version."""
    done = subprocess.run([server, "-version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=False)
    found = re.search(r'"version":\s*"([^"]+)"', done.stdout + done.stderr)
    return found[1] if found else "unknown"


def _run(command: Sequence[str], directory: Path, timeout_s: float, env: Mapping[str, str] | None = None) -> str:
    """Run a command of Go. Returns what it prints on standard output; the rest is shown.

    Raises:
        NoServerError: it failed, or took too long.
    """
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    words = " ".join(command[1:3])
    try:
        output, _ = process.communicate(timeout=max(timeout_s, 0))
    except subprocess.TimeoutExpired:
        raise NoServerError(f"`go {words}` has not ended in {timeout_s:.0f} s") from None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise NoServerError(f"`go {words}` failed, see above")
    return output


def _alone() -> Sequence[str]:
    """The start of a command that has no network besides loopback; nothing where that is not possible."""
    can = subprocess.run([*_ALONE, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return _ALONE if can.returncode == 0 else ()


def main(arguments: Sequence[str]) -> int:
    """Run tests/server. Returns the exit code: that of pytest, or 0 if there is no viam-server to test with."""
    try:
        server = find()
    except NoServerError as error:
        print(f"test-server: {error}", file=sys.stderr)
        return 2
    if server is None:
        try:
            server = build()
        except NoServerError as error:
            remedy = f"Name one in {VARIABLE}, or install Go 1.25 or later"
            print(f"NOT TESTED: there is no viam-server, and {error}. {remedy}.", file=sys.stderr)
            return 0
    print(f"Testing with viam-server {version_of(server)}: {server}", file=sys.stderr, flush=True)
    # What is interrupted leaves nothing: pytest ends with this process, and each viam-server with the test's process.
    command = subordinate([*_alone(), sys.executable, "-m", "pytest", "tests/server", *arguments])
    return subprocess.run(command, cwd=ROOT, env={**os.environ, VARIABLE: str(server)}, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
