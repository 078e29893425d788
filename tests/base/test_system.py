from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from videostore.base import system
from videostore.base.system import (
    ENCODERS,
    LINUX,
    descriptor_room,
    file_system,
    forbid_core_dump,
    is_held,
    lower_priority,
    name_of_descriptor,
    return_memory,
    subordinate,
    sync_data,
    unread_bytes,
    widen_pipe,
)

linux_only = pytest.mark.skipif(not LINUX, reason="other systems cannot")


@contextlib.contextmanager
def locked_elsewhere(path: Path) -> Iterator[None]:
    """Another process holds a lock on the file meanwhile."""
    script = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


def test_a_command_runs_with_a_lower_priority_if_asked_for() -> None:
    script = "import os; print(os.nice(0))"
    own = os.nice(0)
    for niceness in (0, 7):
        done = subprocess.run(subordinate([sys.executable, "-c", script], niceness), capture_output=True, check=True)
        assert int(done.stdout) == min(own + niceness, 19)


def test_all_threads_of_a_process_get_a_lower_priority() -> None:
    script = "import threading; [threading.Thread(target=input).start() for _ in range(3)]; print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        lower_priority(process.pid, 7)
        threads = psutil.Process(process.pid).threads() if LINUX else []
        found = {os.getpriority(os.PRIO_PROCESS, one.id) for one in threads} or {psutil.Process(process.pid).nice()}
        assert found == {min(os.nice(0) + 7, 19)} and len(threads) >= 4 * LINUX
        process.kill()
    lower_priority(process.pid, 7)  # it has ended


@linux_only
def test_a_command_is_killed_when_its_parent_exits() -> None:
    command = subordinate([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"])
    script = f"import subprocess; subprocess.Popen({command!r}); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.send_signal(signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(150)


def test_a_system_without_the_programs_runs_the_command_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    system._program.cache_clear()
    try:
        assert subordinate(["ffmpeg", "-version"], 10) == ["ffmpeg", "-version"]
    finally:
        system._program.cache_clear()


@linux_only
def test_a_pipe_is_enlarged() -> None:
    reading, writing = os.pipe()
    try:
        widen_pipe(writing, 1 << 18)
        assert fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ) == 1 << 18
    finally:
        os.close(reading)
        os.close(writing)


def test_what_was_written_to_a_pipe_and_not_read_is_known() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"12345")
        assert unread_bytes(writing) == 5
        os.read(reading, 3)
        assert unread_bytes(writing) == 2
    finally:
        os.close(reading)
        os.close(writing)
    assert unread_bytes(writing) == 0  # it is closed


def test_what_is_not_a_pipe_stays_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        widen_pipe(file.fileno(), 1 << 18)
    assert (tmp_path / "file").stat().st_size == 0


@linux_only
def test_a_deleted_file_can_be_opened_by_the_name_of_its_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    with path.open("rb") as file:
        path.unlink()
        name = name_of_descriptor(file.fileno())
        assert name is not None
        assert subprocess.run(["cat", name], capture_output=True, check=True).stdout == b"bytes"
    assert name_of_descriptor(99_999) is None


@linux_only
def test_the_limit_of_open_files_is_raised_where_that_is_allowed_and_never_exceeded() -> None:
    script = """
import resource
from videostore.base.system import descriptor_room
resource.setrlimit(resource.RLIMIT_NOFILE, (300, 1000))
print(descriptor_room(10), descriptor_room(10_000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    few, many, limit = map(int, done.stdout.split())
    assert few == 10
    assert 500 < many < 1000 - system._SPARE_DESCRIPTORS
    assert limit == 1000
    assert descriptor_room(0) == 0
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0


@linux_only
def test_a_lock_of_another_process_is_seen_and_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert not is_held(path)
    with locked_elsewhere(path):
        assert is_held(path)
        assert is_held(path)
    assert not is_held(path)


@linux_only
def test_a_lock_of_this_process_is_seen_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with path.open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert is_held(path)
        script = f"import fcntl; fcntl.lockf(open({str(path)!r}, 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode != 0
    assert not is_held(path)


def test_a_file_that_cannot_be_examined_counts_as_held(tmp_path: Path) -> None:
    assert is_held(tmp_path / "none")


def test_the_bytes_of_an_open_file_are_forced_to_disk(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"bytes")
        file.flush()
        sync_data(file.fileno())
    with pytest.raises(OSError):
        sync_data(99_999)


def test_each_codec_of_the_config_has_encoders_of_software_first() -> None:
    assert set(ENCODERS) == {"h264", "h265"}
    assert all(names[0].startswith("lib") for names in ENCODERS.values())


POOLS = """
import ctypes, sys, threading
from videostore.base.system import share_memory
if sys.argv[1] == "shared":
    share_memory()
