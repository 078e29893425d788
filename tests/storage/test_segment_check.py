from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.damage import overwrite_file, overwrite_header, segment
from tests.support.recording import capture_times, record, write_foreign
from tests.support.storage import make_old
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import UnknownFileError, UnreadableError, probe
from videostore.storage.findings import Finding, Problem
from videostore.storage.segment_check import (
    compare_with_row,
    is_unreadable,
    open_finding,
    read_content,
    read_errors,
    read_finding,
)


def test_an_intact_segment_has_all_its_frames(storage: Path) -> None:
    path = segment(storage, 0)
    content = read_content(path)
    assert (content.frames, content.loss) == (len(read_fragments(path).times_us), None)
    assert content.segment == probe(path)


def test_a_segment_without_its_end_is_distinguished_from_a_damaged_one(storage: Path) -> None:
    cut_off, damaged = segment(storage, 0), segment(storage, 1)
    os.truncate(cut_off, cut_off.stat().st_size - 100)
    overwrite_header(damaged, 1)
    assert read_content(cut_off).loss is Problem.CUT_OFF
    assert read_content(damaged).loss is Problem.DAMAGED


async def test_the_frames_of_another_programs_file_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "1725634833.mp4"
    await write_foreign(path)
    content = read_content(path)
    assert (content.frames, content.loss, content.segment.run_us) == (None, None, None)


def test_a_file_that_is_not_a_recording_is_neither_read_nor_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "1.mp4"
    path.mkdir()
    with pytest.raises(UnknownFileError):
        read_content(path)
    assert not is_unreadable(path)


def test_an_unreadable_file_is_a_finding_and_a_deleted_one_is_not(storage: Path) -> None:
    overwrite_file(storage)
    path = segment(storage, 1)
    with pytest.raises(UnreadableError) as raised:
        read_content(path)
    assert read_finding(path, raised.value) == Finding(path.name, Problem.UNREADABLE, str(raised.value))
    assert is_unreadable(path)
    make_old(path, minutes=1)
    assert read_finding(path, raised.value) == Finding(path.name, Problem.BEING_WRITTEN, str(raised.value))
    assert not is_unreadable(path)
    path.unlink()
    with pytest.raises(read_errors()) as gone:
        read_content(path)
    assert read_finding(path, gone.value) is None
    assert not is_unreadable(path)


async def test_an_open_segment_is_not_closed_or_unreadable(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(2), segment_seconds=30)
    (path,) = tmp_path.glob("*.open")
    assert open_finding(path) == Finding(path.name, Problem.NOT_CLOSED)
    path.write_bytes(b"\xa5garbage" * 1000)
    make_old(path)
    finding = open_finding(path)
    assert finding is not None and finding.problem is Problem.UNREADABLE and is_unreadable(path)
    path.unlink()
    assert open_finding(path) is None


def test_a_segment_is_compared_with_its_row(storage: Path) -> None:
    ours = probe(segment(storage, 0))
    assert compare_with_row(ours, ours) == []
    assert compare_with_row(ours, None) == [Finding(ours.file_name, Problem.NOT_INDEXED)]
    row = replace(ours, size_bytes=1, start_us=ours.start_us - 1)
    assert compare_with_row(ours, row) == [Finding(ours.file_name, Problem.ROW_DIFFERS, "size_bytes, time")]


def test_the_go_modules_rows_may_differ_by_a_millisecond(storage: Path) -> None:
    theirs = replace(probe(segment(storage, 0)), run_us=None)
    assert compare_with_row(theirs, replace(theirs, end_us=theirs.end_us - 1000)) == []
    (finding,) = compare_with_row(theirs, replace(theirs, end_us=theirs.end_us - 1001))
    assert (finding.problem, finding.detail) == (Problem.ROW_DIFFERS, "time")
