"""Starts programs by a thread that has no file of a disk open.

A child that is forked closes what its parent has open before it runs its program. A file on a disk that hangs keeps it
waiting there (FUSE asks the disk whenever a file is closed), and Python waits for the child: no program could be
started any more, for no recorder. So one thread has a table of open files of its own, and gets the pipes that a program
needs through a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import functools
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from asyncio.base_subprocess import BaseSubprocessTransport
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, BinaryIO, TypeAlias

PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
PASSED = "pipe:passed"
"""Among the arguments of a program: the name, for ffmpeg, of the pipe that is passed to it."""

Standard: TypeAlias = int | BinaryIO
"""`PIPE`, `DEVNULL`, or an end of a pipe."""
Popen: TypeAlias = "subprocess.Popen[bytes]"

_CLOSE_RANGE, _UNSHARE, _LAST = 436, 2, (1 << 32) - 1
"""Of Linux's unistd.h (the same on all processors) and close_range.h."""
_MOST_FILES = 4
_READER_BYTES = 1 << 16


async def start_process(
    args: Sequence[str],
    *,
    stdin: Standard,
    stdout: Standard,
    stderr: Standard,
    passed: BinaryIO | None = None,
    cwd: str | None = None,
    limit: int = _READER_BYTES,
) -> asyncio.subprocess.Process:
    """Start a program, as `open_process` does. `limit` is that of the readers of its pipes, in bytes.

    A cancellation kills it.

    Raises:
        OSError: it cannot be started.
        ValueError: an argument has a zero byte.
    """
    loop = asyncio.get_running_loop()
    protocol = asyncio.subprocess.SubprocessStreamProtocol(limit, loop)
    connected: asyncio.Future[None] = loop.create_future()
    transport = _Transport(loop, protocol, args, False, stdin, stdout, stderr, 0, connected, passed=passed, cwd=cwd)
    try:
        await connected
    except BaseException:
        transport.close()
        await transport._wait()
        raise
    process = asyncio.subprocess.Process(transport, protocol, loop)
    if process.stdin is not None and sys.version_info < (3, 11):
        # It logs an error of this pipe that is not awaited, which later versions do not.
        protocol._stdin_closed.add_done_callback(lambda closed: closed.exception())  # type: ignore[attr-defined]
    return process


class _Transport(BaseSubprocessTransport):
    """asyncio's, with a program that was started here."""

    def _start(self, args: Any, shell: Any, stdin: Any, stdout: Any, stderr: Any, bufsize: int, **more: Any) -> None:
        self._proc = process = open_process(args, stdin=stdin, stdout=stdout, stderr=stderr, **more)
        loop = self._loop
        try:
            pidfd = os.pidfd_open(process.pid)
        except (AttributeError, OSError):  # another system, a kernel before 5.3, or a sandbox that forbids it
            threading.Thread(target=self._wait_in_thread, args=(loop, process), daemon=True).start()
        else:
            loop.add_reader(pidfd, self._ended, loop, process, pidfd)

    def _ended(self, loop: asyncio.AbstractEventLoop, process: Popen, pidfd: int) -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        self._process_exited(process.wait())

    def _wait_in_thread(self, loop: asyncio.AbstractEventLoop, process: Popen) -> None:
        code = process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._process_exited, code)


def open_process(
    args: Sequence[str],
    *,
    stdin: Standard,
    stdout: Standard,
    stderr: Standard,
    passed: BinaryIO | None = None,
    cwd: str | None = None,
) -> Popen:
    """Start a program in a separate session. It also gets an end of a pipe, `passed`, see `PASSED`. Blocking: it takes
    as long as the system needs to load the program.

    Raises:
        OSError: it cannot be started.
        ValueError: an argument has a zero byte.
    """
    ours: dict[str, BinaryIO] = {}
    with contextlib.ExitStack() as kept, contextlib.ExitStack() as given:
        files: dict[str, int] = {}
        for name, one in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
            if one == PIPE:
                reading, writing = os.pipe()
                mine, theirs = (writing, reading) if name == "stdin" else (reading, writing)
                ours[name] = kept.enter_context(open(mine, "wb" if name == "stdin" else "rb", 0))
                files[name] = given.enter_context(open(theirs, "rb", 0)).fileno()
            elif not isinstance(one, int):
                files[name] = one.fileno()
        if passed is not None:
            files["passed"] = passed.fileno()
        starter = _starter(os.getpid())
        run = functools.partial(_run, list(args), [*files], cwd)
        process = starter.run(run, [*files.values()]) if starter.has_own_table else run([*files.values()])
        kept.pop_all()
    process.stdin, process.stdout, process.stderr = (ours.get(name) for name in ("stdin", "stdout", "stderr"))
    return process


