"""Long streams: frames and times are those of the clip that is planned whole, and the first bytes come early."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
from fractions import Fraction
from pathlib import Path

import av
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import at_most, cut_short, some
from tests.support.coding import coded_packets, record_coded
from tests.support.damage import overwrite_header, segment
from tests.support.disturbances import ffmpegs
from tests.support.foreign_recording import FPS, FRAME_US, write_foreign_video
from tests.support.inputs import Tap, open_input, store_of
from tests.support.marked import marked
from tests.support.recording import (
    H264,
    H265,
    SIZE,
    SMALL,
    START_US,
    US,
    Stores,
    capture_times,
    record,
    take_over,
    until,
)
from tests.support.streamed import taken
from videostore.base.errors import FFmpegError, NothingStoredError, VideoStoreError
from videostore.base.ranges import Range, merge_ranges
from videostore.clips.long_stream import LongStream
from videostore.clips.windows import Windows
from videostore.ffmpeg.encoder import Encoder
from videostore.media.clip_reader import read_clip_times
from videostore.store.store import VideoStore

Packets = list[tuple[int | None, int | None, bytes]]


def packets_of(clip: bytes) -> Packets:
    """Times count from the first frame: with B frames a stream that is made window by window has no edit list, and
    begins as much later as its first frame is decoded before it is shown, less than a millisecond."""
    with av.open(io.BytesIO(clip)) as container:
        packets = [one for one in container.demux(video=0) if one.size]
        begin = packets[0].pts
        assert 0 <= begin * packets[0].time_base < Fraction(1, 1000)
        return [(one.pts - begin, one.dts - begin, bytes(one)) for one in packets]


def encoded_packets(clip: bytes) -> int:
    """How many packets there may be of what is encoded before the first keyframe that is copied."""
    with av.open(io.BytesIO(clip)) as container:
        keyframes = [one.is_keyframe for one in container.demux(video=0) if one.size]
    return next((number for number, key in enumerate(keyframes) if key and number), len(keyframes))


async def assert_same(store: VideoStore, from_us: int, to_us: int) -> None:
    early = await taken(store._send_video(from_us, to_us))
    whole = await taken(store.stream(from_us, to_us))
    assert b"mfra" in whole and b"mfra" not in early, "it was not made window by window"
    # What is encoded before the first keyframe is encoded in several pieces, and H.265 that is tagged `hev1` repeats
    # other parameter sets before its keyframes, which are not needed.
    packets, expected = packets_of(early), packets_of(whole)
    assert [one[:2] for one in packets] == [one[:2] for one in expected]
    if b"hev1" not in early:
        copied_from = encoded_packets(whole)
        assert packets[copied_from:] == expected[copied_from:]
    assert [one for _, one in read_clip(early)] == [one for _, one in read_clip(whole)]


@pytest.fixture
async def store(stores: Stores) -> VideoStore:
    """A recording of 20 s in segments of 2 s, with a gap of 3 s in it."""
    await record(stores.storage, capture_times(13))
    await record(stores.storage, capture_times(7, START_US + 16 * US, seed=4))
    await take_over(stores.storage)
    return await stores.open()


@some(("from_s", "to_s"), [(0.3, 23), (1.999, 18.5), (5.05, 12.95), (0, 22.7), (-30, 60), (12.9, 22), (14, 22)], 3)
async def test_it_has_the_frames_and_the_times_of_the_clip_that_is_planned_whole(
    store: VideoStore, from_s: float, to_s: float
) -> None:
    await assert_same(store, START_US + round(from_s * US), START_US + round(to_s * US))


@pytest.mark.parametrize(("from_s", "to_s"), [(5.05, 12), (1.3, 22), (11.5, 22.7)])
async def test_a_range_of_the_past_is_whole_also_if_it_is_followed(
    store: VideoStore, from_s: float, to_s: float
) -> None:
    """Where the first segment has no keyframe in the range, nothing of it can be copied."""
    asked = START_US + round(from_s * US), START_US + round(to_s * US)
    followed, expected = [await taken(store._send_video(*asked, follow=follow)) for follow in (True, False)]
    assert [frame for frame, _ in read_clip(followed)] == [frame for frame, _ in read_clip(expected)]


@pytest.mark.parametrize("encoder", [H265, Encoder("libx264", 1_000_000, "medium", 20)])
async def test_whatever_the_recorder_encodes_with(stores: Stores, encoder: Encoder) -> None:
    await record(stores.storage, capture_times(9), size=SMALL, encoder=encoder)
    await take_over(stores.storage)
    await assert_same(await stores.open(), START_US + 500_000, START_US + 8 * US)


CODED_STREAMS = [
    *[(3, 3, "hevc, open GOPs"), (1, 3, "hevc"), (3, 3, "h264"), (1, 0, "h264")],
    *[(1, 3, "hevc, open GOPs"), (3, 3, "hevc"), (1, 3, "h264"), (3, 0, "h264"), (1, 0, "hevc"), (3, 0, "hevc")],
]
"""Seconds from a keyframe to the next, B frames between two others, and coding."""


@cut_short
@some("coded", CODED_STREAMS, 2)
async def test_a_stream_that_was_recorded_as_it_came(tmp_path: Path, binary: str, coded: tuple[int, int, str]) -> None:
    gop_s, b_frames, coding = coded
    times = [START_US + number * FRAME_US for number in range(12 * FPS)]
    path, keyint = tmp_path / "input.mp4", gop_s * FPS
    params = f"keyint={keyint}:min-keyint={keyint}:scenecut=0:bframes={b_frames}:b-adapt=0"
    if coding == "h264":
        options = {"c:v": "libx264", "preset": "veryfast", "x264-params": f"{params}:b-pyramid=normal:open-gop=0"}
    else:
        params = f"log-level=error:{params}:open-gop={int('open' in coding)}"
        options = {"c:v": "libx265", "preset": "ultrafast", "tag:v": "hvc1", "x265-params": params}
    await write_foreign_video(path, times, options)
    source = Tap(open_input(path, binary))
    async with store_of(source, tmp_path, binary, live=False) as store:
        await asyncio.wait_for(store.ended(), 150)
        recorded = sorted(source.times_us)
        await until(lambda: store.health().segments > 3)
        for first, last in ((0, -1), (4, -7), (FPS // 2, -FPS), (7, 9 * FPS + 2))[: at_most(4, 2)]:
            await assert_same(store, recorded[first], recorded[last])


async def test_its_tags_tell_its_beginning_and_that_there_is_more(store: VideoStore, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(await taken(store._send_video(START_US + US, START_US + 20 * US)))
    times = read_clip_times(tmp_path / "clip.mp4")
    assert times.unlisted == 1 and times.recorder == "cam" and abs(times.first_us - START_US - US) < US // 2
    assert times.at(0) == times.first_us


async def test_a_short_range_is_the_clip_that_is_planned_whole(store: VideoStore) -> None:
    from_us, to_us = START_US + US, START_US + 3 * US
    assert await taken(store._send_video(from_us, to_us)) == await taken(store.stream(from_us, to_us))


@pytest.mark.parametrize(
    ("first", "second"), [((SIZE, H264), (SMALL, H264)), ((SMALL, H264), (SIZE, H264)), ((SIZE, H265), (SIZE, H264))]
)
async def test_where_the_format_changes_it_is_one_window_by_window(
    stores: Stores, first: tuple[tuple[int, int], Encoder], second: tuple[tuple[int, int], Encoder]
) -> None:
    await record(stores.storage, capture_times(7), size=first[0], encoder=first[1])
    await record(stores.storage, capture_times(5, START_US + 8 * US, seed=3), size=second[0], encoder=second[1])
    await record(stores.storage, capture_times(5, START_US + 14 * US), size=first[0], encoder=first[1])
    await take_over(stores.storage)
    opened = await stores.open()
    from_us, to_us = START_US + US // 3, START_US + 18 * US
    early, whole = await taken(opened._send_video(from_us, to_us)), await taken(opened.stream(from_us, to_us))
    assert b"mfra" in whole and b"mfra" not in early
    assert read_clip(early) == read_clip(whole)
    with av.open(io.BytesIO(early)) as container:
        video = container.streams.video[0].codec_context
        assert (video.name, video.width, video.height) == ("h264", *SIZE)


@pytest.mark.parametrize("sizes", [(SMALL, SIZE), (SIZE, SMALL)])
@some(("begins_s", "lasts_s"), [(1.5, 5), (0.9, 1.2), (7.8, 3), (3, 2.5)], 2)
async def test_where_segments_of_two_formats_overlap_it_has_all_frames_of_both(
    stores: Stores, sizes: tuple[tuple[int, int], tuple[int, int]], begins_s: float, lasts_s: float
) -> None:
    """As where the end of a segment is a guess, or after the clock was set back."""
    first = capture_times(8, seed=None)
    second = capture_times(lasts_s, START_US + round(begins_s * US) + 1, seed=5)
    await record(stores.storage, first, size=sizes[0], segment_seconds=10)
    await record(stores.storage, second, size=sizes[1], segment_seconds=10)
    await take_over(stores.storage)
    opened = await stores.open()
    clip = await asyncio.wait_for(taken(opened._send_video(START_US + 300_000, START_US + 60 * US)), 120)
    shown = [one.captured_us if one else 0 for _, one in read_clip(clip, [SIZE, SMALL])]
    assert sorted(shown) == sorted([*first[3:], *second])


async def test_what_has_the_format_of_the_whole_is_copied(stores: Stores) -> None:
    await record(stores.storage, capture_times(6))
    await record(stores.storage, capture_times(3, START_US + 7 * US), size=SMALL)
    await record(stores.storage, capture_times(6, START_US + 11 * US))
    await take_over(stores.storage)
    opened = await stores.open()
    clip = packets_of(await taken(opened._send_video(START_US, START_US + 18 * US)))
    stored = [
        bytes(one) for path in sorted(stores.storage.glob("*.mp4")) for _, _, one in packets_of(path.read_bytes())
    ]
    copied = sum(any(one.endswith(frame[-200:]) for frame in stored) for _, _, one in clip)
    assert 110 < copied < len(clip) - 25


async def test_before_the_first_bytes_only_the_beginning_is_planned(
    store: VideoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[int] = []
    plan = Windows._plan

    async def counted(self: Windows, found, border, asked, work):  # type: ignore[no-untyped-def]
        planned.append(len(found))
        return await plan(self, found, border, asked, work)

    monkeypatch.setattr(Windows, "_plan", counted)
    async with contextlib.aclosing(store._send_video(START_US + US, START_US + 23 * US)) as blocks:
        async for _ in blocks:
            break
    assert sum(planned) <= 3


async def test_a_reader_that_stops_ends_ffmpeg_and_gives_the_recording_free(store: VideoStore, stores: Stores) -> None:
    async with contextlib.aclosing(store._send_video(START_US + US, START_US + 23 * US)) as blocks:
        async for _ in blocks:
            assert store._holds.ranges
            break
    assert not ffmpegs("pipe:1") and not store._holds.ranges
    assert not list((stores.storage / ".cuts").glob("*"))


async def test_an_ffmpeg_that_is_killed_midway_is_an_error(store: VideoStore) -> None:
    with pytest.raises(FFmpegError):
        async with contextlib.aclosing(store._send_video(START_US + US, START_US + 23 * US)) as blocks:
            async for _ in blocks:
                for process in ffmpegs("pipe:1"):
                    process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("indexed", [True, False])
async def test_a_segment_that_is_deleted_midway_is_an_error(store: VideoStore, stores: Stores, indexed: bool) -> None:
    victim = sorted(stores.storage.glob("*.mp4"))[-2]
    with pytest.raises(FFmpegError) as error:
        async with contextlib.aclosing(store._send_video(START_US + US, START_US + 23 * US)) as blocks:
            async for _ in blocks:
                if victim.exists():
                    os.unlink(victim)
                    if indexed:
                        await store._archive.forget([victim.name])
    assert error.value.code == "clip-incomplete"


async def test_what_is_being_sent_is_kept_from_the_quota_and_deleted_afterwards(
    store: VideoStore, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_us, to_us = START_US + US, START_US + 23 * US
    whole = packets_of(await taken(store.stream(from_us, to_us)))
    stored, sent = len(list(stores.storage.glob("*.mp4"))), b""
    monkeypatch.setattr(store._retention, "_quota_bytes", 1)
    async with contextlib.aclosing(store._send_video(from_us, to_us)) as blocks:
        async for block in blocks:
            sent += block
            await store._retention.enforce()
    assert packets_of(sent) == whole
    await store._retention.enforce()
    assert len(list(stores.storage.glob("*.mp4"))) < stored / 2


async def test_a_store_that_closes_midway_is_an_error(store: VideoStore) -> None:
    with pytest.raises(VideoStoreError) as error:
        async with contextlib.aclosing(store._send_video(START_US + US, START_US + 23 * US)) as blocks:
            async for _ in blocks:
                await store.close()
    assert error.value.code == "closed"


async def test_a_store_that_closes_while_a_stream_waits_for_frames_is_an_error(
    store: VideoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, waits = LongStream._newest, asyncio.Event()

    async def looked(self: LongStream, windows: Windows, to_us: int) -> tuple[int, bool] | None:
        found = await look(self, windows, to_us)
        if found is None:
            waits.set()
        return found

    monkeypatch.setattr(LongStream, "_newest", looked)
    following = asyncio.ensure_future(taken(store._send_video(START_US + US, None, follow=True)))
    await waits.wait()
    await store.close()
    with pytest.raises(VideoStoreError) as error:
        await following
    assert error.value.code == "closed"


async def test_a_range_without_frames_is_refused_as_ever(store: VideoStore) -> None:
    for from_us, to_us in ((START_US + 13_500_000, START_US + 15 * US), (START_US - 9 * US, START_US - US)):
        with pytest.raises(NothingStoredError) as early:
            await taken(store._send_video(from_us, to_us))
        with pytest.raises(NothingStoredError) as whole:
            await taken(store.stream(from_us, to_us))
        assert str(early.value) == str(whole.value)


@pytest.mark.parametrize("number", [0, 3])
async def test_what_cannot_be_read_is_left_out_as_ever_and_the_times_of_an_mp4_tell_it(
    stores: Stores, number: int, tmp_path: Path
) -> None:
    await record(stores.storage, capture_times(13), segment_seconds=3)
    await take_over(stores.storage)
    overwrite_header(segment(stores.storage, number), 1)
    store = await stores.open()
    from_us, to_us = START_US + 300_000, START_US + 12 * US
    await assert_same(store, from_us, to_us)
    (tmp_path / "clip.mp4").write_bytes(await taken(store._send_video(from_us, to_us, container="mp4")))
    held = (await store.fetch(from_us, to_us)).ranges
    assert held is not None and len(held) == 2
    told = merge_ranges([Range(one.from_us, one.to_us) for one in read_clip_times(tmp_path / "clip.mp4").stretches])
    assert told[0].to_us == pytest.approx(held[0].to_us, abs=1000)
    assert told[-1].from_us == pytest.approx(held[1].from_us, abs=1000)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_frames_that_came_damaged_are_in_it_with_their_marks(tmp_path: Path, codec: str) -> None:
    packets = marked(coded_packets(capture_times(9), codec, gop=10), 44, 49)
    await record_coded(tmp_path / "storage", packets, segment_seconds=2)
    await take_over(tmp_path / "storage")
    times = [one.captured_us for one in packets]
    async with VideoStore.open(tmp_path / "storage") as store:
        clip = await taken(store._send_video(times[0], times[-1]))
        assert len((await store.state()).damaged) == 1, "where a client of the service reads of it"
    assert b"mfra" not in clip and len(packets_of(clip)) == len(times) - 1
    assert clip.count(b"videostore damaged since=") == 6
