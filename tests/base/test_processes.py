"""Programs are started by a thread that has no file of a disk open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from asyncio.subprocess import Process
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.amount import at_most, cut_short
from tests.support.child_processes import command_of, running_children
from tests.support.hanging_disk import hanging_disk
from tests.support.recording import until
from videostore.base import processes
from videostore.base.processes import DEVNULL, PASSED, PIPE, start_process
from videostore.base.system import LINUX

WITHIN_S = 120.0
NOTHING: dict[str, Any] = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL}
ALL: dict[str, Any] = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
linux_only = pytest.mark.skipif(not LINUX, reason="only Linux lists the files and threads of a process")


def held() -> tuple[int, int, int]:
    """The open files, the threads and the children of this process."""
    me = psutil.Process()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(me.children())


@pytest.fixture(params=["own table", "shared table", "no pidfd"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What systems allow."""
    if request.param == "shared table":
        starter = None
        with monkeypatch.context() as patched:
            patched.setattr(processes, "_take_own_table", lambda _kept: False)
            starter = processes._Starter()
        monkeypatch.setattr(processes, "_starter", lambda _process_id: starter)
    if request.param == "no pidfd":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    yield request.param


async def test_input_output_messages_and_exit_code_are_those_of_the_program(ways: str) -> None:
    process = await start_process(["sh", "-c", "cat; echo no >&2; exit 3"], **ALL)
    assert process.returncode is None
    assert await process.communicate(b"x" * 5_000_000) == (b"x" * 5_000_000, b"no\n")
    assert await process.wait() == process.returncode == 3


async def test_input_that_a_program_does_not_read_to_its_end_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    process = await start_process(["head", "-c1"], **{**ALL, "stderr": DEVNULL})
    assert process.stdin is not None
    process.stdin.write(b"x" * 1_000_000)
    pipe = weakref.ref(process.stdin.transport)
    assert await process.wait() == 0
    del process

    def is_forgotten() -> bool:
        gc.collect()
        return pipe() is None

    await until(is_forgotten)
    assert not caplog.records


async def test_a_program_gets_the_ends_of_pipes_that_its_caller_made(ways: str) -> None:
    pipes = [os.pipe() for _ in range(3)]
    given, output, passed = (os.fdopen(pipe[0], "rb") for pipe in pipes)
    with os.fdopen(pipes[0][1], "wb") as feed:
        feed.write(b"given")
    with os.fdopen(pipes[1][1], "wb") as into, os.fdopen(pipes[2][1], "wb") as beside, given:
        script = 'cat; echo passed >/dev/fd/"${1#pipe:}"; echo "$2"'
        process = await start_process(
            ["sh", "-c", script, "", PASSED, f"x{PASSED}"], stdin=given, stdout=into, stderr=DEVNULL, passed=beside
        )
    assert await process.wait() == 0
    with output, passed:
        assert (output.read(), passed.read()) == (f"givenx{PASSED}\n".encode(), b"passed\n")


async def test_a_program_has_no_other_file_and_a_session_of_its_own() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    script = "import os; print(os.listdir('/proc/self/fd'), os.getsid(0) == os.getpid(), os.getcwd())"
    process = await start_process([sys.executable, "-c", script], cwd="/", **ALL)
    output, messages = await process.communicate(b"")
    os.close(reading)
    os.close(writing)
    assert (output, messages) == (b"['0', '1', '2', '3'] True /\n", b"")  # 3 is that of listdir


@linux_only
async def test_what_cannot_be_started_is_an_error_and_leaves_nothing_open(ways: str, tmp_path: Path) -> None:
    await (await start_process(["true"], **NOTHING)).wait()
    before = held()
    tries: list[tuple[list[str], type[Exception]]] = [
        (["/does/not/exist"], FileNotFoundError),
        ([str(tmp_path)], PermissionError),
        (["true", "\0"], ValueError),
        (["true", "x" * (64 << 20)], OSError),
    ]
    for command, kind in tries:
        with pytest.raises(kind):
            await start_process(command, **ALL)
    await until(lambda: held() <= before)


@cut_short
@linux_only
async def test_hundreds_of_starts_leave_no_file_no_thread_and_no_child(ways: str) -> None:
    async def run(number: int) -> None:
        process = await start_process(["sh", "-c", f"cat; exit {number % 100}"], **ALL)
        assert await process.communicate(b"x") == (b"x", b"")
        assert process.returncode == number % 100

    await run(0)
    before = held()
    for first in range(0, at_most(600, 240), 60):
        await asyncio.gather(*(run(number) for number in range(first, first + 60)))
    await until(lambda: held() <= before)


@linux_only
async def test_a_start_whose_caller_is_cancelled_leaves_no_program_and_no_file(ways: str) -> None:
    """In every turn of the loop, until it is done."""
    name = f"1{os.getpid()}"
    await (await start_process(["true"], **NOTHING)).wait()
    before = held()
    turns = started = 0
    while started < 3:
        starting = asyncio.create_task(start_process(["sleep", name], **ALL))
        for _ in range(turns):
            await asyncio.sleep(0)
        turns += 1 + turns // 8
        starting.cancel()
        try:
            process = await starting
        except asyncio.CancelledError:
            assert not [one for one in running_children() if command_of(one)[-1:] == [name]]
            continue
        started += 1
        process.kill()
        await process.wait()
        assert process.stdin is not None
        process.stdin.close()
        del process, starting
    assert turns > 5
    await until(lambda: held() <= before)


