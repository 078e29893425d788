"""The frames of a segment's time, wherever they are stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.support.open_gops import TIMES, OpenGops, number_of
from videostore.clips.segment_frames import Place, followed, segment_frames
from videostore.media.segment import LOST_END, probe


def places(directory: Path) -> list[Place]:
    return [(probe(path), path) for path in sorted(directory.glob("*.mp4"))]


def shown(found: list[Place]) -> list[list[int]]:
    return [[number_of(one) for one in segment_frames(*place)] for place in followed(found)]


def test_a_frame_belongs_to_the_segment_in_whose_time_it_is_shown(open_gops: OpenGops) -> None:
    _, border, other = open_gops.begins
    whole = [list(range(border)), list(range(border, other)), list(range(other, len(TIMES)))]
    found = places(open_gops.directory)
    assert shown(found) == shown(found[::-1]) == whole


def test_frames_that_nothing_can_decode_are_none(open_gops: OpenGops) -> None:
    """The segment before them is deleted, or has lost its end."""
    _, border, other = open_gops.begins
    first, second, third = places(open_gops.directory)
    own = list(range(border - open_gops.leading))
    assert shown([second]) == [list(range(border, other - open_gops.leading))]
    assert shown([first, third])[0] == own
    assert shown([(replace(first[0], run_number=LOST_END), first[1]), second])[0] == own


def test_what_is_gone_has_no_frames(open_gops: OpenGops, tmp_path: Path) -> None:
    first, second, _ = places(open_gops.directory)
    assert shown([(first[0], tmp_path / "gone.mp4"), second])[0] == []
    assert len(shown([first, (second[0], tmp_path / "gone.mp4")])[0]) == open_gops.begins[1] - open_gops.leading