together = threading.Barrier(4)
def work():
    block = b"x" * 100_000
    together.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
stdout = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stdout)
libc.fflush(stdout)
"""
"""Lets threads allocate and lists the pools of glibc's malloc, in a separate process, since the setting stays."""


@linux_only
def test_threads_allocate_from_one_pool_when_memory_is_shared() -> None:
    def pools(mode: str) -> int:
        done = subprocess.run([sys.executable, "-c", POOLS, mode], capture_output=True, check=True)
        return done.stdout.count(b"<heap nr=")

    assert pools("shared") == 1 < pools("apart")


@linux_only
def test_free_memory_is_returned_to_the_system() -> None:
    blocks = [b"%d" % n * 50_000 for n in range(10, 1010)]
    last = blocks[-1]
    full = psutil.Process().memory_info().rss
    del blocks
    return_memory()
    assert psutil.Process().memory_info().rss < full - 60_000_000
    assert last


def test_a_file_is_renamed_in_one_step_unless_the_name_exists(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    target.write_text("old")
    if not system.LINUX:
        assert not system.rename_exclusively(source, target)
        return
    with pytest.raises(FileExistsError):
        system.rename_exclusively(source, target)
    assert (source.read_text(), target.read_text()) == ("new", "old")
    target.unlink()
    assert system.rename_exclusively(source, target) and target.read_text() == "new"
    with pytest.raises(FileNotFoundError):
        system.rename_exclusively(source, target)


@linux_only
def test_a_process_with_a_secret_leaves_no_core_dump() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        forbid_core_dump(process.pid)
        assert psutil.Process(process.pid).rlimit(psutil.RLIMIT_CORE)[0] == 0
        process.kill()
    forbid_core_dump(process.pid)


@pytest.mark.skipif(
    not LINUX or "THP_enabled" not in Path("/proc/self/status").read_text(), reason="the system does not tell it"
)
def test_a_process_and_those_that_it_starts_have_small_pages_alone() -> None:
    program = """
import subprocess
from videostore.base import system

system.avoid_huge_pages()
subprocess.run(["grep", "THP_enabled", "/proc/self/status"], check=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["THP_enabled:", "0"]


def test_a_busy_thread_gives_way_to_the_event_loop_within_a_millisecond() -> None:
    program = (
        "import sys; from videostore.base import system; system.favour_event_loop(); print(sys.getswitchinterval())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) <= 0.001 < sys.getswitchinterval()


@linux_only
def test_the_file_system_of_a_directory_is_that_of_the_mount_that_holds_it(tmp_path: Path) -> None:
    known = {one.mountpoint: one.fstype for one in psutil.disk_partitions(all=True)}
    for directory in ("/proc", "/dev", str(tmp_path)):
        mounted = next(one for one in map(str, (Path(directory), *Path(directory).parents)) if one in known)
        assert file_system(Path(directory)) == known[mounted]
    assert file_system(Path("/proc/self")) == "proc"


@pytest.mark.skipif(not LINUX, reason="only Linux can keep a process to some processors")
def test_processors_are_those_that_this_process_may_use() -> None:
    code = "import os; from videostore.base.system import processors; print(processors(), end=' '); "
    code += "os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1]); print(processors())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert told == [str(len(os.sched_getaffinity(0))), "1"]
