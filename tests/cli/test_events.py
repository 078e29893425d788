from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.program import Program, exact
from tests.support.recording import US, Stores, until
from videostore.base.errors import RequestError
from videostore.cli import events as command
from videostore.cli.events import event_notes
from videostore.cli.time_options import format_time, now_us
from videostore.storage.directory_lock import DirectoryLock
from videostore.storage.index import FILE_NAME as INDEX_NAME
from videostore.storage.notes import FILE_NAME, Event
from videostore.storage.save_record import SaveOutcome, SaveStatus


@pytest.fixture
def copied(recording: Path, tmp_path: Path) -> Path:
    """A recording that may be changed."""
    return Path(shutil.copytree(recording, tmp_path / "front-door"))


def test_a_moment_is_marked_listed_and_forgotten(program: Program, copied: Path, times: list[int]) -> None:
    assert program("events", "--storage", copied).out == "No events.\n"
    done = program(
        *("mark", exact(times[5]), "broken [red]window", "--before", "2s", "--after", "3s"),
        "--storage",
        copied,
        "--utc",
    )
    assert done.code == 0 and not done.err
    assert format_time(times[5], utc=True) in done.out and "event  1" in done.out
    listed = program("events", "--storage", copied, "--utc")
    assert "broken [red]window" in listed.out and format_time(times[5], utc=True) in listed.out
    [event] = json.loads(program("events", "--storage", copied, "--json").out)
    assert (event["id"], event["label"], event["seconds"], event["keep"], event["saved"]) == (
        *(1, "broken [red]window", 5.0),
        *(False, None),
    )
    assert event == json.loads(program("state", "--storage", copied, "--json").out)["events"][0]
    assert json.loads(program("events", "--since", exact(times[5] + 4 * US), "--storage", copied, "--json").out) == []
    assert program("events", "--until", exact(times[5] - 3 * US), "--storage", copied).out == "No events.\n"
    assert "window" in program("events", "--until", exact(times[5]), "--storage", copied).out
    for option in ("--keep", "--save"):
        refused = program("mark", exact(times[5]), "door", option, "--storage", copied)
        assert refused.code == 2 and refused.sentence.startswith(f"{option} is for a recorder that runs, ")
    released = program("unmark", "1", "--release", "--storage", copied)
    assert (released.code, released.out) == (0, "Event 1 is not kept any more.\n")
    assert program("unmark", "1", "--storage", copied).out == "Event 1 is forgotten.\n"
    again = program("unmark", "1", "--storage", copied)
    assert again.code == 2 and again.sentence == "There is no event 1. `videostore events` lists them."
    assert program("events", "--storage", copied).out == "No events.\n"


def test_the_range_of_an_event_may_end_with_its_moment(program: Program, copied: Path, times: list[int]) -> None:
    done = program("mark", exact(times[5]), "door", "--before", "2s", "--after", "0s", "--storage", copied)
    assert done.code == 0, done.err
    [event] = json.loads(program("events", "--storage", copied, "--json").out)
    assert event["seconds"] == 2


def test_a_mark_where_nothing_is_recorded_says_so(program: Program, copied: Path, times: list[int]) -> None:
    late = program("mark", exact(times[-1] + 16 * US), "door", "--storage", copied)
    assert late.code == 0 and late.sentence.startswith("Nothing is recorded in this range. ")
    assert not program("mark", exact(times[-1] + 14 * US), "door", "--storage", copied).err


