from __future__ import annotations

import itertools
import random

import pytest

from videostore.media.decode_order import EARLY_US, DecodeOrder


def order_of_decoding(shown_us: list[int], b_frames: int) -> list[int]:
    """The same times as an encoder passes them on: each frame that others need before those."""
    ordered = shown_us[:1]
    for begin in range(1, len(shown_us), b_frames + 1):
        group = shown_us[begin : begin + b_frames + 1]
        ordered += [group[-1], *group[:-1]]
    return ordered


@pytest.mark.parametrize("b_frames", [0, 1, 3])
def test_frames_are_decoded_one_after_the_other_and_none_after_it_is_shown(b_frames: int) -> None:
    dice = random.Random(b_frames)
    shown_us = list(itertools.accumulate(dice.randrange(1, 90_000) for _ in range(200)))
    order = DecodeOrder(shown_us[0], min(b_frames, 1))
    decoded_us = []
    for one in order_of_decoding(shown_us, b_frames):
        assert order.fits(one)
        at_us = order.next(one)
        assert at_us is not None and at_us <= one
        decoded_us.append(at_us)
    assert decoded_us == sorted(set(decoded_us))
    if not b_frames:
        assert decoded_us == shown_us


def test_a_frame_that_comes_too_late_or_twice_does_not_fit() -> None:
    order = DecodeOrder(0, 1)
    assert [order.next(one) for one in (0, 30, 10)] == [-EARLY_US, 0, 10]
    for wrong in (5, 10, 30):  # of those that are shown before 10, none may follow
        assert not order.fits(wrong) and order.next(wrong) is None
    assert order.next(20) == 20
    assert not DecodeOrder(0, 0).fits(-1)
