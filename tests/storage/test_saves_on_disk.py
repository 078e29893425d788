"""What became of saves is read from the index, while another process writes to it and when none does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

import pytest

from tests.support.recording import LOGGER
from videostore.storage.index import FILE_NAME, Index
from videostore.storage.save_record import SaveJob, SaveOutcome, SaveStatus
from videostore.storage.saves_on_disk import SavesOnDisk

PENDING = SaveJob("one.mp4", ".", 1, 2, "", 3)
FAILED = SaveJob("one.mp4", ".", 1, 2, "", 3, SaveStatus.FAILED, "The disk is full.")


async def test_what_becomes_of_a_save_is_read_while_its_recorder_goes_on_and_when_it_has_ended(tmp_path: Path) -> None:
    index = await Index.open(tmp_path, LOGGER)
    saves = SavesOnDisk(tmp_path)
    async with contextlib.AsyncExitStack() as owned:
        owned.push_async_callback(index.close)
        assert await saves.outcomes({"one.mp4"}) == {}
        await index.put_save(PENDING)
        assert await saves.outcomes({"one.mp4", "other.mp4"}) == {"one.mp4": SaveOutcome(SaveStatus.PENDING)}
        await index.put_save(FAILED)
        assert await saves.outcomes({"one.mp4"}) == {"one.mp4": SaveOutcome(SaveStatus.FAILED, FAILED.reason)}
        assert await saves.outcomes({"other.mp4"}) == {}
    names = sorted(one.name for one in tmp_path.iterdir())
    assert await SavesOnDisk(tmp_path).outcomes({"one.mp4"}) == {
        "one.mp4": SaveOutcome(SaveStatus.FAILED, FAILED.reason)
    }
    assert sorted(one.name for one in tmp_path.iterdir()) == names  # a reader makes no file


@pytest.mark.parametrize("content", [b"", b"no index" * 1000])
async def test_an_index_that_cannot_be_read_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert await SavesOnDisk(tmp_path).outcomes({"one.mp4"}) is None
    assert await SavesOnDisk(tmp_path / "absent").outcomes({"one.mp4"}) is None


async def test_a_named_pipe_in_the_place_of_the_index_keeps_no_reader_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE_NAME)
    assert await asyncio.wait_for(SavesOnDisk(tmp_path).outcomes({"one.mp4"}), 60) is None


@pytest.mark.parametrize("left", ["*-shm", "nothing"])
async def test_what_a_process_that_crashed_has_left_is_read_and_stays_as_it_is(tmp_path: Path, left: str) -> None:
    running, crashed = tmp_path / "running", tmp_path / "crashed"
    running.mkdir()
    index = await Index.open(running, LOGGER)
    async with contextlib.AsyncExitStack() as owned:
        owned.push_async_callback(index.close)
        await index.put_save(PENDING)
        shutil.copytree(running, crashed, ignore=shutil.ignore_patterns(left))
    before = sorted((one.name, one.read_bytes(), one.stat().st_mtime_ns) for one in crashed.iterdir())
    assert len(before) == (2 if left == "*-shm" else 3)
    assert await SavesOnDisk(crashed).outcomes({"one.mp4"}) == {"one.mp4": SaveOutcome(SaveStatus.PENDING)}
    assert sorted((one.name, one.read_bytes(), one.stat().st_mtime_ns) for one in crashed.iterdir()) == before
