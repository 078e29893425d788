from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.support.recording import START_US, US
from videostore.clips.copy_range import CopyEnd, CopyRange
from videostore.clips.pieces import listable, pieces_of
from videostore.clips.plan import ClipPart
from videostore.media.segment import Segment


def part(number: int, **changes: int | CopyEnd | None) -> ClipPart:
    """A segment of 10 s that was read, and is used from its first frame, a keyframe, to its end."""
    start_us = START_US + number * 10 * US
    segment = Segment(f"{number}.mp4", start_us, start_us + 10 * US, 1000, 640, 480, "h264", run_us=1)
    whole = ClipPart(segment, Path(f"/{number}.mp4"), segment.end_us, start_us, last_length_us=1)
    moved = {name: start_us + at if isinstance(at, int) else at for name, at in changes.items()}
    copy = CopyRange(moved.pop("keyframe_us", start_us), end=moved.pop("copy_end", None))  # type: ignore[arg-type]
    return replace(whole, copy=copy, **moved)  # type: ignore[arg-type]


def test_nothing_is_reencoded_of_a_clip_that_begins_on_a_keyframe() -> None:
    pieces = pieces_of([part(0, first_us=2 * US, keyframe_us=2 * US), part(1, stop_us=4 * US)])
    assert pieces.edges == () and pieces.length_us == 18 * US and pieces.stop_us == 12 * US
    assert [(one.inpoint_us, one.duration_us) for one in pieces.body] == [(2 * US, 8 * US), (None, 10 * US)]


def test_the_head_reaches_to_the_next_keyframe_also_in_a_later_segment() -> None:
    first, second = part(0, first_us=2 * US, keyframe_us=None), part(1)
    pieces = pieces_of([first, second])
    assert pieces.head is not None and pieces.head.parts == (first,) and pieces.head.length_us == 8 * US
    assert [one.path.name for one in pieces.body] == ["1.mp4"]
    late = replace(second, copy=CopyRange(second.segment.start_us + 3 * US))
    pieces = pieces_of([first, late])
    assert pieces.head is not None and len(pieces.head.parts) == 2 and pieces.head.length_us == 11 * US
    assert pieces.body[0].inpoint_us == 3 * US


def test_a_clip_within_one_group_of_pictures_is_reencoded() -> None:
    pieces = pieces_of([part(0, first_us=2 * US, stop_us=3 * US, keyframe_us=None)])
    assert pieces.head is not None and pieces.body == () and pieces.tail is None and pieces.stop_us is None


def test_the_tail_begins_with_the_keyframe_behind_which_frames_are_missing() -> None:
    start_us = START_US
    end = CopyEnd(start_us + 7 * US - 80_000, start_us + 7 * US, 80_000)
    pieces = pieces_of([part(0, first_us=US, keyframe_us=2 * US, stop_us=8 * US, copy_end=end)])
    assert pieces.head is not None and pieces.tail is not None and pieces.stop_us is None
    (body,) = pieces.body
    assert (body.inpoint_us, body.outpoint_us, body.duration_us) == (2 * US, 7 * US - 80_000, 5 * US)
    assert pieces.tail.parts[0].first_us == start_us + 7 * US and pieces.tail.delay_us == 80_000
    assert pieces.head.length_us + body.duration_us + pieces.tail.length_us == pieces.length_us


def test_a_clip_whose_tail_begins_before_its_first_keyframe_ends_is_reencoded() -> None:
    end = CopyEnd(START_US + 2 * US, START_US + 2 * US)
    pieces = pieces_of([part(0, first_us=US, keyframe_us=2 * US, stop_us=3 * US, copy_end=end)])
    assert pieces.head is not None and pieces.body == () and pieces.tail is None


def test_a_last_file_that_would_end_before_its_video_starts_is_stopped_by_time() -> None:
    """With sound, whose file begins before its video."""
    begins_us = START_US + 10 * US
    last = Path("/1.mp4")
    for outpoint_us, tail_us in ((30_000, None), (90_000, None), (30_000, begins_us + 40_000)):
        end = CopyEnd(begins_us + outpoint_us, tail_us)
        parts = [part(0), part(1, stop_us=50_000, copy_end=end)]
        pieces = pieces_of(parts)
        assert pieces.body[-1].outpoint_us == outpoint_us
        assert listable(pieces, None) is pieces and listable(pieces, {Path("/0.mp4"): 90_000}) is pieces
        found = listable(pieces, {last: 60_000})
        if outpoint_us > 60_000 or tail_us is not None:
            assert found is pieces
        else:
            assert [one.outpoint_us for one in found.body] == [None, None] and found.edges == ()
            assert found.stop_us is not None and abs(found.stop_us - (10 * US - 30_000)) <= 50
            assert found.length_us == pieces.length_us
