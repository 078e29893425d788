from __future__ import annotations

import asyncio
import io
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.child_processes import running_children
from tests.support.recording import until
from videostore.media.segment import probe
from videostore.storage.reading_processes import ReadingProcesses, serve


@pytest.fixture
def directory(recording: Path, tmp_path: Path) -> Path:
    """A recording with a file that cannot be read, and one whose name is no text."""
    copy = tmp_path / "storage"
    shutil.copytree(recording, copy)
    (copy / "1600000000.mp4").write_bytes(b"garbage")
    (copy / os.fsdecode(b"\xff.mp4")).write_bytes(b"garbage")
    return copy


@pytest.fixture
def processes(directory: Path) -> Iterator[ReadingProcesses]:
    made = ReadingProcesses(directory)
    yield made
    made.close()


def children() -> list[psutil.Process]:
    return running_children(word="reading-child")


async def test_they_read_what_one_process_would(directory: Path, processes: ReadingProcesses) -> None:
    names = sorted(path.name for path in directory.iterdir())
    whole = [path.name for path in directory.glob("1*.mp4") if path.stat().st_size > 1000]
    for asked in (names, names[:1], []):
        found = processes.read(asked)
        assert {name: found[name] for name in found if name in whole} == {
            name: probe(directory / name) for name in whole if name in asked
        }
        assert "1600000000.mp4" not in found
    running = children()
    assert running and all(one.cwd() == "/" for one in running)
    processes.close()
    assert not children()


async def test_if_one_dies_all_end_and_nothing_is_found(directory: Path, processes: ReadingProcesses) -> None:
    names = [path.name for path in directory.iterdir()]
    children()[-1].kill()
    await until(lambda: any(one.status() == psutil.STATUS_ZOMBIE for one in psutil.Process().children()))
    assert processes.read(names) == {} and not children()
    assert processes.read(names) == {}


async def test_if_one_does_not_answer_in_time_all_end_and_nothing_is_found(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.storage.reading_processes._PATIENCE_PER_FILE_S", 0)
    stuck = ReadingProcesses(directory, patience_s=0.2)
    names = [path.name for path in directory.iterdir()]
    children()[-1].suspend()
    # More names than a pipe takes: writing them has the same limit.
    assert await asyncio.to_thread(stuck.read, names * 5000) == {} and not children()
    assert stuck.read(names) == {}


def test_one_answers_each_line_until_they_end(directory: Path) -> None:
    (good, *_) = (path.name for path in directory.glob("17*.mp4"))
    line = json.dumps([str(directory), good, "missing.mp4"]).encode() + b"\n"
    answers = io.BytesIO()
    serve(io.BytesIO(line * 2), answers)
    one = pickle.dumps([probe(directory / good), None], pickle.HIGHEST_PROTOCOL)
    assert answers.getvalue() == (len(one).to_bytes(4, "big") + one) * 2