async def test_a_mark_is_done_though_what_is_recorded_cannot_be_looked_at(
    copied: Path, times: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = command.Mark(times[-1] + 16 * US, "door", 1, 1, keep=False, save=False, metadata=None, tags=())
    never = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(command, "_LOOK_S", 0.1)
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(RequestError("no-recording", path=copied))
    for failing in (never, failed):
        monkeypatch.setattr(command, "_holds_any", lambda *_, outcome=failing: outcome)
        assert await command.mark(copied, asked, utc=True) == 0
    said = capsys.readouterr()
    assert "event  1" in said.out and "event  2" in said.out and not said.err


async def test_the_recorder_saves_with_metadata_and_tags_and_cancels(
    stores: Stores, program: Program, copied: Path, times: list[int]
) -> None:
    store = await stores.over(copied)
    where = ("--storage", stores.storage)
    around = (exact(times[20]), "door", "--before", "1s", "--after", "1s")
    marked = await program.run_in_thread(
        *("mark", *around, "--save", "--metadata", "grey cat", "--tag", "pet", "--tag", "a", *where)
    )
    assert marked.code == 0, marked.err
    [event] = await store.events()
    assert event.file_name is not None and "grey cat" in event.file_name and "door" not in event.file_name
    await until(lambda: store.health().pending_saves == 0)
    assert (stores.upload / "tag=a" / "tag=pet" / event.file_name).exists()
    late = await program.run_in_thread("unmark", event.id, "--cancel-save", *where)
    assert late.out.endswith(f"Its clip {event.file_name} is not cancelled: it has begun or ended.\n")
    waiting = await store.mark("later", before_s=1, after_s=3000, save=True)
    done = await program.run_in_thread("unmark", waiting.id, "--cancel-save", *where)
    assert done.out.endswith("is forgotten.\nNo clip of it will be saved.\n") and store.health().pending_saves == 0
    wrong = await program.run_in_thread("mark", *around, "--save", "--tag", "a/b", *where)
    assert wrong.code == 2 and wrong.sentence.startswith("--tag")
    assert await store.events() == ()


def test_what_is_for_a_clip_needs_one(program: Program, copied: Path) -> None:
    for option, value in (("--tag", "pet"), ("--metadata", "grey")):
        done = program("mark", "now", "door", option, value, "--storage", copied)
        assert done.code == 2
        assert done.sentence == f"{option} is for the clip that --save makes. Add --save, or leave it out."
    done = program("unmark", "1", "--cancel-save", "--storage", copied)
    assert done.code == 2 and done.sentence.startswith("--cancel-save is for a recorder that runs, ")


def test_the_clip_of_an_event_stays_known_when_its_footage_is_no_longer_kept(program: Program, copied: Path) -> None:
    event = {"id": 7, "at_us": 2, "from_us": 1, "to_us": 3, "label": "door", "keep": True, "file_name": "clip.mp4"}
    (copied / FILE_NAME).write_text(json.dumps({"version": 1, "next_id": 8, "gaps": [], "events": [event]}))
    assert program("unmark", "7", "--release", "--storage", copied).code == 0
    [event] = json.loads(program("events", "--storage", copied, "--json").out)
    assert (event["id"], event["keep"], event["saved"]) == (7, False, "clip.mp4")
    forgotten = program("unmark", "7", "--storage", copied)
    assert forgotten.out == "Event 7 is forgotten.\nIts clip clip.mp4 is saved all the same.\n"


def test_a_clip_is_told_to_be_saved_until_its_end_is_recorded() -> None:
    moment = Event(1, now_us(), now_us() - US, now_us() + 20 * US, "door", False, "clip.mp4")
    waiting = SaveOutcome(SaveStatus.PENDING)
    assert event_notes(moment, {"clip.mp4": waiting}) == "to be saved as clip.mp4 when its end is recorded"
    earlier = replace(moment, to_us=now_us() - 20 * US, keep=True)
    for outcome, words in [
        (None, "to be saved as clip.mp4; what became of that is not known"),
        (waiting, "still to be saved as clip.mp4"),
        (replace(waiting, reason="The disk hangs."), "still to be saved as clip.mp4: The disk hangs"),
        (SaveOutcome(SaveStatus.FAILED, "The disk is full."), "not saved as clip.mp4: The disk is full"),
        (SaveOutcome(SaveStatus.CANCELLED), "not saved as clip.mp4: cancelled"),
        (SaveOutcome(SaveStatus.DONE), "saved as clip.mp4"),
    ]:
        assert event_notes(earlier, {"clip.mp4": outcome} if outcome else {}) == f"kept, {words}"


async def test_a_clip_that_was_not_saved_before_its_recorder_ended_is_still_to_be_saved(
    stores: Stores, program: Program, copied: Path, times: list[int]
) -> None:
    store = await stores.over(copied)
    saved = await store.mark("cat", times[20], before_s=1, after_s=1, save=True)
    await until(lambda: store.health().pending_saves == 0)
    await stores.close()
    where = ("--storage", stores.storage)
    listed = await program.run_in_thread("events", *where)
    assert f"saved as {saved.file_name}" in listed.out and "still" not in listed.out
    with contextlib.closing(sqlite3.connect(stores.storage / INDEX_NAME)) as index, index:
        index.execute("UPDATE saves SET status = 'pending'")
    [told] = json.loads((await program.run_in_thread("events", *where, "--json")).out)
    assert (told["saved"], told["save_status"], told["save_reason"]) == (saved.file_name, "pending", "")
    for command_name in ("events", "state"):
        listed = await program.run_in_thread(command_name, *where)
        assert f"still to be saved as {saved.file_name}" in listed.out, listed


def test_the_events_of_a_recorder_are_its_own(program: Program, copied: Path, times: list[int]) -> None:
    lock = DirectoryLock(copied)
    try:
        for arguments in (["mark", exact(times[5]), "door"], ["unmark", "1"]):
            done = program(*arguments, "--storage", copied)
            assert done.code == 2 and "is being recorded to, and its recorder does not answer here" in done.sentence
    finally:
        lock.release()
    assert program("events", "--storage", copied).code == 0


def test_a_range_without_moments_is_refused(program: Program, copied: Path) -> None:
    where = ("--storage", copied)
    done = program("events", "--since", "-1h", "--until", "-2h", *where)
    assert done.code == 2 and re.match(
        r"--since \(\S+\) must be before --until \(\S+\): the range is empty", done.sentence
    )
    same = format_time(now_us() - 60 * US, utc=True)
    assert program("events", "--since", same, "--until", same, *where).code == 2
    done = program("events", "--since", "2100-01-01", *where)
    assert done.code == 2 and done.sentence.startswith("--since is in the future: 2100-01-01T00:00:00.000")
    soon = format_time(now_us() + 600 * US, utc=True)
    assert program("mark", "now", "door", "--after", "1h", *where).code == 0
    assert "door" in program("events", "--since", soon, *where).out


def test_a_moment_in_the_future_is_not_marked(program: Program, copied: Path) -> None:
    done = program("mark", "2100-01-01", "door", "--storage", copied)
    assert done.code == 2 and done.sentence.startswith("AT is in the future: 2100-01-01T00:00:00.000")
    assert program("events", "--storage", copied).out == "No events.\n"


@pytest.mark.parametrize("option", ["--before", "--after"])
def test_a_length_that_is_too_long_is_told_as_it_was_typed(program: Program, copied: Path, option: str) -> None:
    done = program("mark", "now", "door", option, "500h", "--storage", copied)
    assert (done.code, done.sentence) == (2, f"{option} is '500h'. It must be a length of at most 1 h.")
    assert program("mark", "now", "door", option, "1h", "--storage", copied).code == 0
