"""Events of a recording at rest are noted where its recorder will find them."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US, US, capture_times, record, take_over
from videostore.base.errors import VideoStoreError
from videostore.storage import notes
from videostore.storage.directory_lock import DirectoryLock
from videostore.storage.notes import Event, Notes
from videostore.store import marking
from videostore.store.marking import make_event
from videostore.store.resting_events import mark_at_rest, unmark_at_rest


def event(*, keep: bool = False) -> Event:
    return make_event(START_US, "door", 1, 2, keep=keep)


async def noted(directory: Path) -> tuple[Event, ...]:
    notes = Notes(directory, LOGGER, read_only=True)
    await notes.load()
    return notes.events


async def test_a_moment_is_marked_and_forgotten(tmp_path: Path) -> None:
    marked = await mark_at_rest(tmp_path, event())
    assert await noted(tmp_path) == (marked,)
    assert (marked.id, marked.from_us, marked.to_us) == (1, START_US - US, START_US + 2 * US)
    await unmark_at_rest(tmp_path, marked.id, release=True)
    assert await noted(tmp_path) == (marked,)
    await unmark_at_rest(tmp_path, marked.id)
    assert await noted(tmp_path) == ()
    with pytest.raises(VideoStoreError) as failed:
        await unmark_at_rest(tmp_path, marked.id)
    assert failed.value.code == "event-unknown"


async def test_what_is_being_recorded_to_and_what_would_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoStoreError) as failed:
        await mark_at_rest(tmp_path, event(keep=True))
    assert failed.value.code == "mark-needs-machine"
    lock = DirectoryLock(tmp_path)
    for work in (mark_at_rest(tmp_path, event()), unmark_at_rest(tmp_path, 1)):
        with pytest.raises(VideoStoreError) as failed:
            await work
        assert failed.value.code == "mark-while-recording"
    lock.release()
    assert await noted(tmp_path) == ()


async def test_a_moment_before_all_footage_is_refused(tmp_path: Path, recording: Path) -> None:
    directory = Path(shutil.copytree(recording, tmp_path / "at_rest"))
    with pytest.raises(VideoStoreError) as failed:
        await mark_at_rest(directory, make_event(START_US // US, "seconds", 0, 0, keep=False))
    assert failed.value.code == "mark-before-recording"
    assert await noted(directory) == ()
    assert (await mark_at_rest(directory, event())).id == 1


async def test_a_directory_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.json.new").mkdir()
    with pytest.raises(VideoStoreError) as failed:
        await mark_at_rest(tmp_path, event())
    assert failed.value.code == "event-not-noted"
    (tmp_path / "notes.json.new").rmdir()
    assert (await mark_at_rest(tmp_path, event())).label == "door"  # it is not locked any more


async def test_an_event_for_which_there_is_no_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (notes, marking):
        monkeypatch.setattr(module, "MOST_EVENTS", 2)
    kept = Notes(tmp_path, LOGGER, read_only=False)
    for _ in range(2):
        await kept.add_event(event(keep=True))
    with pytest.raises(VideoStoreError) as failed:
        await mark_at_rest(tmp_path, event())
    assert failed.value.code == "too-many-events" and await noted(tmp_path) == kept.events


async def test_a_moment_in_the_future_is_refused_unless_it_is_recorded(tmp_path: Path) -> None:
    later_us = time.time_ns() // 1000 + 86_400 * US
    with pytest.raises(VideoStoreError) as failed:
        await mark_at_rest(tmp_path, make_event(later_us, "door", 0, 0, keep=False))
    assert failed.value.code == "moment-in-future"
    await record(tmp_path, capture_times(2, later_us))  # by a clock that was set back
    await take_over(tmp_path)
    assert (await mark_at_rest(tmp_path, make_event(later_us + US, "door", 0, 0, keep=False))).id == 1
