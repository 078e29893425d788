from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.support.recording import SMALL, capture_times, record, take_over
from videostore.cli.recorded import report_recording
from videostore.cli.time_options import format_time


async def test_gaps_in_what_was_recorded_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, began_us = tmp_path / "door", time.time_ns() // 1000
    directory.mkdir()
    first = capture_times(2, began_us + 1000)
    second = capture_times(3, began_us + 8 * 1_000_000)
    for times in (first, second):
        await record(directory, times, size=SMALL, segment_seconds=1)
    await take_over(directory)
    monkeypatch.setenv("COLUMNS", "200")
    assert await report_recording(directory, began_us, "") == 3
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert re.fullmatch(r"Recorded \d\.\d s in 2 ranges into .*door", lines[0])
    assert [line.split()[0] for line in lines[1:]] == ["holds", "holds"]
    assert f"holds  {format_time(first[0])} to " in lines[1] and f"holds  {format_time(second[0])} to " in lines[2]
    assert re.fullmatch(
        r"videostore: \d\.\d s are missing between these ranges\. `videostore state --all` shows all ranges\.\n", err
    )


async def test_what_is_left_open_counts_as_recorded_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, began_us = tmp_path / "door", time.time_ns() // 1000
    await record(directory, capture_times(2, began_us + 1000), size=SMALL, segment_seconds=10)
    (path,) = directory.glob("*.open")
    assert await report_recording(directory, began_us, "the disk is gone") == 0
    out, err = capsys.readouterr()
    assert re.match(r"Recorded (?:1\.9|2\.0) s into ", out)
    assert err == f"videostore: {path.name} could not be closed. The next recorder in this directory closes it.\n"


async def test_without_a_segment_the_reason_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await report_recording(tmp_path, 0, "the disk is full.") == 1
    assert capsys.readouterr() == ("", "videostore: Nothing was recorded: the disk is full.\n")
