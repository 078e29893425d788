from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import some_combinations
from tests.support.clapping import clapping, record_clapping
from tests.support.program import Program, contents, exact, read_time
from tests.support.recording import START_US, US, Feed, Stores, capture_times, record, take_over
from videostore.base.ranges import Range
from videostore.base.time_format import up_to_millisecond
from videostore.cli.state import FoundState
from videostore.cli.time_options import format_time, now_us
from videostore.storage.directory_lock import DirectoryLock
from videostore.store.results import StorageState


def test_state_shows_ranges_sums_and_the_age_of_the_newest_frame(
    program: Program, recording: Path, times: list[int], unchanged: None
) -> None:
    done = program("state", "--storage", recording)
    assert done.code == 0 and not done.err
    facts, _, table = done.out.partition("\n\n")
    assert facts.splitlines()[0].split() == ["Storage", str(recording)]
    newest = r"the newest frame is \d+ d( \d\d h)? old \(2024-08-30T08:40:07\+02:00\)"
    assert re.search(f"Recording  no, {newest}: no recorder is running here\n", facts)
    assert re.search(r"Stored +7\.0 s in 1 range\nUsed +[\d.]+ KiB\nFree +[\d.]+ [GT]iB on the device", facts)
    header, line = table.splitlines()
    assert header.split() == ["FROM", "TO", "LENGTH", "GAP", "BEFORE"]
    start, end, *length = line.split()
    assert start == "2024-08-30T08:40:00.123+02:00" and length == ["7.0", "s"]
    assert times[-1] < read_time(end) < times[-1] + US


@some_combinations(utc=[(), ("--utc",)], columns=[40, 80, 120])
def test_what_state_shows_gives_back_every_frame_when_it_is_copied_into_export(
    program: Program, recording: Path, times: list[int], columns: int, utc: tuple[str, ...]
) -> None:
    code, drawn = program.on_terminal("state", "--storage", recording, *utc, columns=columns, NO_COLOR="1")
    assert code == 0
    start, end = re.findall(r"2024-08-30T\S+\.\d{3}(?:Z|[+]02:00)", drawn.partition("FROM")[2])
    clip = program.here / "clip.mp4"
    done = program("export", start, end, "--storage", recording, "-o", clip)
    assert done.code == 0 and not done.err
    assert [frame.captured_us for _, frame in read_clip(clip) if frame] == times


def test_gaps_have_lines_of_their_own_where_the_terminal_is_narrow(program: Program, go_storage: Path) -> None:
    arguments = "state", "--storage", go_storage, "--all"
    drawn = {columns: program.on_terminal(*arguments, columns=columns)[1] for columns in (40, 79, 120)}
    assert "GAP BEFORE" in drawn[120] and "GAP BEFORE" not in drawn[79] + drawn[40]
    assert drawn[79].count("a gap of") == drawn[40].count("GAP") == 24
    assert all("1 min 38 s" in text and "…" not in text for text in drawn.values())


def test_state_as_json_has_times_in_utc_bytes_and_seconds(program: Program, recording: Path, times: list[int]) -> None:
    done = program("state", "--json", cwd=recording)
    assert done.code == 0 and not done.err
    state = json.loads(done.out)
    (one,) = state.pop("ranges")
    assert one["from"] == exact(times[0]) and read_time(one["to"]) > times[-1]
    assert one["seconds"] == pytest.approx((read_time(one["to"]) - times[0]) / US)
    assert state.pop("device_free_bytes") > 0 and state.pop("newest_age_seconds") > 3600
    assert state == {
        "storage": str(recording),
        "recording": False,
        "reason": "no recorder is running here",
        "oldest": one["from"],
        "newest": one["to"],
        "stored_seconds": one["seconds"],
        "used_bytes": sum(path.stat().st_size for path in recording.glob("*.mp4")),
        "quota_bytes": None,
        "gaps": [],
        "events": [],
        "damaged": [],
        "replaced": [],
        "sound": False,
    }


def test_state_tells_whether_there_is_sound(program: Program, recording: Path, tmp_path: Path) -> None:
    sounding = tmp_path / "sounding"
    asyncio.run(record_clapping(sounding, clapping(3)))
    for storage, sound in ((recording, False), (sounding, True)):
        facts = program("state", "--storage", storage).out.partition("\n\n")[0]
        assert bool(re.search(r"^Sound +yes$", facts, re.MULTILINE)) is sound
        assert json.loads(program("state", "--storage", storage, "--json").out)["sound"] is sound


