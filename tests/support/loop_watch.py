"""A watch over the event loop: notes each call of `videostore` code on a loop that may wait for a disk.

The calls themselves are caught, not their duration, so a busy machine changes nothing. Python reports most of them to
audit hooks; the others are functions of `os`, which are wrapped. A call counts when a loop runs in its thread and a
coroutine or a callback of `videostore` is on the stack: tests may read files on their loop as they like.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

REPORT_VARIABLE = "VIDEOSTORE_LOOP_WATCH"
"""Names the file to which watched processes add what they found, a line for each call."""

PROCESS_DIRECTORY = Path(__file__).resolve().parent / "watched_process"
"""On the path of a Python process, this makes it watch its own loop. A forked one calls `watch_if_asked`."""

_PACKAGE = str(Path(__file__).resolve().parents[2] / "videostore") + os.sep
_THIS = __file__
_AUDITED = frozenset(
    {
        "open",
        "os.chmod",
        "os.chown",
        "os.link",
        "os.listdir",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.scandir",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "shutil.rmtree",
        "sqlite3.connect",
        "tempfile.mkdtemp",
        "tempfile.mkstemp",
    }
)
_WRAPPED = ("stat", "lstat", "statvfs", "fsync", "fdatasync", "readlink", "access")
_HEARD = _AUDITED | {f"os.{name}" for name in _WRAPPED} | {"time.sleep"}
_ALWAYS = ("os.fsync", "os.fdatasync", "time.sleep")
"""Other calls with an open file are quick: what they ask was read when it was opened."""
_SYSTEM = ("/dev/null", "/dev/urandom", "/proc/", "/sys/")
"""Made by the kernel: no disk is behind them."""
_PROGRAM = (sys.prefix + os.sep, sys.base_prefix + os.sep)
"""The program's own files, which imports read."""
_LOADING = ("<frozen importlib", "linecache.py", "zoneinfo")
"""They read the program itself, or the system's time zones."""
_SDK = f"{os.sep}site-packages{os.sep}viam{os.sep}"
"""What Viam's SDK does by itself: it looks at its socket when it connects."""
_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

_note: Callable[[str], None] | None = None


def watch(note: Callable[[str], None]) -> None:
    """Report the blocking calls of this process to `note` from now on. Only once in a process."""
    global _note
    first, _note = _note is None, note
    if not first:
        return
    sys.addaudithook(_heard)
    for name in _WRAPPED:
        function = getattr(os, name)
        wrapped = _wrap(function, f"os.{name}")
        setattr(os, name, wrapped)
        accessor = getattr(pathlib, "_NormalAccessor", None)  # Python 3.10 keeps the functions
        if accessor is not None and accessor.__dict__.get(name) is function:
            setattr(accessor, name, staticmethod(wrapped))
    time.sleep = _wrap(time.sleep, "time.sleep")


def watch_if_asked() -> None:
    """Watch this process if its environment names a report."""
    report = os.environ.get(REPORT_VARIABLE)
    if report is None:
        return
    descriptor = os.open(report, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(line: str) -> None:
        os.write(descriptor, (line + "\n").encode(errors="replace"))

    watch(note)


@contextlib.contextmanager
def watching(note: Callable[[str], None]) -> Iterator[None]:
    """Report to `note` in this context."""
    global _note
    before = _note
    watch(note)
    try:
        yield
    finally:
        _note = before or _ignore


@contextlib.contextmanager
def no_blocking_calls(report: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails the test if a blocking call is made on a loop in this context, in any process. They use a file `report`."""
    patch.setenv(REPORT_VARIABLE, str(report))
    path = os.environ.get("PYTHONPATH")
    patch.setenv("PYTHONPATH", os.pathsep.join([str(PROCESS_DIRECTORY), *([path] if path else [])]))
    found: list[str] = []
    with watching(found.append):
        yield
    if report.exists():
        found += report.read_text(encoding="utf-8").splitlines()
    places = {line.partition(": ")[0]: line for line in found}  # one example of each
    assert not places, "\n".join(sorted(places.values()))


def _ignore(_: str) -> None:
    pass


def _wrap(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        _heard(name, arguments)
        return function(*arguments, **options)

    return wrapped


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _HEARD or _note in (None, _ignore) or asyncio._get_running_loop() is None:
        return
    subject = arguments[0] if arguments else ""
    if str(subject).startswith(_PROGRAM):
        return
    if event not in _ALWAYS and (isinstance(subject, int) or str(subject).startswith(_SYSTEM)):
        return
    place = _place()
    if place is not None:
        _note(f"{event} in {place}: {subject!r}")


def _place() -> str | None:
    """Where in `videostore` a call was made, if its coroutines or callbacks made it."""
    ours: list[FrameType] = []
    frame: FrameType | None = sys._getframe(2)
    on_loop = False
    while frame is not None:
        code = frame.f_code
        if any(part in code.co_filename for part in _LOADING) or (_SDK in code.co_filename and not ours):
            return None
        if code.co_filename.startswith(_PACKAGE):
            ours.append(frame)
            on_loop = on_loop or bool(code.co_flags & _COROUTINE)
        elif ours and _runs_callbacks(code):  # the loop called it
            on_loop = True
            break
        elif not on_loop and ours and code.co_filename != _THIS and "tests" in code.co_filename:
            return None  # a test calls a function that is not for the loop
        frame = frame.f_back
    if not ours or not on_loop:
        return None
    first = ours[0]
    callers = " < ".join(f"{Path(one.f_code.co_filename).stem}.{one.f_code.co_name}" for one in ours[:4])
    return f"{Path(first.f_code.co_filename).relative_to(_PACKAGE)}:{first.f_lineno} ({callers})"


def _runs_callbacks(code: CodeType) -> bool:
    return code.co_name == "_run" and code.co_filename.endswith(f"asyncio{os.sep}events.py")
