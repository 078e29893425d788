"""What clips hold: what is damaged of a range, however much it is."""

from __future__ import annotations

from videostore.base.ranges import MOST_DAMAGED, DamagedRange, Range
from videostore.clips.clip_content import DamageList

S = 1_000_000


def test_only_what_lies_in_the_range_is_told() -> None:
    damaged = DamageList(Range(10 * S, 20 * S))
    damaged.add([DamagedRange(0, 11 * S, "packets-lost"), DamagedRange(12 * S, 13 * S, "unreadable")])
    damaged.add([DamagedRange(19 * S, 30 * S, "packets-lost"), DamagedRange(20 * S, 21 * S, "unreadable")])
    assert damaged.ranges == (
        DamagedRange(10 * S, 11 * S, "packets-lost"),
        DamagedRange(12 * S, 13 * S, "unreadable"),
        DamagedRange(19 * S, 20 * S, "packets-lost"),
    )


def test_very_much_damage_is_told_in_fewer_words_and_none_of_it_is_left_out() -> None:
    damaged = DamageList(Range(0, 1 << 60))
    for number in range(5 * MOST_DAMAGED):
        damaged.add([DamagedRange(2 * number * S, (2 * number + 1) * S, "packets-lost")])
    assert len(damaged.ranges) == MOST_DAMAGED
    assert damaged.ranges[-1].to_us == (10 * MOST_DAMAGED - 1) * S
