from __future__ import annotations

from videostore.media.packet import Gap, Packet, StreamFormat
from videostore.sources.last_frames import PATIENCE_S, LastFrames

PLAIN, REORDERED = (StreamFormat("h264", 2, 2, b"sets", reordered=number) for number in (0, 2))


def test_only_reordered_frames_are_waited_for() -> None:
    last = LastFrames()
    assert last.patience_s == 0
    last.passed(Packet(PLAIN, b"", 10))
    assert last.patience_s == 0
    last.passed(Packet(REORDERED, b"", 10))
    assert last.patience_s == PATIENCE_S
    last.passed(Gap("a gap"))
    assert last.patience_s == 0


def test_a_frame_that_is_shown_before_the_last_one_belongs_to_it() -> None:
    last = LastFrames()
    for time_us in (0, 30, 10):
        last.passed(Packet(REORDERED, b"", time_us))
    assert last.has(Packet(REORDERED, b"", 20)) and not last.has(Packet(REORDERED, b"", 60))
    assert not last.has(Packet(PLAIN, b"", 20)) and not last.has(Gap("a gap"))
