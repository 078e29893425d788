from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.recording import US, FixedClock
from videostore.base.clock import SteadyClock
from videostore.base.ranges import DamagedRange
from videostore.media.damage_mark import DamageMark
from videostore.media.packet import Gap, Packet
from videostore.recording.health import HealthMeter


class FaultySource:
    """A source that has counted faulty frames itself."""

    faulty_frames = 0
    last_fault = ""

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        yield Gap("never iterated")


def meter_of(source: FaultySource, clock: FixedClock) -> HealthMeter:
    return HealthMeter(source, clock, SteadyClock(clock), Path("/recordings"))


def test_the_rate_is_that_of_the_frames_that_came_out() -> None:
    clock = FixedClock()
    meter = meter_of(FaultySource(), clock)
    for _ in range(11):
        clock.advance(0.2)
        meter.frame_came_out(clock.wall)
    health = meter.health(None, "", 0)
    assert (health.frames_per_second, health.last_frame_age_s, health.recorded_frames) == (5.0, 0.0, 11)
    clock.advance(10)
    health = meter.health(None, "", 0)
    assert (health.frames_per_second, health.recorded_frames) == (0.0, 11)


def test_frames_that_come_out_some_at_a_time_have_the_same_rate() -> None:
    clock = FixedClock()
    meter = meter_of(FaultySource(), clock)
    for number in range(100):
        if number % 10 == 0:
            clock.advance(0.5)
        meter.frame_came_out(clock.wall + number % 10 * US // 20)
        assert number < 20 or meter.health(None, "", 0).frames_per_second == 20.0
    clock.advance(3)
    assert 5 < meter.health(None, "", 0).frames_per_second < 15


def test_faulty_frames_of_the_source_and_of_the_recorder_are_added() -> None:
    source, clock = FaultySource(), FixedClock()
    meter = meter_of(source, clock)
    meter.count_fault("the images alternate")
    source.faulty_frames, source.last_fault = 3, "no end"
    health = meter.health(None, "the camera hangs", 0)
    assert (health.faulty_frames, health.last_fault, health.reason) == (4, "no end", "the camera hangs")
    meter.count_fault("the images alternate")
    assert meter.health(None, "", 0).last_fault == "the images alternate"


def test_whether_anything_was_ever_recorded_is_known() -> None:
    meter = meter_of(FaultySource(), FixedClock())
    meter.count_fault("upside down")
    assert meter.fault_of_all == "upside down"
    meter.frame_came_out(US)
    assert meter.fault_of_all is None


def test_frames_that_came_damaged_are_counted_and_the_last_stretch_is_told() -> None:
    meter = meter_of(FaultySource(), FixedClock())
    assert (meter.health(None, "", 0).damaged_frames, meter.health(None, "", 0).last_damage) == (0, None)
    mark = DamageMark(10 * US, "packets-lost")
    for second in (11, 12):
        meter.count_damage(mark, second * US)
    health = meter.health(None, "", 0)
    assert (health.damaged_frames, health.last_damage) == (2, DamagedRange(10 * US, 12 * US + 1, "packets-lost"))
    for second in (13, 14):
        meter.count_damage(None, second * US)
    assert meter.health(None, "", 0).last_damage == DamagedRange(10 * US, 13 * US, "packets-lost")
    meter.count_damage(DamageMark(20 * US, "frame-missing"), 20 * US)
    health = meter.health(None, "", 0)
    assert (health.damaged_frames, health.last_damage) == (3, DamagedRange(20 * US, 20 * US + 1, "frame-missing"))
