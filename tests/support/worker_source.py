"""The workers of xdist, forked from one process that has imported the tests.

Each worker would import all test files by itself, and in a new checkout compile them: of the four seconds of CPU that a
worker took to begin, more than half. The process belongs to a run, and ends with it. It is given the arguments of the
run, so that pytest rewrites assertions as it does in a worker. If it cannot begin, the workers are started as usual.
"""

from __future__ import annotations

import contextlib
import fnmatch
import gc
import importlib
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.warm_program import end_process

_ROOT = Path(__file__).resolve().parents[2]
_ENTRY = Path(__file__).with_name("worker_entry.py")
_STREAMS = 3
_START = "import sys; sys.path.insert(0, sys.argv[1]); from tests.support.worker_source import main; main(sys.argv[2:])"


def fork_workers(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Let execnet's processes with these specifications be forks of a process that is started here."""
    if not hasattr(os, "pidfd_open") or any(not one.popen or one.python for one in specs):
        return
    command = [sys.executable, "-c", _START, str(_ROOT), *map(str, config.invocation_params.args)]
    source = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert source.stdout is not None
    with source.stdout as told:
        address = told.readline().strip()
    if address:
        for one in specs:
            one.python = shlex.join([sys.executable, "-S", "-E", str(_ENTRY), address])


def main(arguments: list[str]) -> None:
    """Import the tests that these arguments of pytest name, and fork workers until the parent of this process ends."""
    run = os.pidfd_open(os.getppid())
    told = os.dup(1)
    os.dup2(2, 1)  # what pytest itself may print
    pytest.main([*arguments, "-s"], plugins=[_Source(run, told)])


class _Source:
    def __init__(self, run: int, told: int) -> None:
        self._run = run
        self._told = told

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        for name in _modules(config):
            try:
                importlib.import_module(name)
            except BaseException:  # noqa: BLE001 (whatever it is, the worker that collects the file tells it)
                sys.modules.pop(name, None)
        _find_constants()
        _serve(self._run, self._told)
        return 0


def _find_constants() -> None:
    """Let Hypothesis look for the constants in what is imported, as it does at the end of a collection. That it is
    early is only told to plugins that are slow by it."""
    with contextlib.suppress(ImportError), warnings.catch_warnings():
        from hypothesis.internal.conjecture.providers import _get_local_constants  # it is no public function

        warnings.simplefilter("ignore")
        _get_local_constants()


def _modules(config: pytest.Config) -> Iterator[str]:
    """The names under which pytest imports the test files that the run's arguments name, and what belongs to them."""
    patterns = [*config.getini("python_files"), "conftest.py"]
    left_out = [config.rootpath / one for one in config.getini("norecursedirs") if "/" in one]
    for argument in config.args:
        asked = config.invocation_params.dir / argument.partition("::")[0]
        passed = [one for one in left_out if not asked.is_relative_to(one)]
        for path in sorted(asked.rglob("*.py")) if asked.is_dir() else [asked]:
            is_test = any(fnmatch.fnmatch(path.name, one) for one in patterns)
            if is_test and path.is_relative_to(config.rootpath) and not any(map(path.is_relative_to, passed)):
                yield ".".join(path.relative_to(config.rootpath).with_suffix("").parts)


def _serve(run: int, told: int) -> None:
    """Fork a worker for each connection, which gives its standard streams and lasts as long as the worker."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("")  # the kernel chooses a free name, which is not in the file system
        listening.listen(64)
        os.write(told, listening.getsockname().hex().encode() + b"\n")
        os.close(told)
        threading.Thread(target=_end_with, args=(run,), daemon=True).start()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run ends by it, and this process with the run
        gc.freeze()
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                os.close(run)
                _work(connection)
            connection.close()


def _end_with(run: int) -> NoReturn:
    select.select([run], [], [])
    os._exit(0)


def _work(connection: socket.socket) -> NoReturn:
    """Do what execnet's process does: run what it is sent."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _, streams, _, _ = socket.recv_fds(connection, 1, _STREAMS)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    exec(eval(sys.stdin.readline()), {"__name__": "__main__"})
    end_process(0)
