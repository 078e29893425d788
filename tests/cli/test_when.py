from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.clip_time_checks import painted_frames
from tests.support.program import Program, exact
from tests.support.recording import START_US, US, capture_times, record, take_over, write_foreign
from videostore.media.clip_times import MOST_STRETCHES, ClipStretch, time_tags
from videostore.media.mp4_tags import write_synopsis
from videostore.store.store import VideoStore

FIRST = capture_times(3, seed=None)
SECOND = capture_times(3, START_US + 90 * US, seed=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with a gap. Tests must not change it."""

    async def build() -> None:
        for times in (FIRST, SECOND):
            await record(directory / "door", times)
        await take_over(directory / "door")
        async with VideoStore.open(directory / "door") as store:
            await store.export(FIRST[4], SECOND[-1], directory / "clip.mp4")

    directory = tmp_path_factory.mktemp("clip")
    asyncio.run(build())
    return directory / "clip.mp4"


def test_it_shows_the_recorder_the_first_frame_and_the_stretches_with_their_gaps(program: Program, clip: Path) -> None:
    done = program("when", clip)
    assert done.code == 0 and not done.err
    facts, _, table = done.out.partition("\n\n")
    assert facts.splitlines() == [
        "Recorder     door",
        "First frame  2024-08-30T08:40:00.523457+02:00",
        "UTC          2024-08-30T06:40:00.523457Z",
    ]
    header, first, second = table.splitlines()
    assert header.split() == ["POSITION", "FROM", "TO", "LENGTH", "GAP", "BEFORE"]
    assert first.split()[:2] == ["0:00:00.000000", "2024-08-30T08:40:00.523457+02:00"]
    assert second.split()[1] == "2024-08-30T08:41:30.123457+02:00"
    assert second.rstrip().endswith("1 min 27 s")
    utc = program("when", clip, "--utc").out
    assert "2024-08-30T06:41:30.123457Z" in utc


def test_a_position_is_answered_with_the_capture_time_of_the_frame_shown_there(program: Program, clip: Path) -> None:
    for position_us, captured_us in painted_frames(clip)[::9]:
        # As players show the position of a frame: to the millisecond, without the rest.
        done = program("when", clip, f"{position_us // 1000 / 1000:.3f}", "--json")
        told = json.loads(done.out)
        assert done.code == 0 and told["clip"] == str(clip)
        assert abs(told["position"] * US - position_us) <= 1
        if told["precision_seconds"] == 0:
            assert told["captured"] == exact(captured_us)


def test_both_times_of_a_position_are_shown_and_how_exact_they_are(program: Program, clip: Path) -> None:
    assert program("when", clip, "0:00:00").out.splitlines() == [
        "Frame      shown from 0:00:00.000000",
        "Captured   2024-08-30T08:40:00.523457+02:00",
        "UTC        2024-08-30T06:40:00.523457Z",
        "Precision  exact to the microsecond",
    ]
    assert program("when", clip, "1.5").out.splitlines()[-1] == "Precision  12 µs"


def test_json_has_all_of_it_for_programs(program: Program, clip: Path) -> None:
    told = json.loads(program("when", clip, "--json").out)
    stretches = told.pop("stretches")
    assert told == {"clip": str(clip), "recorder": "door", "first": exact(FIRST[4]), "unlisted": 0}
    assert [(one["from"], one["exact"]) for one in stretches] == [(exact(FIRST[4]), True), (exact(SECOND[0]), True)]
    assert stretches[1]["position"] == stretches[0]["seconds"]


def test_what_cannot_be_answered_is_one_sentence(program: Program, clip: Path, tmp_path: Path) -> None:
    asyncio.run(write_foreign(tmp_path / "foreign.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    for arguments, sentence in {
        (clip, "3600"): "POSITION is 3600 s, but the clip lasts ",
        (clip, "-1:02"): "POSITION is -62 s. It must not be before the start of the clip.",
        (clip, "soon"): "POSITION is 'soon'. It must be seconds, or a time such as 1:02.5 or 0:01:02.500.",
        (tmp_path / "foreign.mp4",): f"The clip {tmp_path}/foreign.mp4 does not tell when it was captured: ",
        (tmp_path / "text.mp4", "1"): f"The clip {tmp_path}/text.mp4 cannot be read: it is no MP4, or ",
        (tmp_path / "none.mp4",): f"The clip {tmp_path}/none.mp4 cannot be read: No such file or directory.",
    }.items():
        done = program("when", *arguments)
        assert (done.code, done.out) == (2, "") and done.sentence.startswith(sentence), done.err


def test_a_segment_is_called_a_segment_and_its_time_is_told(program: Program, recording: Path) -> None:
    segment = min(recording.glob("*.mp4"))
    for arguments in ([segment], [segment, "1"]):
        done = program("when", *arguments, "--utc")
        assert (done.code, done.out) == (2, "")
        told = f"{segment} is a segment of a recording, captured from 2024-08-30T06:40:00.123Z to 2024-08-30T06:40:0"
        assert done.sentence.startswith(told) and "export that range" in done.sentence


@pytest.mark.parametrize("columns", [30, 40, 80, 120])
def test_no_time_is_cut_or_left_out_where_the_terminal_is_narrow(program: Program, clip: Path, columns: int) -> None:
    _, drawn = program.on_terminal("when", clip, columns=columns)
    whole = "".join(drawn.split()) if columns == 30 else drawn  # a time to the microsecond has 32 characters
    for time in (
        "08:40:00.523457+02:00",
        "08:41:30.123457+02:00",
        "1 min 27 s".replace(" ", "" if columns == 30 else " "),
    ):
        assert time in whole
    assert "…" not in drawn and "GAP BEFORE" in drawn


def test_the_first_stretches_of_many_are_shown_and_what_is_not_known_is_said(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "many.mp4"
    asyncio.run(write_foreign(path, seconds=3))
    listed = [ClipStretch(n * 20, START_US + n * US, START_US + n * US + 20) for n in range(MOST_STRETCHES)]
    back = ClipStretch(MOST_STRETCHES * 20, START_US, START_US + 20)
    tags = time_tags("", [*listed, back])
    write_synopsis(path, tags["synopsis"])
    dated = tmp_path / "dated.mp4"
    asyncio.run(_with_date(path, dated, tags["date"]))
    done = program("when", dated)
    assert done.code == 0 and not done.err, done.err
    assert done.out.splitlines()[-2:] == [
        f"{MOST_STRETCHES - 100} more are shown with --all.",
        "The clip does not tell the times of 1 more: they are too many to be listed.",
    ]
    assert done.out.startswith("Recorder     not told\n")
    done = program("when", dated, "2.5")
    assert done.code == 2 and "too many gaps to list" in done.sentence


async def _with_date(source: Path, target: Path, date: str) -> None:
    from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg

    tag = ["-metadata", f"date={date}"]
    await run_ffmpeg([find_ffmpeg(), "-v", "error", "-i", str(source), "-c", "copy", *tag, str(target)])
