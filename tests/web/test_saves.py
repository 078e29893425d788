"""Saves in the background."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US, US
from videostore.base.errors import RequestError, UnknownSaveError
from videostore.base.ranges import Range
from videostore.storage.save_record import SaveStatus
from videostore.store.store import VideoStore
from videostore.web import saves as module
from videostore.web.saves import WebSaves


@pytest.fixture
async def saves(recording: Path, tmp_path: Path) -> AsyncIterator[WebSaves]:
    async with VideoStore.open(recording, upload_path=tmp_path / "clips", logger=LOGGER) as store:
        saves = WebSaves(store, LOGGER)
        yield saves
        await saves.close()


async def test_a_save_has_its_name_at_once_and_its_outcome_later(saves: WebSaves, tmp_path: Path) -> None:
    begun = await saves.start(Range(START_US, START_US + 2 * US), "", [])
    (task,) = saves._tasks
    assert begun.status is SaveStatus.PENDING
    await task
    assert (await saves.status(begun.file_name))["state"] == "done"
    assert [path.name for path in (tmp_path / "clips").iterdir()] == [begun.file_name]
    with pytest.raises(UnknownSaveError):
        await saves.status("other.mp4")


async def test_a_save_that_fails_later_says_why(saves: WebSaves, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "clips", ignore_errors=True)
    (tmp_path / "clips").write_bytes(b"")  # no directory can be there
    with pytest.raises(Exception, match="clips"):
        begun = await saves.start(Range(START_US, START_US + 2 * US), "", [])
        await next(iter(saves._tasks))
        raise ValueError((await saves.status(begun.file_name))["message"])


async def test_what_is_wrong_is_told_before_the_end_of_the_range_is_waited_for(
    saves: WebSaves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saves, "_wait_until_covered", pytest.fail)
    for metadata, tags in (("x" * 20_000, []), ("", ["../x"])):
        with pytest.raises(RequestError):
            await saves.start(Range(START_US, START_US + US), metadata, tags)


async def test_few_saves_are_made_at_a_time(saves: WebSaves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 0)
    with pytest.raises(RequestError, match="0 saves are pending"):
        await saves.start(Range(START_US, START_US + US), "", [])
