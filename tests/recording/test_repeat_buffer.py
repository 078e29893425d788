from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.recording import H264, LOGGER, SMALL, START_US, US, capture_times, packet
from videostore.media.packet import Packet, StreamFormat
from videostore.recording.repeat_buffer import GIVE_UP_AFTER, KEPT_FOR_REPEAT_BYTES, KEPT_FOR_REPEAT_S, RepeatBuffer
from videostore.recording.run import Run


@pytest.fixture
async def run(tmp_path: Path, binary: str) -> AsyncIterator[Run]:
    """A run that has not written anything yet."""
    run = await Run.start(
        packet(START_US, SMALL), binary=binary, encoder=H264, directory=tmp_path, segment_seconds=2, logger=LOGGER
    )
    yield run
    await run.kill()


def stored_to(time_us: int) -> RepeatBuffer:
    """A buffer for runs whose files end with the frame of this time."""

    async def last_stored(_run: Run) -> int:
        return time_us

    return RepeatBuffer(last_stored)


async def test_packets_that_are_in_no_file_are_returned_once(run: Run) -> None:
    times = capture_times(2)
    buffer = stored_to(times[7])
    for time_us in times:
        buffer.add(packet(time_us, SMALL))
    assert [one.captured_us for one in await buffer.take_lost(run)] == times[8:]
    assert await buffer.take_lost(run) == []


async def test_of_reordered_packets_those_that_are_decoded_later_are_lost_whenever_they_were_captured(run: Run) -> None:
    buffer = stored_to(START_US + 40)
    for time_us in (0, 40, 20, 10, 30, 50):
        buffer.add(packet(START_US + time_us, SMALL))
    assert [one.captured_us - START_US for one in await buffer.take_lost(run)] == [20, 10, 30, 50]


async def test_of_a_run_that_stored_nothing_all_packets_are_lost(run: Run) -> None:
    times = capture_times(1)
    buffer = stored_to(START_US - 1)
    for time_us in times:
        buffer.add(packet(time_us, SMALL))
    assert [one.captured_us for one in await buffer.take_lost(run)] == times


async def test_packets_of_a_finished_run_are_forgotten(run: Run) -> None:
    buffer = stored_to(0)
    buffer.add(packet(START_US, SMALL))
    buffer.clear()
    assert await buffer.take_lost(run) == []


async def test_the_oldest_packets_are_dropped_beyond_the_time_limit(run: Run) -> None:
    buffer = stored_to(0)
    times = [START_US + second * US for second in range(40)]
    for time_us in times:
        buffer.add(packet(time_us, SMALL))
    assert [one.captured_us for one in await buffer.take_lost(run)] == times[-1 - int(KEPT_FOR_REPEAT_S) :]


async def test_the_oldest_packets_are_dropped_beyond_the_size_limit_but_the_last_is_kept(run: Run) -> None:
    format = StreamFormat("mjpeg", 2, 2)
    buffer = stored_to(0)
    for number in range(1, 4):
        buffer.add(Packet(format, bytes(KEPT_FOR_REPEAT_BYTES // 2), number))
    assert [one.captured_us for one in await buffer.take_lost(run)] == [2, 3]
    buffer.add(Packet(format, bytes(KEPT_FOR_REPEAT_BYTES + 1), 4))
    assert [one.captured_us for one in await buffer.take_lost(run)] == [4]


async def test_it_is_hopeless_after_some_failures_in_a_row_of_which_none_leaves_a_frame_in_a_file(run: Run) -> None:
    nothing, something = stored_to(START_US - 1), stored_to(START_US)
    for _ in range(GIVE_UP_AFTER):
        assert not nothing.hopeless
        await nothing.take_lost(run)
        await something.take_lost(run)
    assert nothing.hopeless and not something.hopeless


async def test_it_is_hopeless_if_no_run_can_be_started() -> None:
    buffer = stored_to(START_US)
    for _ in range(GIVE_UP_AFTER):
        assert not buffer.hopeless
        assert await buffer.take_lost(None) == []
    assert buffer.hopeless
