from __future__ import annotations

from collections.abc import Sequence

import pytest

from videostore.media.h26x import ReorderedError, UncopyableError
from videostore.media.packet import StreamFormat
from videostore.sources.frame_order import FrameOrder
from videostore.sources.handover import CodedFrame

IDR, P_SLICE, B_SLICE = b"\0\0\1\x65\xb8", b"\0\0\1\x41\xe0", b"\0\0\1\x01\xa8"


def frames(
    places: Sequence[int], reordered: int, data: bytes = P_SLICE, keys: Sequence[int] = (0,), codec: str = "h264"
) -> list[CodedFrame]:
    """Frames that are shown at these places, of which those with these numbers are keyframes."""
    format = StreamFormat(codec, 2, 2, b"sets", reordered=reordered)
    return [CodedFrame(format, data, 100 + place, 0, 0, number in keys) for number, place in enumerate(places)]


def passed(given: Sequence[CodedFrame], *, unsaid: bool = False, untimed: bool = False) -> list[CodedFrame]:
    order = FrameOrder(given[0].format, unsaid=unsaid, untimed=untimed)
    return [one for frame in given for one in order.next(frame)] + list(order.rest())


def test_all_frames_are_passed_on_with_rising_times_of_decoding_none_later_than_they_are_shown() -> None:
    given = frames([0, 30, 10, 20, 60, 40, 50], 1)
    found = passed(given)
    assert [one.pts_us for one in found] == [one.pts_us for one in given]
    decoded = [one.order_us for one in found]
    assert decoded == sorted(set(decoded))
    assert all(one.order_us <= one.pts_us for one in found)


def test_a_first_frame_without_a_time_is_one_interval_before_those_that_follow() -> None:
    given = frames([30, 30, 10, 20, 60, 40, 50], 1, IDR)  # it has the time of the second
    assert [one.pts_us - 100 for one in passed(given, untimed=True)] == [0, 30, 10, 20, 60, 40, 50]
    given = frames([30, 30], 1)
    assert [one.pts_us - 100 for one in passed(given, untimed=True)] == [29, 30]


def test_frames_that_turn_out_to_be_reordered_are_not_passed_on_in_a_wrong_order() -> None:
    with pytest.raises(ReorderedError):
        passed(frames([0, 30, 10], 0))
    order = FrameOrder(frames([0], 0)[0].format, unsaid=True, untimed=False)
    first, second, third = frames([0, 30, 31], 0)
    assert not [*order.next(first), *order.next(second)]
    with pytest.raises(ReorderedError):
        list(order.next(frames([0], 0, B_SLICE)[0]))
    order = FrameOrder(first.format, unsaid=True, untimed=False)
    assert [one.pts_us for frame in (first, second, third) for one in order.next(frame)] == [100, 130, 131]
    with pytest.raises(ReorderedError):  # also later
        list(order.next(frames([0], 0, B_SLICE)[0]))


def test_frames_that_are_reordered_further_than_it_says_are_refused() -> None:
    with pytest.raises(UncopyableError, match="further"):
        passed(frames([0, 80, 40, 20, 10], 1))


def test_a_first_frame_without_a_time_is_in_the_gap_if_others_may_be_shown_before_it() -> None:
    given = frames([20, 20, 10, 60, 40, 50], 1)
    assert [one.pts_us - 100 for one in passed(given, untimed=True)] == [30, 60, 40, 50]


@pytest.mark.parametrize(("codec", "keyframes"), [("h264", [0, 10]), ("hevc", [0, 4, 10])])
def test_a_keyframe_before_which_frames_are_shown_that_are_decoded_after_it_is_passed_on_as_one_of_h265(
    codec: str, keyframes: list[int]
) -> None:
    """Decoders in players begin with one of H.265 alone."""
    found = passed(frames([0, 30, 10, 20, 60, 40, 50, 90, 70, 80, 120, 150, 130], 1, keys=(0, 4, 10), codec=codec))
    assert [one.pts_us - 100 for one in found] == [0, 30, 10, 20, 60, 40, 50, 90, 70, 80, 120, 150, 130]
    assert [number for number, one in enumerate(found) if one.keyframe] == keyframes


def test_frames_that_need_some_before_the_first_keyframe_are_left_out() -> None:
    found = passed(frames([60, 40, 50, 90, 70, 80], 1))
    assert [one.pts_us - 100 for one in found] == [60, 90, 70, 80]


def test_frames_that_are_shown_before_those_before_their_keyframe_are_refused() -> None:
    with pytest.raises(UncopyableError, match="further"):
        passed(frames([0, 30, 10, 60, 20], 2, keys=(0, 3)))
