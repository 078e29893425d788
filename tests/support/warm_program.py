"""The command line as a process that need not import it first: forked from one that has.

`run_warm` takes what `subprocess.run` takes of a command line, and the process is one of its own as there: with its
environment, working directory, standard streams, exit code and signals. It saves the 0.2 s of CPU that starting Python
and importing takes, which is most of what a short command costs; the tests run hundreds. What is about imports, or
about signals during them, needs a process that starts from nothing.

A server process that imports everything belongs to each run of the tests, and all its workers use it. It forks a
keeper for each command, which sees what is mounted for the worker, forks the command and tells the worker its id and
how it ended. The server ends with the run. A second one does the same for the module (`warm_module.py`), which imports
0.4 s of other things.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import videostore
from tests.support.loop_watch import watch_if_asked
from tests.support.once import once_per_run
from tests.support.own_mounts import enter_mounts, open_mounts

_HEADER = struct.Struct("!I")
STATUS = struct.Struct("!i")
"""How a keeper tells a number."""
_DESCRIPTORS = 4
"""What is mounted for the worker, and the standard streams."""
_FIXED_AT_START = ("PYTHON", "LANG", "LC_")
"""Variables that Python reads when it starts."""
_NOT_IN_COMMANDS = (
    "videostore.viam",
    "videostore.remote",
    "videostore.web",
    "videostore.cli.web",
    "videostore.__main__",
)
"""What speaks over the network, which few commands do."""
_NOT_IN_MODULE = ("videostore.remote", "videostore.web", "videostore.cli.", "videostore.__main__")
_LATE = (
    *("dateutil.parser", "pytimeparse2", "typer._adapters", "typer._click._textwrap", "typer._click.decorators"),
    "pydantic.plugin._loader",
)
"""What is imported only when it is needed. Not every version of typer has all of it."""


def can_run_warm(environment: Mapping[str, str]) -> bool:
    """Whether a process with this environment can be forked from the server, whose Python started with ours."""
    names = {name for name in {*environment, *os.environ} if name.startswith(_FIXED_AT_START)}
    return all(environment.get(name) == os.environ.get(name) for name in names - {"PYTHONPATH"})


def run_warm(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line to its end, with no standard input.

    Raises:
        subprocess.TimeoutExpired: it took longer; it is killed.
    """
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    with start_warm(arguments, (nothing, to_out, to_err), cwd=cwd, env=env) as keeper:
        written: dict[int, bytes] = {}
        readers = [threading.Thread(target=_read_all, args=(one, written), daemon=True) for one in (out, err)]
        for reader in readers:
            reader.start()
        code = end_of_warm(keeper, arguments, timeout_s)
        deadline = time.monotonic() + timeout_s
        for reader in readers:  # as with subprocess.run, the streams may be held open by its children
            reader.join(max(0.0, deadline - time.monotonic()))
        if len(written) < len(readers):
            raise subprocess.TimeoutExpired(list(arguments), timeout_s)
    return subprocess.CompletedProcess(list(arguments), code, written[out], written[err])


def start_warm(
    arguments: Sequence[str],
    streams: tuple[int, int, int],
    *,
    cwd: Path,
    env: Mapping[str, str],
    kind: str = "command",
    session: bool = False,
) -> socket.socket:
    """Start the command line with these standard streams, which are closed here. Returns what `end_of_warm` takes.

    A `kind` of "module" is the module. With `session` it is in a session of its own.
    """
    keeper, mounts = socket.socket(socket.AF_UNIX), open_mounts()
    try:
        keeper.connect(_server(kind))
        asked = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "session": session}
        request = json.dumps(asked).encode()
        socket.send_fds(keeper, [_HEADER.pack(len(request))], (mounts, *streams))
        keeper.sendall(request)
    except BaseException:
        keeper.close()
        raise
    finally:
        for descriptor in {mounts, *streams}:
            os.close(descriptor)
    return keeper


def end_of_warm(keeper: socket.socket, arguments: Sequence[str], timeout_s: float) -> int:
    """Wait until the command line has ended. Returns its exit code.

    Raises:
        subprocess.TimeoutExpired: it took longer; it is killed.
    """
    process = receive_status(keeper)
    keeper.settimeout(timeout_s)
    try:
        return receive_status(keeper)
    except TimeoutError:
        os.kill(process, signal.SIGKILL)
        raise subprocess.TimeoutExpired(list(arguments), timeout_s) from None


def _read_all(descriptor: int, written: dict[int, bytes]) -> None:
    with open(descriptor, "rb") as file:
        written[descriptor] = file.read()


def receive_status(keeper: socket.socket) -> int:
    """What the keeper tells next: first the id of the process, then its exit code."""
    received = b""
    while len(received) < STATUS.size:
        block = keeper.recv(STATUS.size - len(received))
        if not block:
            raise ConnectionError("the process that keeps the command line has ended")
        received += block
    return int(STATUS.unpack(received)[0])


@once_per_run
def _server(kind: str) -> bytes:
    """The address of the server, which is started for the first command. It is not in the file system, where it would
    stay if the tests were killed."""
    root = Path(__file__).resolve().parents[2]
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.warm_program", kind, str(run)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as server:  # waits for what has started it
        assert server.stdout is not None
        return bytes.fromhex(server.stdout.readline().decode())


def _serve(kind: str, run: int) -> None:
    """Fork a keeper for every connection, until the process `run` ends. The forked command returns from here."""
    its_end = os.pidfd_open(run)
    left_out = _NOT_IN_MODULE if kind == "module" else _NOT_IN_COMMANDS
    for module in pkgutil.walk_packages(videostore.__path__, "videostore."):
        if not module.name.startswith(left_out):
            importlib.import_module(module.name)
    for name in _LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("")  # the kernel chooses a free name
        listening.listen(64)
        gc.freeze()
        # Tests look at the children of their process, of which it is none.
        if os.fork():
            print(listening.getsockname().hex(), flush=True)
            os._exit(0)
        threading.Thread(target=_end_with, args=(its_end,), daemon=True).start()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                os.close(its_end)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _keep(connection)
                return
            connection.close()


def _end_with(process: int) -> NoReturn:
    select.select([process], [], [])
    os._exit(0)


def _keep(connection: socket.socket) -> None:
    """Fork the command and wait for it; only the command returns."""
    header, (mounts, *streams), _, _ = socket.recv_fds(connection, _HEADER.size, _DESCRIPTORS)
    enter_mounts(mounts)
    os.close(mounts)
    with connection.makefile("rb") as file:
        request = json.loads(file.read(_HEADER.unpack(header)[0]))
    process = os.fork()
    if process:
        for stream in streams:
            os.close(stream)
        connection.sendall(STATUS.pack(process))
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        connection.sendall(STATUS.pack(code))
        os._exit(0)
    connection.close()
    if request["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv[1:] = request["arguments"]
    watch_if_asked()


def end_process(code: int) -> NoReturn:
    """End as Python does at `sys.exit`, but leave its modules as they are. Taking them apart would write to all the
    memory that is shared with the server, which copies it: half of what a short command costs."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
    from videostore.cli import main

    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            end_process(end.code)
        raise
