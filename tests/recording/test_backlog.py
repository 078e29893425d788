from __future__ import annotations

import asyncio
from dataclasses import replace

from videostore.media.packet import Gap, Packet, StreamFormat
from videostore.recording.backlog import BACKLOG_CODED_FRAMES, BACKLOG_FRAMES, END_OF_SOURCE, Backlog


def frame(number: int, size_bytes: int = 10) -> Packet:
    return Packet(StreamFormat("mjpeg", 2, 2), bytes(size_bytes), number)


def taken(backlog: Backlog) -> list[int | str]:
    items: list[int | str] = []
    while (item := backlog.get_nowait()) is not None:
        items.append(item.captured_us if isinstance(item, Packet) else "gap")
    return items


async def test_items_keep_their_order() -> None:
    backlog = Backlog(10, 1000)
    for item in (frame(1), Gap("x"), frame(2), frame(3)):
        backlog.put(item)
    assert taken(backlog) == [1, "gap", 2, 3]
    assert taken(backlog) == []


async def test_the_oldest_item_can_be_looked_at_before_it_is_taken() -> None:
    backlog = Backlog(10, 1000)
    firsts = [backlog.first]
    for item in (frame(1), Gap("x")):
        backlog.put(item)
        firsts.append(backlog.first)
    assert backlog.get_nowait() == frame(1)
    assert [*firsts, backlog.first] == [None, frame(1), frame(1), Gap("x")]


async def test_new_frames_beyond_the_limit_are_dropped_and_counted() -> None:
    backlog = Backlog(3, 1000)
    for number in range(5):
        backlog.put(frame(number))
    assert taken(backlog) == [0, 1, 2]
    assert backlog.dropped == 2
    backlog.put(frame(5))
    assert taken(backlog) == [5]


async def test_new_bytes_beyond_the_limit_are_dropped_but_one_frame_always_fits() -> None:
    backlog = Backlog(10, 100)
    for number in range(3):
        backlog.put(frame(number, 60))
    assert taken(backlog) == [0]
    backlog.put(frame(9, 5000))
    assert taken(backlog) == [9]
    assert backlog.dropped == 2


async def test_of_frames_that_need_those_before_them_more_may_wait() -> None:
    backlog = Backlog()
    coded = StreamFormat("h264", 2, 2, b"sets")
    for number in range(BACKLOG_CODED_FRAMES + 2):
        backlog.put(replace(frame(number), format=coded))
    assert backlog.dropped == 2 and len(taken(backlog)) == BACKLOG_CODED_FRAMES > BACKLOG_FRAMES


async def test_a_gap_always_fits_and_of_repeated_gaps_one_is_kept() -> None:
    backlog = Backlog(2, 1000)
    for item in (frame(1), frame(2), Gap("a"), Gap("b"), Gap("c")):
        backlog.put(item)
    assert taken(backlog) == [1, 2, "gap"]
    assert backlog.dropped == 0


async def test_after_a_dropped_frame_all_frames_up_to_the_next_keyframe_are_dropped() -> None:
    backlog = Backlog(2, 1000)
    for number in range(3):
        backlog.put(frame(number))
    assert taken(backlog) == [0, 1]
    for number in range(3, 6):
        backlog.put(replace(frame(number), keyframe=number == 5))
    assert taken(backlog) == [5]
    backlog.put(replace(frame(6), keyframe=False))
    assert taken(backlog) == [6] and backlog.dropped == 3


async def test_nothing_follows_the_end_of_the_source() -> None:
    backlog = Backlog(10, 1000)
    for item in (frame(1), Gap("x"), END_OF_SOURCE, Gap("the storage directory was removed or replaced")):
        backlog.put(item)
    assert [backlog.get_nowait() for _ in range(4)] == [frame(1), Gap("x"), END_OF_SOURCE, None]


async def test_a_waiting_reader_gets_the_next_item() -> None:
    backlog = Backlog(2, 1000)
    waiting = asyncio.create_task(backlog.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    backlog.put(frame(1))
    assert await waiting == frame(1)
