from __future__ import annotations

import itertools

from tests.support.recording import US
from videostore.media.packet import StreamFormat
from videostore.recording.format_gate import CHANGE_EVERY_S, CHANGES_AT_ONCE, FORMAT_GONE_S, FormatGate

A, B = StreamFormat("mjpeg", 640, 360), StreamFormat("mjpeg", 640, 360, orientation=6)
C = StreamFormat("mjpeg", 320, 180)


def changes(admitted: list[StreamFormat]) -> int:
    return sum(one != other for one, other in itertools.pairwise(admitted))


def test_a_change_and_back_is_followed_at_once() -> None:
    gate = FormatGate()
    assert all(gate.admits(format, number * US // 10) for number, format in enumerate([A, A, B, B, A, A]))


def test_formats_that_alternate_are_held_to_one_for_a_while() -> None:
    gate = FormatGate()
    seconds = 100
    frames = [(number * US // 10, (A, B)[number % 2]) for number in range(seconds * 10)]
    admitted = [format for time_us, format in frames if gate.admits(format, time_us)]
    assert changes(admitted) <= CHANGES_AT_ONCE + seconds / CHANGE_EVERY_S
    assert len(admitted) >= 0.5 * len(frames)


def test_a_format_that_stays_is_followed_when_the_one_before_is_gone() -> None:
    gate = FormatGate()
    for number in range(20):
        gate.admits((A, B)[number % 2], number * US // 10)
    held = [number for number in range(20, 60) if not gate.admits(A, number * US // 10)]
    held += [number for number in range(60, 100) if not gate.admits(B, number * US // 10)]
    assert 0 < len(held) <= 2 * FORMAT_GONE_S * 10


def test_formats_that_each_stay_for_more_than_a_second_are_followed_however_often_they_change() -> None:
    gate = FormatGate()
    frames = [(number * US // 15, (A, B, C)[number // 30 % 3]) for number in range(15 * 100)]
    held = [time_us for time_us, format in frames if not gate.admits(format, time_us)]
    assert held == []


def test_single_frames_of_another_format_are_not_followed_each() -> None:
    """For each, a second of the one that stays would be lost."""
    gate = FormatGate()
    seconds = 100
    frames = [(number * US // 10, B if number % 20 == 19 else A) for number in range(seconds * 10)]
    admitted = [format for time_us, format in frames if gate.admits(format, time_us)]
    assert changes(admitted) <= 2 * (CHANGES_AT_ONCE + seconds / CHANGE_EVERY_S)
    assert len(admitted) >= 0.8 * len(frames)


def test_of_any_number_of_formats_few_are_kept() -> None:
    gate = FormatGate()
    for number in range(1000):
        gate.admits(StreamFormat("mjpeg", 16 + number, 16), number * US)
    assert len(gate._stayed) <= 8


def test_slow_frames_of_alternating_formats_are_all_recorded() -> None:
    gate = FormatGate()
    assert all(gate.admits((A, B)[number % 2], number * 2 * US) for number in range(100))


def test_a_clock_that_is_set_back_does_not_hold_anything_up() -> None:
    gate = FormatGate()
    for number in range(20):
        gate.admits((A, B)[number % 2], 3600 * US + number * US // 10)
    assert gate.admits(A, US) and gate.admits(B, US + 1)
