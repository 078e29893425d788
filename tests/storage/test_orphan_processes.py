from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from videostore.recording.segmenter import output_pattern
from videostore.storage.orphan_processes import find_orphans

RUN_US = 1_725_000_000_123_457
_IDLE = "import sys; print(flush=True); sys.stdin.read()"
Start = Callable[..., int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes with given arguments, which do nothing until the test ends."""
    with ExitStack() as stack:

        def start_one(*arguments: str | Path) -> int:
            command = [sys.executable, "-c", _IDLE, *map(str, arguments)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(process)  # closes its input and waits for it
            assert process.stdout is not None
            process.stdout.readline()
            return process.pid

        yield start_one


def pids(directory: Path, *runs_us: int) -> dict[int, int]:
    return {run_us: process.pid for run_us, process in find_orphans(directory, runs_us).items()}


def test_an_ffmpeg_is_found_by_the_segments_in_its_command_line(start: Start, tmp_path: Path) -> None:
    first = start("-f", "segment", output_pattern(tmp_path, RUN_US))
    second = start(output_pattern(tmp_path, RUN_US + 1), "-y")
    assert pids(tmp_path, RUN_US, RUN_US + 1, RUN_US + 2) == {RUN_US: first, RUN_US + 1: second}
    assert pids(tmp_path, RUN_US + 1) == {RUN_US + 1: second}


def test_processes_of_other_directories_and_other_runs_are_not_orphans(start: Start, tmp_path: Path) -> None:
    pattern = output_pattern(tmp_path, RUN_US)
    start(output_pattern(tmp_path / "other", RUN_US))
    start(output_pattern(tmp_path, RUN_US + 1))
    start(pattern + "x")
    start(f"tail -f {pattern}")  # the pattern is only part of an argument
    start(tmp_path / f"{RUN_US}-000000.open")  # a process that reads the segment
    start(tmp_path)
    assert pids(tmp_path, RUN_US) == {}


def test_a_directory_with_percent_signs_and_spaces_is_recognized(start: Start, tmp_path: Path) -> None:
    directory = tmp_path / "50 %d %% 'x'"
    pid = start(output_pattern(directory, RUN_US))
    assert pids(directory, RUN_US) == {RUN_US: pid}


def test_a_directory_is_recognized_by_every_path_that_leads_to_it(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "50 % of it").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "50 % of it")
    monkeypatch.chdir(tmp_path)
    paths = [tmp_path / "50 % of it", tmp_path / "link", Path("50 % of it"), Path("link")]
    started = {RUN_US + n: start(output_pattern(path, RUN_US + n)) for n, path in enumerate(paths)}
    monkeypatch.chdir("/")
    for path in paths:
        assert pids(tmp_path / path, *started) == started


def test_a_process_that_has_ended_is_not_an_orphan(tmp_path: Path) -> None:
    """Not even as a zombie, whose parent has not waited for it: it has no command line."""
    process = subprocess.Popen([sys.executable, "-c", "", output_pattern(tmp_path, RUN_US)])
    psutil.wait_procs([psutil.Process(process.pid)], timeout=0)
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert pids(tmp_path, RUN_US) == {}
    process.wait()


def test_without_runs_no_process_is_examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.process_iter", None)
    assert find_orphans(tmp_path, []) == {}
