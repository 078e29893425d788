"""The command line as a process, for tests: started with a home directory of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from typing_extensions import Self

from tests.support.checkout import ROOT
from tests.support.recording import US
from tests.support.warm_program import can_run_warm, end_of_warm, receive_status, run_warm, start_warm
from videostore.cli.time_options import format_time

ZONE = "Europe/Berlin"
"""The time zone in which the program runs."""
TIMEOUT_S = 60


@dataclass(frozen=True)
class Result:
    """The exit code of the program, and what it has written."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The only line on standard error, which must be a sentence for people."""
        (line,) = self.err.splitlines()
        assert line.startswith("videostore: ") and line.endswith("."), line
        assert "Traceback" not in line and "Error(" not in line
        return line.removeprefix("videostore: ")


class Process(subprocess.Popen[bytes]):
    """A process that is killed if its test fails, so that the test does not wait for its end."""

    def __exit__(self, *failure: Any) -> None:
        if failure[0] is not None:
            self.kill()
        super().__exit__(*failure)


class WarmProcess:
    """The program as a process that need not import it first (`warm_program`), in a session of its own: what is used of
    a `Process`."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        (out, to_out), (err, to_err) = os.pipe(), os.pipe()
        self.stdout, self.stderr = open(out, "rb"), open(err, "rb")  # noqa: SIM115
        streams = os.open(os.devnull, os.O_RDONLY), to_out, to_err
        self._keeper = start_warm(arguments, streams, cwd=cwd, env=env, session=True)
        self.pid = receive_status(self._keeper)
        self.returncode: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        if failure[0] is not None:
            self.kill()
        self.wait()
        for one in (self.stdout, self.stderr, self._keeper):
            one.close()

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, if it runs."""
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        if self.returncode is None and select.select([self._keeper], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended. Returns its exit code."""
        if self.returncode is None:
            self._keeper.settimeout(timeout)
            self.returncode = receive_status(self._keeper)
        return self.returncode

    def communicate(self, timeout: float) -> tuple[bytes, bytes]:
        """Read what it writes until it has ended."""
        with ThreadPoolExecutor(2) as pool:
            out, err = [pool.submit(one.read) for one in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except TimeoutError:
                self.kill()
                raise
            return out.result(), err.result()


@dataclass(frozen=True)
class Program:
    """The program, started by a user whose home is a directory of the test."""

    home: Path

    @classmethod
    def create(cls, directory: Path) -> Program:
        """The program with a new home directory."""
        for name in ("tmp", "here"):
            (directory / "home" / name).mkdir(parents=True)
        return cls(directory / "home")

    def environment(self, **changes: str) -> dict[str, str]:
        """The environment that it is started with."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("VIDEOSTORE_ST", "VIAM_"))}
        clean = {"HOME": str(self.home), "TMPDIR": str(self.home / "tmp"), "TZ": ZONE, "COLUMNS": "80", "DISPLAY": ":0"}
        return {**ours, **clean, "PYTHONPATH": str(ROOT), **changes}

    @property
    def here(self) -> Path:
        """Its working directory."""
        return self.home / "here"

    def command(self, *arguments: object) -> list[str]:
        """The command that starts it."""
        return [sys.executable, "-m", "videostore", *map(str, arguments)]

    def __call__(self, *arguments: object, cwd: Path | None = None, **environment: str) -> Result:
        """Run it to its end. Python is started for it only if the environment says how."""
        settings, here = self.environment(**environment), cwd or self.here
        if can_run_warm(settings):
            done = run_warm([str(one) for one in arguments], cwd=here, env=settings, timeout_s=TIMEOUT_S)
        else:
            command = self.command(*arguments)
            nothing = subprocess.DEVNULL
            done = subprocess.run(
                command, cwd=here, env=settings, stdin=nothing, capture_output=True, timeout=TIMEOUT_S
            )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    async def run_in_thread(self, *arguments: object) -> Result:
        """Run it to its end while the event loop goes on."""
        return await asyncio.to_thread(self, *arguments)

    def start(self, *arguments: object, **environment: str) -> Process:
        """Start it in a session of its own, for a test that ends it."""
        return Process(
            self.command(*arguments),
            cwd=self.here,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def start_warm(self, *arguments: object, **environment: str) -> WarmProcess:
        """The same of a program that has been imported, for a test of what it does then."""
        return WarmProcess([str(one) for one in arguments], cwd=self.here, env=self.environment(**environment))

    def on_terminal(self, *arguments: object, columns: int = 80, **environment: str) -> tuple[int, str]:
        """Run it on a terminal: its exit code, and everything that it draws."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        settings = {**self.environment(TERM="xterm-256color", **environment)}
        settings.pop("COLUMNS")
        settings.pop("NO_COLOR", None)
        named = [str(one) for one in arguments]
        drawn = b""
        with start_warm(named, (theirs, theirs, theirs), cwd=self.here, env=settings) as keeper:
            with contextlib.suppress(OSError):  # raised when the program has ended
                while block := os.read(ours, 65536):
                    drawn += block
            os.close(ours)
            return end_of_warm(keeper, named, TIMEOUT_S), drawn.decode()

    def script(self, name: str, *lines: str) -> Path:
        """A shell script that replaces another program, such as ffmpeg."""
        path = self.home / name
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return path

    def temporary_files(self) -> list[str]:
        """Temporary files that are left."""
        return sorted(os.listdir(self.home / "tmp"))


def contents(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Size, modification time, number of links and content of every file in a directory, and its own time."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.stat()
        found[path.name] = status.st_size, status.st_mtime_ns, status.st_nlink, path.read_bytes()
    found["."] = 0, directory.stat().st_mtime_ns, 0, b""
    return found


def wait_for(path: Path) -> None:
    """Wait until a file exists."""
    wait_until(path.exists)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true; give up after `TIMEOUT_S`."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def connect(path: Path) -> None:
    """Wait until a socket accepts a connection."""

    def accepts() -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            return True
        return False

    wait_until(accepts)


def exact(time_us: int) -> str:
    """A time to the microsecond, as an argument of the program."""
    return format_time(time_us, utc=True, precision="microseconds")


def summer_time(time_us: int) -> str:
    """A time as the program shows it in the summer of its time zone."""
    return format_time(time_us + 7200 * US, utc=True).replace("Z", "+02:00")


def read_time(text: str) -> int:
    """A time that the program has written, in microseconds since 1970, UTC."""
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * US)