def _run(args: list[str], names: list[str], cwd: str | None, numbers: list[int]) -> Popen:
    files = dict(zip(names, numbers, strict=True))
    passed = files.pop("passed", None)
    return subprocess.Popen(
        [f"pipe:{passed}" if one == PASSED else one for one in args],
        stdin=files.get("stdin", DEVNULL),
        stdout=files.get("stdout", DEVNULL),
        stderr=files.get("stderr", DEVNULL),
        pass_fds=() if passed is None else (passed,),
        cwd=cwd,
        start_new_session=True,
    )


def prepare_to_start() -> None:
    """Start the thread, while this process has few files open. It copies for a moment those that are."""
    _starter(os.getpid())


class _Starter:
    """The thread. It stays: a process that is to end with its parent ends with the thread that started it."""

    has_own_table = False

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._asked: SimpleQueue[tuple[Callable[[list[int]], Popen], Future[Popen]]] = SimpleQueue()
        self._ours, theirs = socket.socketpair()
        ready = threading.Event()
        kept = theirs.detach()
        threading.Thread(target=self._serve, args=(kept, ready), name="starts programs", daemon=True).start()
        ready.wait()
        os.close(kept)

    def run(self, work: Callable[[list[int]], Popen], files: Sequence[int]) -> Popen:
        """Do this in the thread, with the numbers that these files have there."""
        result: Future[Popen] = Future()
        with self._turn:
            if not self.has_own_table:
                raise _ended()
            socket.send_fds(self._ours, [b"."], list(files))
            self._asked.put((work, result))
        return result.result()

    def _serve(self, kept: int, ready: threading.Event) -> None:
        self.has_own_table = _take_own_table(kept)
        ready.set()
        if not self.has_own_table:
            return
        asking = socket.socket(fileno=kept)
        try:
            self._answer(asking)
        finally:  # from now on programs start without it
            with self._turn:
                self.has_own_table = False
                asking.close()
                while not self._asked.empty():
                    self._asked.get()[1].set_exception(_ended())

    def _answer(self, asking: socket.socket) -> None:
        # Python tells the loop of a signal through a file, which this thread does not have.
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            asked, files, _, _ = socket.recv_fds(asking, 1, _MOST_FILES, socket.MSG_CMSG_CLOEXEC)
            if not asked:
                return
            collects = gc.isenabled()
            gc.disable()  # it would close in this thread's table what is open in the other one
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, signals)  # a program inherits it
                self._start(files)
            finally:
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                if collects:
                    gc.enable()

    def _start(self, files: list[int]) -> None:
        work, result = self._asked.get()
        try:
            process = work(files)
        except BaseException as error:  # noqa: BLE001 (who asked gets it)
            result.set_exception(error)
        else:
            result.set_result(process)
        finally:
            for one in files:
                os.close(one)


def _ended() -> OSError:
    return BrokenPipeError(errno.EPIPE, "the thread that starts programs has ended")


def _take_own_table(kept: int) -> bool:
    """Give this thread a table of open files of its own, with one of those that are open. Whether that is so."""
    try:
        call = ctypes.CDLL(None, use_errno=True).syscall
        if call(_CLOSE_RANGE, ctypes.c_uint(kept + 1), ctypes.c_uint(_LAST), _UNSHARE) != 0:
            return False  # a kernel before 5.9, or a sandbox that forbids it
    except (OSError, AttributeError):
        return False
    os.closerange(3, kept)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):  # they may be files too
        os.dup2(nothing, number)
    os.close(nothing)
    return True


@functools.cache
def _starter(process_id: int) -> _Starter:
    """That of this process: a fork has no threads."""
    return _Starter()
