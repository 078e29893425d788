from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.program import Program, exact
from tests.support.recording import US
from videostore.cli.time_options import format_time
from videostore.storage.directory_lock import DirectoryLock
from videostore.storage.notes import FILE_NAME


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
    assert program("unmark", "1", "--release", "--storage", copied).code == 0
    assert program("unmark", "1", "--storage", copied).code == 0
    again = program("unmark", "1", "--storage", copied)
    assert again.code == 2 and "there is no event with this number" in again.sentence
    assert program("events", "--storage", copied).out == "No events.\n"


def test_the_clip_of_an_event_stays_known_when_its_footage_is_no_longer_kept(program: Program, copied: Path) -> None:
    event = {"id": 7, "at_us": 2, "from_us": 1, "to_us": 3, "label": "door", "keep": True, "file_name": "clip.mp4"}
    (copied / FILE_NAME).write_text(json.dumps({"version": 1, "next_id": 8, "gaps": [], "events": [event]}))
    assert program("unmark", "7", "--release", "--storage", copied).code == 0
    [event] = json.loads(program("events", "--storage", copied, "--json").out)
    assert (event["id"], event["keep"], event["saved"]) == (7, False, "clip.mp4")


def test_the_events_of_a_recorder_are_its_own(program: Program, copied: Path, times: list[int]) -> None:
    lock = DirectoryLock(copied)
    try:
        for arguments in (["mark", exact(times[5]), "door"], ["unmark", "1"]):
            done = program(*arguments, "--storage", copied)
            assert done.code == 2 and "is being recorded to, and its events are its recorder's" in done.sentence
    finally:
        lock.release()
    assert program("events", "--storage", copied).code == 0
