from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.recording import FixedClock
from videostore.base.clock import SteadyClock
from videostore.media.packet import Gap, Packet
from videostore.recording.health import HealthMeter
from videostore.recording.standstill import ENDS_WITHIN_S, READS_WITHIN_S, Standstill


class _Source:
    async def packets(self) -> AsyncIterator[Packet | Gap]:
        yield Gap("never iterated")


class Ticks:
    """A clock in seconds."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def standstill(ticks: Ticks) -> Standstill:
    return Standstill(ticks)


def test_one_that_reads_nothing_of_what_there_is_stands_still_until_it_reads(
    standstill: Standstill, ticks: Ticks
) -> None:
    standstill.give(100)
    standstill.look(100)
    ticks.now_s += READS_WITHIN_S
    standstill.look(100)
    assert not standstill.reads_nothing
    ticks.now_s += 1
    standstill.give(50)  # that more comes is no reading
    seen = []
    for unread in (150, 149):
        standstill.look(unread)
        seen.append(standstill.reads_nothing)
    assert seen == [True, False]


def test_one_that_has_read_everything_waits_for_images(standstill: Standstill, ticks: Ticks) -> None:
    standstill.give(100)
    standstill.look(0)
    ticks.now_s += 10 * READS_WITHIN_S
    standstill.look(0)
    assert not standstill.reads_nothing
    standstill.give(100)
    standstill.look(100)
    assert not standstill.reads_nothing


def test_one_that_reads_a_little_does_not_stand_still(standstill: Standstill, ticks: Ticks) -> None:
    standstill.give(100)
    for unread in range(100, 0, -1):
        ticks.now_s += READS_WITHIN_S
        standstill.look(unread)
        assert not standstill.reads_nothing


def test_an_end_is_late_from_its_first_attempt_on(standstill: Standstill, ticks: Ticks) -> None:
    ticks.now_s += 10 * ENDS_WITHIN_S
    assert not standstill.ends_late
    standstill.end()
    ticks.now_s += ENDS_WITHIN_S
    assert not standstill.ends_late
    standstill.end()
    ticks.now_s += 1
    assert standstill.ends_late


def test_the_status_names_the_directory(standstill: Standstill, ticks: Ticks) -> None:
    clock, source = FixedClock(), _Source()
    meter = HealthMeter(source, clock, SteadyClock(clock), Path("/mnt/disk"))
    files, tally = SimpleNamespace(known=[]), SimpleNamespace(faulty=0)
    run: Any = SimpleNamespace(files=files, tally=tally, standstill=standstill, format=SimpleNamespace(sound=None))

    def told() -> tuple[bool, str]:
        health = meter.health(run, "", 0)
        return health.recording, health.reason

    assert told() == (True, "")
    standstill.give(1)
    ticks.now_s += READS_WITHIN_S + 1
    standstill.look(1)
    assert told() == (False, "ffmpeg has read no image for 15 s. Perhaps the disk of '/mnt/disk' hangs.")
    meter.ended = "ffmpeg accepted no image for 10 s."
    standstill.end()
    assert told() == (False, "ffmpeg accepted no image for 10 s.")
    ticks.now_s += ENDS_WITHIN_S + 1
    assert told() == (False, "The disk of '/mnt/disk' does not respond: ffmpeg accepted no image for 10 s.")
    meter.ended = ""
    assert told() == (False, "The disk of '/mnt/disk' does not respond: the segment cannot be closed.")