def test_state_shows_the_last_ranges_of_many_and_the_gaps_between_them(
    program: Program, go_storage: Path, go_start_s: int
) -> None:
    before = contents(go_storage)
    done = program("state", "--storage", go_storage, "--utc")
    lines = done.out.partition("\n\n")[2].splitlines()
    assert lines[0] == "5 earlier ranges, from 2023-11-14T22:13:20.000Z on, are shown with --all."
    assert len(lines) == 22
    # The first line has its gap too, although the range before the gap is not shown.
    assert all(line.endswith("2.0 s   1 min 38 s") for line in lines[2:])
    whole = program("state", "--storage", go_storage, "--utc", "--all").out.partition("\n\n")[2].splitlines()
    assert len(whole) == 26 and whole[1].split() == ["2023-11-14T22:13:20.000Z", "2023-11-14T22:13:22.000Z", "2.0", "s"]
    since = format_time((go_start_s + 2301) * US)
    found = json.loads(program("state", "--storage", go_storage, "--json", "--since", since).out)
    assert [read_time(one["from"]) // US - go_start_s for one in found["ranges"]] == [2300, 2400]
    assert [one["seconds"] for one in found["gaps"]] == [98]
    late = format_time((go_start_s + 2403) * US)
    done = program("state", "--storage", go_storage, "--utc", "--since", late)
    assert done.code == 0 and done.out.endswith("\n\nNothing was recorded since 2023-11-14T22:53:23.000Z.\n")
    assert contents(go_storage) == before


def test_state_names_each_segment_that_is_no_file_any_more_and_what_it_is(
    program: Program, go_storage: Path, tmp_path: Path
) -> None:
    """Its range is not stored, and export and snapshot say why."""
    go_storage = shutil.copytree(go_storage, tmp_path / "yard")
    asyncio.run(take_over(go_storage))
    pipe, directory = sorted(go_storage.glob("*.mp4"))[3:5]
    for path in (pipe, directory):
        path.unlink()
    os.mkfifo(pipe)
    directory.mkdir()
    (go_storage / "2020-01-01_00-00-00Z.mp4").symlink_to("/dev/zero")  # the index does not know it
    done = program("state", "--storage", go_storage, "--utc", "--all")
    assert done.code == 0 and "in 23 ranges\n" in done.out
    told = [line.partition(": the video that was recorded under this name") for line in done.out.splitlines()[-3:]]
    assert [(what, when) for what, _, when in told] == [
        ("2020-01-01_00-00-00Z.mp4 is a symbolic link, not a file", " is not there."),
        (
            f"{pipe.name} is a pipe, not a file",
            ", from 2023-11-14T22:18:20.000Z to 2023-11-14T22:18:22.000Z, is not there.",
        ),
        (
            f"{directory.name} is a directory, not a file",
            ", from 2023-11-14T22:20:00.000Z to 2023-11-14T22:20:02.000Z, is not there.",
        ),
    ]
    found = json.loads(program("state", "--storage", go_storage, "--json").out)
    assert [(one["file"], one["kind"]) for one in found["replaced"]] == [
        ("2020-01-01_00-00-00Z.mp4", "a symbolic link"),
        (pipe.name, "a pipe"),
        (directory.name, "a directory"),
    ]
    assert found["replaced"][1]["stored"]["seconds"] == 2 and found["replaced"][0]["stored"] is None
    (gap,) = [one for one in found["gaps"] if one["reason"]]
    assert gap["reason"] == f"{pipe.name} is a pipe, not a file"
    clip = program.here / "clip.mp4"
    done = program("export", "2023-11-14T22:16:40Z", "2023-11-14T22:21:42Z", "--storage", go_storage, "-o", clip)
    assert done.code == 3 and f"({pipe.name} is a pipe, not a file)" in done.err
    done = program("snapshot", "2023-11-14T22:18:21Z", "--storage", go_storage, "-o", program.here / "one.jpg")
    assert done.code == 2 and f": {pipe.name} is a pipe, not a file." in done.err


def test_state_of_an_empty_directory_says_that_nothing_is_stored(program: Program, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "index.sqlite.db").touch()  # a recorder was here
    done = program("state", "--storage", empty)
    assert done.code == 0 and re.search(r"^Stored +nothing yet$", done.out, re.MULTILINE)
    assert json.loads(program("state", "--json", "--storage", empty).out)["ranges"] == []
    assert os.listdir(empty) == ["index.sqlite.db"]


@pytest.mark.parametrize("command", ["state", "verify", "verify --repair", "export -5m now", "play -5m now"])
def test_a_folder_that_is_no_storage_directory_is_refused(program: Program, tmp_path: Path, command: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "holiday.jpg").touch()
    done = program(*command.split(), "--storage", folder, VIDEOSTORE_FFPLAY="true", DISPLAY=":0")
    assert (done.code, done.out) == (2, "")
    assert done.sentence == f"There is no recording in {folder}. Name a storage directory."
    assert os.listdir(folder) == ["holiday.jpg"]


def test_a_frame_in_the_future_which_a_clock_that_was_set_back_leaves_is_new() -> None:
    ahead = Range(now_us(), now_us() + 3600 * US)
    state = StorageState((ahead,), storage_path=Path("/data/door"), used_bytes=0, limit_bytes=None, device_free_bytes=0)
    found = FoundState("/data/door", state, recording=None)
    assert found.newest_us == ahead.to_us and found.newest_age_us == 0
    assert found.ranges(ahead.to_us - 1) == [ahead] and found.ranges(ahead.to_us) == []


def test_state_tells_why_there_are_gaps(program: Program, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    first, second = capture_times(2), capture_times(2, START_US + 600 * US)
    for times in (first, second):
        asyncio.run(record(storage, times))
    asyncio.run(take_over(storage))
    gap = {"from_us": first[-1] + 1000, "to_us": second[0], "reason": "the camera was off"}
    (storage / "notes.json").write_text(json.dumps({"version": 1, "next_id": 1, "gaps": [gap], "events": []}))
    done = program("state", "--storage", storage, "--utc")
    assert done.out.endswith(
        f"\n\nNothing was recorded from {format_time(first[-1] + 1000, utc=True)} to "
        f"{format_time(up_to_millisecond(second[0]), utc=True)}: the camera was off.\n"
    )
    assert [one["reason"] for one in json.loads(program("state", "--storage", storage, "--json").out)["gaps"]] == [
        "the camera was off"
    ]


def test_state_tells_what_was_marked(program: Program, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    times = capture_times(2)
    asyncio.run(record(storage, times))
    asyncio.run(take_over(storage))
    event = {"id": 4, "at_us": times[3], "from_us": times[0], "to_us": times[9], "label": "door opened"}
    events = [event | {"keep": True, "file_name": "door_1.mp4"}, event | {"id": 5, "keep": False, "file_name": None}]
    (storage / "notes.json").write_text(json.dumps({"version": 1, "next_id": 6, "gaps": [], "events": events}))
    lines = program("state", "--storage", storage, "--utc").out.splitlines()
    at = format_time(times[3], utc=True)
    assert lines[-2:] == [
        f"Marked at {at}: door opened (kept, to be saved as door_1.mp4; what became of that is not known).",
        f"Marked at {at}: door opened.",
    ]
    found = json.loads(program("state", "--storage", storage, "--json").out)["events"]
    assert [(one["id"], one["at"], one["label"], one["keep"], one["saved"]) for one in found] == [
        (4, exact(times[3]), "door opened", True, "door_1.mp4"),
        (5, exact(times[3]), "door opened", False, None),
    ]


def test_state_tells_why_nothing_was_recorded_before_the_recorder_ended(program: Program, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    times = capture_times(2)
    asyncio.run(record(storage, times))
    asyncio.run(take_over(storage))
    gap = {"from_us": times[-1] + 50_000, "to_us": times[-1] + 60 * US, "reason": "the camera refuses the connection"}
    (storage / "notes.json").write_text(json.dumps({"version": 1, "next_id": 1, "gaps": [gap], "events": []}))
    found = json.loads(program("state", "--storage", storage, "--json").out)
    assert found["reason"] == "no recorder is running here; before it ended: the camera refuses the connection"


def test_state_of_a_recording_that_was_ended_says_no_more_than_that_none_runs(program: Program, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    times = capture_times(2)
    asyncio.run(record(storage, times))
    asyncio.run(take_over(storage))
    gap = {"from_us": times[-1] + 50_000, "to_us": times[-1] + US, "reason": "the recorder was stopped"}
    (storage / "notes.json").write_text(json.dumps({"version": 1, "next_id": 1, "gaps": [gap], "events": []}))
    found = json.loads(program("state", "--storage", storage, "--json").out)
    assert found["reason"] == "no recorder is running here"


async def test_state_tells_what_the_recorder_of_the_directory_says(
    stores: Stores, program: Program, tmp_path: Path
) -> None:
    store = await stores.open(Feed())
    health = store.health().recorder
    assert health is not None and health.reason
    found = json.loads((await program.run_in_thread("state", "--storage", stores.storage, "--json")).out)
    assert (found["recording"], found["reason"]) == (False, health.reason.rstrip("."))
    lock = DirectoryLock(tmp_path / "held")
    try:
        (tmp_path / "held" / "index.sqlite.db").touch()
        found = json.loads((await program.run_in_thread("state", "--storage", tmp_path / "held", "--json")).out)
        assert found["recording"] is False and found["reason"].startswith("its recorder does not answer here")
    finally:
        lock.release()


def test_a_beginning_in_the_future_is_refused_unless_a_clock_that_was_set_back_left_something_there(
    program: Program, recording: Path, tmp_path: Path
) -> None:
    for shape in ([], ["--json"]):
        done = program("state", "--since", "2100-01-01T00:00:00Z", "--storage", recording, "--utc", *shape)
        assert (done.code, done.out) == (2, "")
        assert done.sentence.startswith("--since is in the future: 2100-01-01T00:00:00.000Z. This machine's clock says")
    later_us = now_us() + 86_400 * US
    asyncio.run(record(tmp_path / "later", capture_times(2, later_us)))
    asyncio.run(take_over(tmp_path / "later"))
    where = ("--storage", tmp_path / "later", "--json")
    assert len(json.loads(program("state", "--since", exact(later_us), *where).out)["ranges"]) == 1
    assert program("state", "--since", exact(later_us + 60 * US), *where).code == 2
