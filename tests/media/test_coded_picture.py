from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.damage import overwrite_header
from tests.support.recording import take_over, write_foreign
from videostore.media import coded_picture
from videostore.media.coded_picture import TooMuchError, read_coded_picture
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import Segment, UnreadableError, probe


def first_of(recording: Path) -> tuple[Segment, Path]:
    path = min(recording.glob("*.mp4"))
    return probe(path), path


def test_a_picture_has_the_frames_from_its_keyframe_up_to_its_own(recording: Path, times: list[int]) -> None:
    segment, path = first_of(recording)
    fragment = read_fragments(path).fragments[0]
    found = read_coded_picture(segment, path, segment.end_us, fragment.times_us[4] + 1, keyframe=False)
    assert found is not None and found.exact and found.whole
    assert [time_us for time_us, _ in found.frames] == list(fragment.times_us[:5])
    assert all(data.startswith(b"\0\0\0\1") for _, data in found.frames)
    keyframe = read_coded_picture(segment, path, segment.end_us, fragment.times_us[4], keyframe=True)
    assert keyframe is not None and not keyframe.exact
    assert keyframe.frames == found.frames[:1] and keyframe.captured_us == fragment.times_us[0]


def test_outside_its_frames_a_segment_shows_nothing(recording: Path) -> None:
    segment, path = first_of(recording)
    for at_us in (segment.start_us - 1, segment.end_us):
        assert read_coded_picture(segment, path, segment.end_us, at_us, keyframe=False) is None
    last = read_coded_picture(segment, path, segment.end_us, segment.end_us - 1, keyframe=False)
    assert last is not None and last.captured_us == read_fragments(path).times_us[-1]


async def test_nothing_is_shown_where_the_file_cannot_be_read(tmp_path: Path, recording: Path) -> None:
    segment, path = first_of(recording)
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    first, lost = read_fragments(path).fragments[:2]
    overwrite_header(copy, 1)
    shown = [
        read_coded_picture(segment, copy, segment.end_us, at_us, keyframe=False)
        for at_us in (first.end_us - 1, lost.times_us[0] + 50_000)
    ]
    assert [one and one.captured_us for one in shown] == [first.times_us[-1], None]


def test_a_file_that_is_gone_or_no_segment_is_unreadable(tmp_path: Path, recording: Path) -> None:
    segment, _ = first_of(recording)
    with pytest.raises(UnreadableError):
        read_coded_picture(segment, tmp_path / "gone.mp4", segment.end_us, segment.start_us, keyframe=False)
    (tmp_path / "text.mp4").write_text("no video")
    for one in (segment, replace(segment, run_us=None)):
        with pytest.raises(UnreadableError):
            read_coded_picture(one, tmp_path / "text.mp4", segment.end_us, segment.start_us, keyframe=False)


async def test_too_much_is_refused_before_it_is_read(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_foreign(tmp_path / "1725000000.mp4")
    (foreign,) = await take_over(tmp_path)
    segment, path = first_of(recording)
    monkeypatch.setattr(coded_picture, "MOST_BYTES", 100)
    for one, where in ((segment, path), (foreign, tmp_path / "1725000000.mp4")):
        with pytest.raises(TooMuchError):
            read_coded_picture(one, where, one.end_us, one.end_us - 1, keyframe=False)
