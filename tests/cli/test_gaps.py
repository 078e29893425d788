from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.marked import LOST
from tests.support.recording import START_US, US
from videostore.base.errors import VideoStoreError
from videostore.base.ranges import DamagedRange, Range
from videostore.cli.gaps import ClipContents, gap_lines, gaps_between
from videostore.cli.runtime import DONE, INCOMPLETE
from videostore.cli.time_options import format_time
from videostore.storage.notes import DELETED, RecordingGap
from videostore.store.results import StorageState

ASKED = Range(START_US, START_US + 60 * US)


def test_a_clip_is_complete_unless_the_store_reports_its_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    contents = ClipContents(ASKED)
    contents.update(None)
    assert contents.ranges == (ASKED,) and contents.report_missing(utc=True) == DONE
    contents.update([Range(ASKED.from_us + 999, ASKED.to_us)])  # less than a millisecond
    assert contents.report_missing(utc=True) == DONE
    assert capsys.readouterr().err == ""


def test_the_first_gaps_of_many_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    contents = ClipContents(ASKED)
    contents.update([Range(START_US + second * US, START_US + (second + 1) * US) for second in range(0, 14, 2)])
    assert contents.report_missing(utc=True) == INCOMPLETE
    first = f"{format_time(START_US + US, utc=True)} to {format_time(START_US + 2 * US, utc=True)}"
    message = capsys.readouterr().err
    assert message.startswith(f"videostore: The clip lacks 53 s of 1 min: nothing is stored from {first}, from ")
    assert message.endswith(" and 2 more gaps.\n") and message.count(" to ") == 5


def test_gaps_lie_between_neighbours() -> None:
    first, second, third = Range(0, 1), Range(3, 4), Range(9, 10)
    assert gaps_between([first, second, third]) == [Range(1, 3), Range(4, 9)]
    assert gaps_between([first]) == gaps_between([]) == []


def test_what_came_damaged_is_told_and_the_clip_is_complete_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    contents = ClipContents(ASKED)
    contents.update_damaged([DamagedRange(START_US + s * US, START_US + (s + 1) * US, LOST) for s in range(0, 14, 2)])
    assert contents.report_missing(utc=True) == DONE
    message = capsys.readouterr().err
    last = f"{format_time(START_US + 12 * US, utc=True)} to {format_time(START_US + 13 * US, utc=True)}"
    assert message.startswith("videostore: Pictures may be wrong from ") and last in message
    assert message.endswith(" and 2 more times: packets were lost on the way from the camera.\n")


def test_what_is_left_out_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    contents = ClipContents(ASKED)
    contents.update([Range(START_US + 10 * US, ASKED.to_us)])
    contents.update_damaged([DamagedRange(START_US, START_US + 10 * US, "unreadable")])
    assert contents.report_missing(utc=True) == INCOMPLETE
    assert capsys.readouterr().err.count("videostore: ") == 1


def test_reasons_are_told_with_their_last_times() -> None:
    gaps = [RecordingGap(START_US + n * 10 * US, START_US + (n * 10 + 5) * US, "it is off") for n in range(7)]
    gaps.append(RecordingGap(START_US + 90 * US, START_US + 95 * US, "it is silent"))
    first, second = gap_lines(gaps, utc=True)
    assert first.startswith(f"Nothing was recorded from {format_time(START_US + 20 * US, utc=True)} to ")
    assert first.endswith(" and 2 more times: it is off.") and second.endswith(": it is silent.")


def test_what_the_quota_deleted_is_not_told_as_if_it_had_not_been_recorded() -> None:
    (line,) = gap_lines([RecordingGap(START_US, START_US + 5 * US, DELETED)], utc=True)
    assert line.startswith("Nothing is stored from ") and line.endswith(f": {DELETED}.")


async def test_a_clip_that_lacks_something_says_why(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    gap = RecordingGap(START_US + 10 * US, START_US + 20 * US, "camera 'door' does not answer")

    async def state() -> StorageState:
        return StorageState((), tmp_path, 0, None, 0, gaps=(gap,))

    async def failing() -> StorageState:
        raise VideoStoreError("closed")

    said = []
    for ask in (state, failing):
        contents = ClipContents(ASKED)
        contents.update([Range(ASKED.from_us, gap.from_us), Range(gap.to_us, ASKED.to_us)])
        await contents.explain(ask)
        assert contents.report_missing(utc=True) == INCOMPLETE
        said.append(capsys.readouterr().err)
    assert said[0].replace(" (camera 'door' does not answer)", "") == said[1] != said[0]
