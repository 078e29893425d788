"""The head of a plan: what is encoded before copying begins is made in pieces, so that a stream begins soon."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path

import av
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import some
from tests.support.coding import coded_packets, record_coded
from tests.support.damaged_frames import SLICE, damage_frame
from tests.support.recording import SIZE, START_US, US, Stores, capture_times, take_over
from videostore.base.errors import FFmpegError
from videostore.base.ranges import Range
from videostore.clips.copy_range import CopyRange
from videostore.clips.plan import ClipPart, Plan
from videostore.clips.plan_head import begins_late, delay_us, head_to_us
from videostore.media.clip_reader import read_clip_times
from videostore.media.segment import Segment
from videostore.store.store import VideoStore

GOP_S, FPS = 10, 10


def planned(
    begin_s: float, keyframe_s: float | None, *, size: tuple[int, int] = (1280, 720), delay_s: float = 0
) -> Plan:
    """A plan of one segment of 30 s from there on, of which all from a keyframe on is copied."""
    segment = Segment("0.mp4", 0, 30 * US, 1000, *size, "h264", run_us=0)
    keyframe_us = None if keyframe_s is None else round(keyframe_s * US)
    copy = CopyRange(keyframe_us, round(delay_s * US))
    part = ClipPart(segment, Path("0.mp4"), 30 * US, round(begin_s * US), last_length_us=1, copy=copy)
    return Plan(Range(part.first_us, 30 * US), (), (part,), (), 1)


def ends(plan: Plan) -> list[tuple[Segment, int]]:
    return [(part.segment, part.end_us) for part in plan.parts]


def test_what_is_short_or_small_is_encoded_at_once() -> None:
    for plan in (planned(0.9, 1), planned(0, 0), planned(0, 2, size=(160, 144))):
        assert head_to_us(plan, US // 8, ends(plan)) is None and not begins_late(plan)


def test_of_what_is_long_the_beginning_is_encoded_by_itself() -> None:
    plan = planned(1, 10)
    assert begins_late(plan) and head_to_us(plan, US // 8, ends(plan)) == 1_125_000
    assert begins_late(planned(1, None)), "where there is no keyframe, all of it is encoded"


def test_the_beginning_is_longer_than_frames_are_decoded_before_they_are_shown() -> None:
    plan = planned(1, 10, delay_s=3)
    assert delay_us(plan) == 3 * US
    assert 4 * US < (head_to_us(plan, US // 8, ends(plan)) or 0) < 4.1 * US


def test_where_segments_overlap_all_of_it_is_made_at_once() -> None:
    plan = planned(1, 10)
    other = Segment("1.mp4", US, 9 * US, 1000, 1280, 720, "h264", run_us=US)
    assert head_to_us(plan, US // 8, [*ends(plan), (other, other.end_us)]) is None
    assert head_to_us(plan, US // 8, [*ends(plan), (other, US)]) is not None, "it ended before the clip begins"


TIMES = capture_times(29, fps=FPS)


async def taken(blocks: AsyncGenerator[bytes, None]) -> list[bytes]:
    async with contextlib.aclosing(blocks):
        return [block async for block in blocks]


def packet_times(clip: bytes) -> list[tuple[int, int]]:
    """When each frame is shown and decoded, in the order of decoding, from the first one on."""
    with av.open(io.BytesIO(clip)) as container:
        packets = [one for one in container.demux(video=0) if one.size]
        begin = packets[0].pts or 0
        return [((one.pts or 0) - begin, (one.dts or 0) - begin) for one in packets]


def pieces(clip: bytes) -> list[int]:
    """How many frames there are from each keyframe to the next: each piece that is encoded begins with one."""
    with av.open(io.BytesIO(clip)) as container:
        keys = [one.is_keyframe for one in container.demux(video=0) if one.size]
    begins = [number for number, key in enumerate(keys) if key]
    return [end - begin for begin, end in pairwise([*begins, len(keys)])]


async def long_gops(stores: Stores, codec: str = "h264", b_frames: int = 0) -> VideoStore:
    """A recording with a keyframe each 10 s."""
    packets = coded_packets(TIMES, codec, gop=GOP_S * FPS, b_frames=b_frames, size=SIZE)
    await record_coded(stores.storage, packets)
    await take_over(stores.storage)
    return await stores.open()


LONG_S, WITHIN_A_GOP_S = 27.3, 9.7
RANGES = [
    *[("h264", 3, LONG_S), ("hevc", 3, WITHIN_A_GOP_S), ("h264", 0, WITHIN_A_GOP_S), ("hevc", 3, LONG_S)],
    *[("h264", 0, LONG_S), ("hevc", 0, LONG_S), ("h264", 3, WITHIN_A_GOP_S), ("hevc", 0, WITHIN_A_GOP_S)],
]
"""Codec, B frames between two others, and the end."""


@some("range", RANGES, 2)
async def test_it_begins_with_a_piece_of_the_head_and_has_each_frame_once(
    stores: Stores, range: tuple[str, int, float]
) -> None:
    codec, b_frames, to_s = range
    store = await long_gops(stores, codec, b_frames)
    from_us, to_us = START_US + 330_000, START_US + round(to_s * US)
    blocks = await taken(store._send_video(from_us, to_us))
    clip, whole = b"".join(blocks), b"".join(await taken(store.stream(from_us, to_us)))
    assert packet_times(clip) == packet_times(whole)
    painted = [frame.captured_us for _, frame in read_clip(clip) if frame is not None]
    assert painted == [frame.captured_us for _, frame in read_clip(whole) if frame is not None]
    assert painted == [one for one in TIMES if from_us <= one < to_us]
    assert pieces(whole)[0] > 80 and pieces(clip)[0] <= 8
    decoded = [one for _, one in packet_times(clip)]
    assert decoded == sorted(set(decoded))


async def test_a_short_range_tells_the_times_of_all_of_it(stores: Stores, tmp_path: Path) -> None:
    store = await long_gops(stores)
    from_us, to_us = START_US + 330_000, START_US + 9_900_000
    for name, blocks in (
        ("early.mp4", store._send_video(from_us, to_us)),
        ("whole.mp4", store.stream(from_us, to_us)),
    ):
        (tmp_path / name).write_bytes(b"".join(await taken(blocks)))
    assert read_clip_times(tmp_path / "early.mp4") == read_clip_times(tmp_path / "whole.mp4")
    assert pieces((tmp_path / "early.mp4").read_bytes())[0] <= 8


async def test_what_turns_out_to_be_damaged_behind_the_first_piece_is_never_told_of(
    stores: Stores, tmp_path: Path
) -> None:
    """The times of all of it are told before it is decoded: it ends with an error, and the next does not tell them."""
    await (await long_gops(stores)).close()
    segment = min(stores.storage.glob("*.mp4"))
    damage_frame(segment, 5, 0, SLICE)
    store = await stores.open()
    from_us, to_us = START_US + 330_000, START_US + 9_900_000
    with pytest.raises(FFmpegError) as error:
        await taken(store._send_video(from_us, to_us))
    assert error.value.code == "clip-incomplete"
    clip, path = b"".join(await taken(store._send_video(from_us, to_us))), tmp_path / "clip.mp4"
    path.write_bytes(clip)
    painted = [frame and frame.captured_us for _, frame in read_clip(clip)]
    assert painted == [one for one in TIMES if from_us <= one < to_us][: len(painted)] and len(painted) > 40
    assert read_clip_times(path).unlisted == 1


async def test_a_piece_of_which_nothing_can_be_decoded_is_left_out(stores: Stores) -> None:
    await (await long_gops(stores)).close()
    segment = min(stores.storage.glob("*.mp4"))
    damage_frame(segment, 0, 3, SLICE)
    store = await stores.open()
    from_us, to_us = START_US + 330_000, START_US + 27 * US
    clip, whole = [
        b"".join(await taken(blocks)) for blocks in (store._send_video(from_us, to_us), store.stream(from_us, to_us))
    ]
    assert packet_times(clip) == packet_times(whole)
