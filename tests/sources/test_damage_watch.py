"""The watch for damage: which frames are marked when ffmpeg reports lost packets, or a frame shows a fault."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import pytest

from tests.support.coding import coded_packets
from tests.support.recording import LOGGER, US, capture_times
from videostore.ffmpeg.message_limit import MessageLimit
from videostore.media.packet import Packet
from videostore.sources.damage_watch import LONGEST_HIDDEN_GOP_US, DamageWatch
from videostore.sources.handover import CodedFrame

GOP = 10
TIMES = capture_times(6)
PACKETS = coded_packets(TIMES, "h264", gop=GOP)
"""Keyframes are 0, 10, 20 …"""
_INTERVAL_US = US // 10


@dataclass
class Reports:
    losses: int = 0
    lost_us: int = 0

    def report(self, at_us: int) -> None:
        self.losses, self.lost_us = self.losses + 1, at_us


def arrival_us(number: int) -> int:
    return number * _INTERVAL_US


def look(watch: DamageWatch, number: int, packet: Packet | None = None) -> str:
    one = packet or PACKETS[number]
    frame = CodedFrame(one.format, one.data, one.captured_us, arrival_us(number), 0, one.keyframe)
    mark = watch.look(frame, one.captured_us)
    return f"{TIMES.index(mark.since_us)} {mark.reason}" if mark else ""


def watched(reports: Reports, **settings: bool) -> DamageWatch:
    return DamageWatch(reports, "camera", LOGGER, MessageLimit(), **settings)


def test_from_the_frame_before_a_report_to_the_next_keyframe() -> None:
    reports = Reports()
    watch = watched(reports)
    assert [look(watch, number) for number in range(14)] == [""] * 14
    reports.report(arrival_us(13) + 1)
    assert [look(watch, number) for number in range(14, 20)] == ["13 packets-lost"] * 6
    assert [look(watch, number) for number in range(20, 30)] == [""] * 10


@pytest.mark.parametrize("before", [1, 2])
def test_a_keyframe_that_may_have_lost_its_beginning_is_marked_with_its_frames(before: int) -> None:
    """The lost packets may be the end of one frame and the beginning of the next."""
    reports = Reports()
    watch = watched(reports)
    first = 20 - before
    for number in range(first):
        look(watch, number)
    reports.report(arrival_us(first - 1) + 1)
    assert [look(watch, number) for number in range(first, 20)] == [f"{first - 1} packets-lost"] * before
    is_third = before == 2
    assert [look(watch, number) for number in range(20, 30)] == ["" if is_third else "20 packets-lost"] * 10
    assert [look(watch, number) for number in range(30, 35)] == [""] * 5


def test_a_keyframe_that_was_read_before_the_report_does_not_end_it() -> None:
    """Frames wait for their turn while a report does not."""
    reports = Reports()
    watch = watched(reports)
    for number in range(15):
        look(watch, number)
    reports.report(arrival_us(23) + 1)
    assert look(watch, 15) == "14 packets-lost"
    assert [look(watch, number) for number in range(20, 30)] == ["20 packets-lost"] * 10
    assert look(watch, 30) == ""


def test_a_report_before_the_first_frame_marks_from_there() -> None:
    reports = Reports()
    watch = watched(reports)
    reports.report(arrival_us(0) - 1)
    assert [look(watch, number) for number in range(10)] == ["0 packets-lost"] * 10
    assert look(watch, 10) == ""


def test_a_frame_that_did_not_come_is_noticed_without_a_report() -> None:
    watch = watched(Reports())
    assert [look(watch, number) for number in range(20)] == [""] * 20
    assert [look(watch, number) for number in range(20, 23)] == [""] * 3
    assert [look(watch, number) for number in range(24, 30)] == ["24 frame-missing"] * 6
    assert look(watch, 30) == ""


def test_a_keyframe_that_is_incomplete_marks_its_frames() -> None:
    watch = watched(Reports())
    for number in range(10):
        look(watch, number)
    begin = PACKETS[10].data.rfind(b"\0\0\1")
    assert look(watch, 10, replace(PACKETS[10], data=PACKETS[10].data[: begin + 4])) == "10 picture-incomplete"
    assert look(watch, 11) == "10 picture-incomplete"
    assert look(watch, 20) == ""


def test_where_keyframes_are_not_those_of_the_camera_a_report_lasts_longer() -> None:
    reports = Reports()
    watch = watched(reports, hidden_keyframes=True)
    look(watch, 0)
    reports.report(arrival_us(0) + 1)
    assert [bool(look(watch, number)) for number in range(1, 50)] == [True] * 49
    late = CodedFrame(PACKETS[10].format, PACKETS[10].data, 0, arrival_us(0) + 2 + LONGEST_HIDDEN_GOP_US, 0, True)
    assert watch.look(late, TIMES[-1] + US) is None


def test_it_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    reports = Reports()
    watch = watched(reports)
    with caplog.at_level(logging.WARNING):
        for number in range(50):
            if number % 5 == 4:
                reports.report(arrival_us(number) - 1)
            look(watch, number)
    (message,) = [one.getMessage() for one in caplog.records]
    assert "camera comes damaged: packets were lost on the way from the camera" in message


def test_a_report_that_comes_late_belongs_to_the_frame_that_showed_the_damage() -> None:
    reports = Reports()
    watch = watched(reports)
    for number in range(18):
        assert not look(watch, number)
    assert look(watch, 19) == "19 frame-missing"
    assert look(watch, 20) == ""
    reports.report(arrival_us(19))
    assert [look(watch, number) for number in range(21, 30)] == ["20 frame-missing"] * 9


def test_frames_of_an_open_gop_are_as_damaged_as_those_before_their_keyframe() -> None:
    reports = Reports()
    watch = watched(reports)
    assert [look(watch, number) for number in range(15)] == [""] * 15
    reports.report(arrival_us(15) + 1)
    assert [look(watch, number) for number in range(15, 20)][-1] == "14 packets-lost"
    shown = {20: 22, 21: 20, 22: 21}
    marks = [
        look(watch, number, replace(PACKETS[number], captured_us=TIMES[shown.get(number, number)]))
        for number in range(20, 26)
    ]
    assert marks == ["", "14 packets-lost", "14 packets-lost", "", "", ""]
