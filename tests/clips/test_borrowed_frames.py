"""Clips of recordings in which segments begin with open GOPs: frames at the beginning of a file need the one before."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import random
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from PIL import Image

from scripts.fakes.painted_camera import read_clip, read_paint
from tests.support.amount import at_most, cut_short
from tests.support.clapping import clapping, described_until
from tests.support.coded_stream import FPS, Coding, code, painted_number
from tests.support.coded_stream import SIZE as CODED_SIZE
from tests.support.coding import record_coded
from tests.support.damaged_frames import flip_bits
from tests.support.open_gops import TIMES, OpenGops, number_of, painted, time_of
from tests.support.recording import (
    LOGGER,
    SMALL,
    START_US,
    US,
    Feed,
    FixedClock,
    capture_times,
    record,
    take_over,
    until,
)
from videostore.base.ranges import Range
from videostore.clips.windows import Windows
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
from videostore.media.h26x import inspect_keyframe, parameter_sets
from videostore.media.packet import Packet, StreamFormat
from videostore.storage.segment_files import close_segment
from videostore.storage.verify import verify_directory
from videostore.store.store import VideoStore


async def exported(store: VideoStore, first: int, last: int, path: Path) -> list[int]:
    """The frames that a player shows of a clip from one frame to another one."""
    return painted((await store.export(time_of(first), time_of(last), path, overwrite=True)).path)


async def test_clips_on_both_sides_of_an_open_gop_are_exact(open_gops: OpenGops, tmp_path: Path) -> None:
    _, border, other = open_gops.begins
    report = await verify_directory(open_gops.directory, decode=True)
    assert not report.findings
    ranges = [
        (0, len(TIMES)),  # copied
        (border - 1, border),  # what the next file holds of the time before it
        (border - 3, border),
        (border - 1, border + 2),
        (border, border + 7),
        (border - 20, other + 2),
        (border + 2, other),
        (4, other + 8),
    ]
    async with VideoStore.open(open_gops.directory) as store:
        for first, last in ranges:
            shown = await exported(store, first, last, tmp_path / "clip.mp4")
            assert shown == list(range(first, last)), (first, last)


@cut_short
async def test_both_containers_hold_exactly_the_frames_of_any_range_around_open_gops(open_gops: OpenGops) -> None:
    keyframes = range(0, len(TIMES) + 1, 15)
    places = sorted({place for one in keyframes for place in range(one - 4, one + 4) if 0 <= place <= len(TIMES)})
    ranges = list(itertools.combinations(places, 2))
    random.Random(7).shuffle(ranges)
    async with VideoStore.open(open_gops.directory) as store:
        for number, (first, last) in enumerate(ranges[: at_most(len(ranges), 12)]):
            container = "fmp4" if number % 2 else "mp4"
            clip = await store.fetch(time_of(first), time_of(last), container=container)
            shown = read_clip(clip.data)
            assert [one and number_of(one.captured_us) for _, one in shown] == list(range(first, last)), (first, last)
            moved = [position - shown[0][0] - number for number, (position, _) in enumerate(shown)]
            assert max(map(abs, moved)) < 15e-6 and clip.ranges is None, (container, first, last)


async def test_a_long_stream_is_that_of_one_clip(open_gops: OpenGops) -> None:
    async def taken(blocks: AsyncGenerator[bytes, None]) -> list[tuple[Any, Any, bytes]]:
        data = b"".join([block async for block in blocks])
        with av.open(io.BytesIO(data)) as container:
            packets = [one for one in container.demux(video=0) if one.size]
            # Tagged `hev1`, for an end that has parameter sets of its own, it repeats the sets before each keyframe.
            return [(one.pts - packets[0].pts, one.dts - packets[0].dts, bytes(one)[-300:]) for one in packets]

    async with VideoStore.open(open_gops.directory) as store:
        for first in (0, open_gops.begins[1]):
            end_us = TIMES[-1] + 1
            early = await taken(store._send_video(TIMES[first], end_us))
            assert early == await taken(store.stream(TIMES[first], end_us)) and len(early) == len(TIMES) - first


async def test_a_window_whose_last_frames_do_not_decode_lacks_none_of_the_frames_at_its_beginning(
    open_gops: OpenGops, tmp_path: Path
) -> None:
    """Its first file begins with frames of the window before. Its end is encoded, which shows the damage."""
    storage = open_gops.copy(tmp_path / "storage", 0, 1, 2)
    path, last = sorted(storage.glob("*.mp4"))[2], open_gops.begins[2] + 10
    (lost,) = [one for one in read_fragments(path).fragments if one.times_us == (time_of(last - 6),)]
    # The length and the header of its NAL unit stay, so that only a decoder finds it.
    flip_bits(path, *range(lost.body_byte + 6, lost.end_byte), bits=0x55)
    async with VideoStore.open(storage) as store:
        whole = painted(b"".join([block async for block in store.stream(TIMES[0], time_of(last))]))
        assert whole == list(range(len(whole))) and len(whole) < last, "the end is left out"
        assert painted(b"".join([block async for block in store._send_video(TIMES[0], time_of(last))])) == whole


async def test_a_window_in_which_nothing_is_damaged_is_not_planned_again(open_gops: OpenGops, tmp_path: Path) -> None:
    async with VideoStore.open(open_gops.directory) as store:
        planner, asked = store._clips.planner, Range(TIMES[0], TIMES[-1] + 1)
        windows, is_last = Windows(planner, store._archive, store._clips.workspaces, asked), False
        while not is_last:
            async with windows.next(asked.to_us) as window:
                assert await planner.replan(window.plan, tmp_path) is None, windows.passed
                is_last = window.last
    assert windows.passed == 2


async def test_a_snapshot_shows_the_frame_that_the_next_file_holds(open_gops: OpenGops) -> None:
    _, border, _ = open_gops.begins
    async with VideoStore.open(open_gops.directory) as store:
        for number in (border - 2, border - 1, border, border + 1):
            found = await store.snapshot(TIMES[number] + US // 2)
            paint = read_paint(numpy.asarray(Image.open(io.BytesIO(found.jpeg)).convert("L")))
            assert paint is not None and paint.captured_us == TIMES[number] == found.captured_us


async def test_without_the_segment_before_it_one_begins_with_its_keyframe(open_gops: OpenGops, tmp_path: Path) -> None:
    _, border, _ = open_gops.begins
    copy = open_gops.copy(tmp_path / "storage", 1, 2)
    async with VideoStore.open(copy) as store:
        for last in (border + 4, len(TIMES)):
            clip = await store.export(TIMES[0], TIMES[last - 1] + 1, tmp_path / "clip.mp4", overwrite=True)
            assert painted(clip.path) == list(range(border, last))
            assert clip.ranges is not None and clip.ranges[0].from_us == TIMES[border]


@cut_short
async def test_where_the_format_changes_what_is_encoded_window_by_window_lacks_no_frame(
    open_gops: OpenGops, tmp_path: Path
) -> None:
    """The windows last half a second, two seconds and eight, so some end among the frames that the next file holds."""
    directory = open_gops.copy(tmp_path / "storage", 0, 1, 2)
    after = capture_times(1, TIMES[-1] + 2 * US, fps=4)
    await record(directory, after, size=SMALL)
    await take_over(directory)
    _, border, _ = open_gops.begins
    async with VideoStore.open(directory) as store:
        for first in (border - 4, border - 1, *range(at_most(border, 0))):
            blocks = [block async for block in store._send_video(TIMES[first], after[-1] + 1)]
            assert painted(b"".join(blocks))[: -len(after)] == list(range(first, len(TIMES))), first


async def test_a_clip_that_ends_at_a_border_has_the_frames_of_the_next_file_or_says_that_it_ends_before_them(
    tmp_path: Path,
) -> None:
    """They are in no file yet when the segment is closed. Here they come earlier than the last frame's usual length."""
    coded = code(Coding("hevc", b_frames=2, open_gop=True, length_s=4))
    seen = inspect_keyframe("hevc", coded[0].data)
    format = StreamFormat("hevc", *CODED_SIZE, parameter_sets("hevc", coded[0].data), reordered=seen.reordered)
    number = [at for at, one in enumerate(coded) if one.keyframe][2]
    border = coded[number].shown
    times = [START_US + place * US // FPS - (border - 3 < place < border) * US // 50 for place in range(len(coded))]
    packets = [Packet(format, one.data, times[one.shown], one.keyframe) for one in coded]
    feed = Feed(*packets[: number + 4])
    config = StorageConfig(1, tmp_path / "storage", tmp_path / "upload", 2, None)
    source = {"source": feed, "encoder": Encoder.copy(FPS), "clock": FixedClock(times[-1])}
    async with VideoStore("cam", config, logger=LOGGER, **source) as store:  # type: ignore[arg-type]
        await until(lambda: store.health().segments == 1)
        for last in (border - 2, border - 1, border):
            clip = await store.fetch(times[0], times[last - 1] + 1)
            shown = [one and painted_number(one.captured_us) for _, one in read_clip(clip.data)]
            assert shown == list(range(border - 2))
            held = Range(times[0], times[border - 3] + 1)
            assert clip.ranges == ((held,) if last > border - 2 else None), last
        save = await store.save(times[0], times[border], wait=False)
        feed.put(*packets[number + 4 :])
        await until(lambda: store.health().pending_saves == 0)
        assert (await store.save_status(save.file_name)).ranges is None
        shown = [one and painted_number(one.captured_us) for _, one in read_clip(save.path)]
        assert shown == list(range(border))


async def test_borrowed_frames_that_do_not_decode_are_left_out_and_told(open_gops: OpenGops, tmp_path: Path) -> None:
    border = open_gops.begins[1]
    storage = open_gops.copy(tmp_path / "storage", 0, 1)
    path = sorted(storage.glob("*.mp4"))[1]
    (lost,) = [one for one in read_fragments(path).fragments if one.times_us == (time_of(border - 1),)]
    damaged = bytearray(path.read_bytes())
    for at in range(lost.body_byte, lost.end_byte):
        damaged[at] ^= 0x55
    path.write_bytes(damaged)
    async with VideoStore.open(storage) as store:
        done = await store.export(time_of(border - 6), time_of(border), tmp_path / "clip.mp4")
    shown = painted(done.path)
    assert shown == list(range(border - 6, border - open_gops.leading)), "no decoder's guess is shown"
    assert done.ranges is not None and done.ranges[-1].to_us <= time_of(border - open_gops.leading)
    assert [one.to_us for one in done.damaged] == [time_of(border)]


def with_sound(packets: list[Packet]) -> list[Packet]:
    """The same of a camera that hears a tone, which comes with the frames."""
    heard = clapping(10, tone=True)
    later_us = packets[0].captured_us - START_US
    sounds = [replace(sound, captured_us=sound.captured_us + later_us) for one in heard.packets for sound in one.sound]
    sent, latest_us = [], -(1 << 62)
    for one in packets:
        now = tuple(sound for sound in sounds if latest_us < sound.captured_us <= one.captured_us)
        latest_us = max(latest_us, one.captured_us)
        sent.append(replace(one, format=replace(one.format, sound=heard.packets[0].format.sound), sound=now))
    return sent


def open_gop_packets(codec: str, from_us: int) -> list[Packet]:
    """What a camera with open GOPs sends in 10 s."""
    coded = code(Coding(codec, b_frames=2, open_gop=True, length_s=10))
    seen = inspect_keyframe(codec, coded[0].data)
    format = StreamFormat(codec, *CODED_SIZE, parameter_sets(codec, coded[0].data), reordered=seen.reordered)
    return [Packet(format, one.data, from_us + one.shown * US // FPS, one.keyframe) for one in coded]


@pytest.mark.parametrize("codec", ["hevc", "h264"])
async def test_a_clip_with_sound_may_end_where_a_segment_begins_or_just_behind(tmp_path: Path, codec: str) -> None:
    packets, storage = with_sound(open_gop_packets(codec, START_US)), tmp_path / "storage"
    run = await record_coded(storage, packets)
    for path in sorted(storage.glob("*.open")):
        close_segment(path, finished_only=True, run=run)
    times = sorted(one.captured_us for one in packets)
    begins = sorted(read_fragments(one).start_us for one in storage.glob("*.mp4"))
    border = times.index(begins[2])
    async with VideoStore.open(storage) as store:
        for last in (border - 1, border, border + 1, border + 2):
            clip = await store.fetch(times[border - 20], times[last])
            shown = [one and painted_number(one.captured_us) for _, one in read_clip(clip.data)]
            assert shown == list(range(border - 20, last)), last


@pytest.mark.parametrize("codec", ["hevc", "h264"])
async def test_who_follows_waits_for_the_file_that_may_hold_the_last_frames_of_the_one_before(
    tmp_path: Path, codec: str
) -> None:
    packets = open_gop_packets(codec, time.time_ns() // 1000 + 1000 * US)
    storage, aside = tmp_path / "storage", tmp_path / "aside"
    run = await record_coded(storage, packets)
    for path in sorted(storage.glob("*.open")):
        close_segment(path, finished_only=True, run=run)
    aside.mkdir()
    for path in sorted(storage.glob("*.mp4"))[1:]:
        path.rename(aside / path.name)
    data, looks = b"", 0
    async with VideoStore.open(storage) as store:
        asked = Range(packets[0].captured_us, sorted(one.captured_us for one in packets)[-FPS])
        async with contextlib.aclosing(store._delivery.video(asked, "fmp4", follow=True)) as blocks:
            async for block in blocks:
                data, looks = data + block, looks + (not block)
                for path in list(aside.iterdir()) if looks == 5 else []:
                    path.rename(storage / path.name)
    shown = [one and painted_number(one.captured_us) for _, one in read_clip(data)]
    assert shown == list(range(len(packets) - FPS))


@pytest.mark.parametrize(("codec", "sounds"), [("hevc", False), ("hevc", True), ("h264", True)])
async def test_who_follows_a_recording_of_open_gops_sees_each_frame_once_and_in_order(
    tmp_path: Path, codec: str, sounds: bool
) -> None:
    """And hears all of its sound, without a hole."""
    later_us = time.time_ns() // 1000 + 1000 * US
    packets = open_gop_packets(codec, later_us)
    packets = with_sound(packets) if sounds else packets
    storage, came, last_us = tmp_path / "storage", asyncio.Event(), later_us + (len(packets) - FPS) * US // FPS

    async def paced() -> AsyncGenerator[Packet, None]:
        """Half of it at once, and the rest as the stream takes it."""
        for number, one in enumerate(packets):
            if number == len(packets) // 2:
                await asyncio.wait_for(came.wait(), 150)
            if number > len(packets) // 2 and one.keyframe:
                so_far = one.captured_us - 4 * US
                await until(lambda so_far=so_far: described_until(storage) >= so_far)  # type: ignore[misc]
            yield one

    data = b""
    async with VideoStore.record(storage, paced(), size_gb=1, segment_seconds=2, codec="copy", live=False) as store:
        asked = Range(packets[0].captured_us, last_us)
        async with contextlib.aclosing(store._delivery.video(asked, "fmp4", follow=True)) as blocks:
            async for block in blocks:
                data += block
                if block:
                    came.set()
        await asyncio.wait_for(store.ended(), 150)
    shown = [one and painted_number(one.captured_us) for _, one in read_clip(data)]
    assert shown == list(range(len(packets) - FPS))
    with av.open(io.BytesIO(data)) as container:
        assert len(container.streams.audio) == sounds
        heard = [one for one in container.demux(audio=0) if one.size] if sounds else []
    recorded = [sound.data for one in packets for sound in one.sound]
    if sounds:
        begin = recorded.index(bytes(heard[0]))
        assert begin < 3, "what is heard before the first frame is left out"
        heard_until = begin + len(heard)
        assert [bytes(one) for one in heard] == recorded[begin:heard_until], "nothing is missing, doubled or silent"
        places = [one.pts for one in heard]
        assert len({after - before for before, after in itertools.pairwise(places)}) == 1
        sound_s = float((places[-1] - places[0]) * heard[0].time_base)
        assert abs(sound_s - len(shown) / FPS) < 0.2, "as long as the video"
