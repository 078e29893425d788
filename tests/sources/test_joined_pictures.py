"""Keyframes that come in parts, as ffmpeg splits those of GStreamer. `tests/streams` has the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from videostore.sources.joined_pictures import joined

_SETS, _FIRST, _REST, _LATER = (b"\0\0\0\1" + unit for unit in (b"\x67sps", b"\x65\x88a", b"\x65\x48b", b"\x41\x9ac"))
_TICKS = 6000


def packet(pts: int | None, *units: bytes) -> Any:
    made: Any = av.Packet(b"".join(units))
    made.pts, made.time_base, made.is_keyframe = pts, Fraction(1, 90_000), units[0] == _SETS
    return made


def whole(packets: Iterator[Any]) -> list[tuple[int | None, bytes, bool]]:
    return [(one.pts, bytes(one).replace(b"\0\0\0\1", b"\0\0\1"), one.is_keyframe) for one in packets]


def test_parts_of_keyframes_are_joined() -> None:
    parts, expected = [], []
    for second in (0, 4 * _TICKS):
        parts += [packet(second, _SETS, _FIRST), packet(second + 1, _SETS, _REST), packet(second + 1, _SETS, _REST)]
        expected.append(packet(second, _SETS, _FIRST, _REST, _REST))
        for number in range(1, 4):
            parts.append(packet(second + number * _TICKS, _LATER))
            expected.append(packet(second + number * _TICKS, _LATER))
    assert whole(joined("h264", iter(parts))) == whole(iter(expected))


def test_a_part_of_another_time_or_behind_another_frame_is_no_part() -> None:
    alone = [packet(0, _SETS, _FIRST), packet(_TICKS, _SETS, _REST), packet(_TICKS, _SETS, _REST)]
    assert whole(joined("h264", iter(alone))) == whole(iter(alone))
    untimed = [packet(None, _SETS, _FIRST), packet(0, _SETS, _REST)]
    assert whole(joined("h264", iter(untimed))) == whole(iter(untimed))


def test_only_in_a_stream_that_comes_in_parts_does_a_keyframe_wait_for_what_follows() -> None:
    taken: list[int] = []

    def taking(packets: list[Any]) -> Iterator[Any]:
        for one in packets:
            taken.append(one.pts)
            yield one

    keyframes = [packet(number * _TICKS, _SETS, _FIRST) for number in range(4)]
    found = joined("h264", taking(keyframes))
    seen = [(one.pts, taken[-1]) for one in found]
    assert seen == [(0, _TICKS), (_TICKS, _TICKS), (2 * _TICKS, 2 * _TICKS), (3 * _TICKS, 3 * _TICKS)]


def test_what_waits_at_the_end_is_not_lost() -> None:
    assert len(list(joined("h264", iter([packet(0, _SETS, _FIRST)])))) == 1
    assert whole(joined("h264", iter([packet(0, _SETS, _FIRST), packet(0, _SETS, _REST)]))) == whole(
        iter([packet(0, _SETS, _FIRST, _REST)])
    )