@linux_only
async def test_the_end_of_a_program_is_awaited_without_a_thread() -> None:
    started = [await start_process(["sleep", "60"], **NOTHING) for _ in range(5)]
    threads = threading.active_count()
    more = [await start_process(["sleep", "60"], **NOTHING) for _ in range(5)]
    assert threading.active_count() == threads
    for process in (*started, *more):
        process.kill()
    assert [await process.wait() for process in (*started, *more)] == [-9] * 10


async def test_a_program_that_is_to_end_with_its_parent_does_not_end_before() -> None:
    process = await asyncio.to_thread(asyncio.run, _started_elsewhere())
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, 0)
        os.kill(process.pid, signal.SIGTERM)
        return
    pytest.fail("it ended with the thread of its caller")


async def _started_elsewhere() -> Process:
    return await start_process(["setpriv", "--pdeathsig", "KILL", "--", "sleep", "1000"], **NOTHING)


async def test_nothing_is_collected_while_the_thread_starts_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it collected would close its files in the thread's table instead of the other one."""
    run, seen = processes._run, []

    def watched(*arguments: Any) -> Any:
        seen.append(gc.isenabled())
        return run(*arguments)

    monkeypatch.setattr(processes, "_run", watched)
    assert gc.isenabled()
    await (await start_process(["true"], **NOTHING)).wait()
    await until(gc.isenabled)
    assert seen == [False]


@linux_only
async def test_the_thread_takes_no_signal_and_a_program_does() -> None:
    process = await start_process(["cat", "/proc/self/status"], **{**ALL, "stdin": DEVNULL})
    output, _ = await process.communicate()
    if not processes._starter(os.getpid()).has_own_table:
        pytest.skip("this system gives a thread no table of its own")
    assert blocked(output.decode()) == blocked(Path("/proc/thread-self/status").read_text())
    starters = [one.native_id for one in threading.enumerate() if one.name == "starts programs"]
    expected = {int(number) for number in signal.valid_signals()} - {signal.SIGKILL, signal.SIGSTOP}
    await until(lambda: all(blocked(Path(f"/proc/self/task/{one}/status").read_text()) == expected for one in starters))


def blocked(status: str) -> set[int]:
    """The signals that a thread with this status does not take."""
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk:"))
    return {number + 1 for number in range(64) if mask >> number & 1}


@linux_only
async def test_the_thread_that_starts_programs_has_no_file_of_this_process(tmp_path: Path) -> None:
    with (tmp_path / "open").open("wb"):
        await (await start_process(["true"], **NOTHING)).wait()
        if not processes._starter(os.getpid()).has_own_table:
            pytest.skip("this system gives a thread no table of its own")
        # Those of the tests with a shared table stay.
        starters = [one.native_id for one in threading.enumerate() if one.name == "starts programs"]

        def files(native: int | None) -> set[str]:
            found = set()
            for one in Path(f"/proc/self/task/{native}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    found.add(os.readlink(one).partition(":")[0])
            return found

        await until(lambda: any(files(one) == {os.devnull, "socket"} for one in starters))


STARTS = """
import asyncio, mmap, os, sys
from videostore.base.processes import DEVNULL, PIPE, start_process

async def main():
    await (await start_process(["true"], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)).wait()
    with open(sys.argv[1] + "/file", "w+b") as file:
        file.truncate(8192)
        mapped = mmap.mmap(file.fileno(), 8192)  # as SQLite does
        mapped[0] = 1
        print("begun", flush=True)
        sys.stdin.readline()
        for _ in range(20):
            process = await start_process(["sh", "-c", "cat; exit 3"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
            print(*await process.communicate(b"started"), process.returncode, flush=True)
        os._exit(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("hung_output", [False, True])
async def test_programs_start_while_a_disk_hangs_of_which_files_are_open(tmp_path: Path, hung_output: bool) -> None:
    with hanging_disk(tmp_path) as disk:
        messages = (disk.path / "messages").open("wb") if hung_output else None
        command = [sys.executable, "-c", STARTS, str(disk.path)]
        pipe = asyncio.subprocess.PIPE
        tried = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=messages)
        assert tried.stdin is not None and tried.stdout is not None
        try:
            assert await tried.stdout.readline() == b"begun\n"
            disk.hang()
            tried.stdin.write(b"\n")
            for _ in range(20):
                line = await asyncio.wait_for(tried.stdout.readline(), WITHIN_S)
                assert line == b"b'started' b'' 3\n"
        finally:
            disk.go_on()
            if messages is not None:
                messages.close()
            await tried.wait()


@linux_only
async def test_programs_start_without_the_thread_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    starter = processes._Starter()
    monkeypatch.setattr(processes, "_starter", lambda _process_id: starter)
    assert starter.has_own_table
    starter._ours.shutdown(socket.SHUT_WR)
    await until(lambda: not starter.has_own_table)
    process = await start_process(["sh", "-c", "exit 3"], **NOTHING)
    assert await process.wait() == 3


@linux_only
async def test_a_start_that_the_thread_breaks_off_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "recv_fds", lambda *_: (os.read(-1, 1), [], 0, None))
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    starter = processes._Starter()
    monkeypatch.setattr(processes, "_starter", lambda _process_id: starter)
    await until(lambda: not starter.has_own_table)
    starter.has_own_table = True  # as it was when the caller looked
    with pytest.raises(OSError):
        await start_process(["true"], **NOTHING)


def test_a_fork_starts_programs_with_a_thread_of_its_own() -> None:
    program = """
import asyncio, os
from videostore.base.processes import DEVNULL, start_process

async def main():
    return await (await start_process(["sh", "-c", "exit 3"], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)).wait()

assert asyncio.run(main()) == 3
if (child := os.fork()) == 0:
    os._exit(asyncio.run(main()) + 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=PIPE, text=True, check=True, timeout=WITHIN_S)
    assert done.stdout == "4\n"
