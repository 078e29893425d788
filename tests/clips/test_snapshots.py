from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import time
from pathlib import Path

import ffmpeg
import numpy
import pytest
from PIL import Image

from scripts.fakes.painted_camera import read_paint
from tests.support.clocked_recording import StartClocked
from tests.support.coding import coded_packets, record_coded
from tests.support.colour_patches import (
    PICTURES,
    TOLERANCE,
    expected_patches,
    largest_difference,
    patches,
    shown_patches,
)
from tests.support.damaged_frames import HEADER, LENGTH, SLICE, damage_frame
from tests.support.marked import LOST, cut_off_slice, marked
from tests.support.recording import (
    H265,
    START_US,
    US,
    Feed,
    Pulse,
    Stores,
    capture_times,
    record,
    take_over,
    until,
    write_foreign,
)
from videostore.base.errors import NothingStoredError, RequestError, UnreadableRangeError
from videostore.base.ranges import UNREADABLE, Range
from videostore.clips.picture import Snapshot
from videostore.clips.picture_decoder import shared_decoders
from videostore.clips.snapshots import MOST_WAITING, PICTURES_AT_ONCE
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.images import read_picture
from videostore.media.packet import Gap, Packet
from videostore.store.store import VideoStore


def painted_us(found: Snapshot) -> int:
    """The capture time that the picture itself shows."""
    image = Image.open(io.BytesIO(found.jpeg))
    assert (image.format, image.size) == ("JPEG", (found.width, found.height))
    paint = read_paint(numpy.asarray(image.convert("L")))
    assert paint is not None
    return paint.captured_us


async def test_a_snapshot_is_the_last_frame_captured_by_the_moment(recording: Path, times: list[int]) -> None:
    async with VideoStore.open(recording) as store:
        for at_us, wanted_us in [
            (times[0], times[0]),
            (times[5], times[5]),
            (times[5] + 1, times[5]),
            (times[34] - 1, times[33]),
            (times[-1] + 1000, times[-1]),
        ]:
            found = await store.snapshot(at_us)
            assert (found.captured_us, painted_us(found)) == (wanted_us, wanted_us)
            assert found.exact and found.damaged is None


async def test_a_keyframe_is_shown_where_the_frame_need_not_be_exact(recording: Path, times: list[int]) -> None:
    async with VideoStore.open(recording) as store:
        assert (first := await store.snapshot(times[0] + 1, exact=False)).exact
        assert painted_us(first) == times[0]
        found = await store.snapshot(times[27], exact=False)
        assert times[27] - US <= found.captured_us < times[27] and not found.exact
        assert painted_us(found) == found.captured_us


async def test_a_picture_is_made_narrower_and_never_enlarged(recording: Path, times: list[int]) -> None:
    async with VideoStore.open(recording) as store:
        sizes = [
            (found.width, found.height)
            for width in (160, 320, 1280)
            for found in [await store.snapshot(times[3], width=width)]
        ]
        assert sizes == [(160, 90), (320, 180), (320, 180)]
        for width in (0, 15, 16385, True, 2.5, "wide"):
            with pytest.raises(RequestError) as refused:
                await store.snapshot(times[3], width=width)  # type: ignore[arg-type]
            assert (refused.value.code, refused.value.field) == ("field-wrong", "width")


async def test_hevc_is_shown(tmp_path: Path, binary: str) -> None:
    times = capture_times(3)
    await record(tmp_path / "hevc", times, encoder=H265)
    await take_over(tmp_path / "hevc")
    async with VideoStore.open(tmp_path / "hevc") as store:
        found = await store.snapshot(times[13])
        assert (found.captured_us, painted_us(found), found.damaged) == (times[13], times[13], None)
        assert painted_us(await store.snapshot(times[13], exact=False)) <= times[13]


async def test_a_file_of_the_go_module_is_shown_by_the_second_in_its_name(tmp_path: Path) -> None:
    start_us = START_US // US * US
    await write_foreign(tmp_path / "go" / f"{start_us // US}.mp4")
    async with VideoStore.open(tmp_path / "go") as store:
        found = await store.snapshot(start_us + 1_250_000)
        assert found.captured_us == start_us + 1_200_000 and found.exact
        assert (await store.snapshot(start_us + 1_250_000, exact=False)).captured_us == start_us + 1_000_000
        with pytest.raises(NothingStoredError) as refused:
            await store.snapshot(start_us + 4 * US)
        assert refused.value.before_us == start_us + 2_900_000


async def test_in_a_gap_the_error_names_the_frames_on_both_sides(tmp_path: Path) -> None:
    later = capture_times(2, START_US + 3600 * US)
    earlier = capture_times(2)
    for times in (earlier, later):
        await record(tmp_path / "gap", times)
    await take_over(tmp_path / "gap")
    async with VideoStore.open(tmp_path / "gap") as store:
        with pytest.raises(NothingStoredError) as refused:
            await store.snapshot(START_US + 600 * US)
        assert (refused.value.code, refused.value.at_us) == ("moment-in-gap", START_US + 600 * US)
        assert (refused.value.before_us, refused.value.after_us) == (earlier[-1], later[0])
        with pytest.raises(NothingStoredError) as refused:
            await store.snapshot(START_US - 600 * US)
        assert (refused.value.code, refused.value.after_us) == ("moment-before-first", earlier[0])
        with pytest.raises(NothingStoredError) as refused:
            await store.snapshot(START_US + 9000 * US, exact=False)
        assert (refused.value.code, refused.value.before_us) == ("moment-after-last", later[-1])


async def test_of_an_empty_storage_the_error_says_so(tmp_path: Path) -> None:
    async with VideoStore.open(tmp_path) as store:
        with pytest.raises(NothingStoredError) as refused:
            await store.snapshot(START_US)
        assert refused.value.code == "no-moment"


async def test_the_future_is_refused(recording: Path) -> None:
    async with VideoStore.open(recording) as store:
        with pytest.raises(RequestError) as refused:
            await store.snapshot("2100-01-01T00:00:00Z")
        assert (refused.value.code, refused.value.field) == ("moment-in-future", "at")
        with pytest.raises(NothingStoredError):  # clocks differ a little
            await store.snapshot("now")


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_with_b_frames_each_moment_shows_its_own_frame(tmp_path: Path, codec: str) -> None:
    packets = coded_packets(capture_times(4), codec, gop=10, b_frames=2)
    times = sorted(one.captured_us for one in packets)
    await record_coded(tmp_path / "storage", packets)
    await take_over(tmp_path / "storage")
    async with VideoStore.open(tmp_path / "storage") as store:
        for number in (0, 1, 2, 3, 8, 9, 10, 11, 19, 25):
            found = await store.snapshot(times[number])
            assert (found.captured_us, painted_us(found), found.damaged) == (times[number], times[number], None)
        keyframes = {one.captured_us for one in packets if one.keyframe}
        found = await store.snapshot(times[19], exact=False)
        assert found.captured_us == painted_us(found) == max(one for one in keyframes if one <= times[19])


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_a_picture_of_a_stretch_that_came_damaged_says_so(tmp_path: Path, codec: str) -> None:
    packets = coded_packets(capture_times(4), codec, gop=10)
    damaged = marked(packets, 14, 19)
    damaged[15] = cut_off_slice(damaged[15])
    await record_coded(tmp_path / "storage", damaged)
    await take_over(tmp_path / "storage")
    times = [one.captured_us for one in packets]
    async with VideoStore.open(tmp_path / "storage") as store:
        found = [(await store.snapshot(times[number])).damaged for number in (13, 14, 20)]
        assert found == [None, LOST, None]
        try:
            assert (await store.snapshot(times[17])).damaged == LOST
        except UnreadableRangeError as error:  # ffmpeg 9 shows nothing then, 5.1 does
            assert (error.code, codec) == ("moment-unreadable", "hevc")
        assert (await store.snapshot(times[17], exact=False)).damaged is None  # the keyframe came whole


@pytest.mark.parametrize("damage", [LENGTH, HEADER, SLICE])
async def test_a_picture_of_stored_data_that_was_damaged_later_says_so(
    tmp_path: Path, recording: Path, damage: str
) -> None:
    storage = Path(shutil.copytree(recording, tmp_path / "storage"))
    path = min(storage.glob("*.mp4"))
    fragment = damage_frame(path, 0, 3, damage)
    async with VideoStore.open(storage) as store:
        assert (await store.snapshot(fragment.times_us[2])).damaged is None
        try:
            assert (await store.snapshot(fragment.times_us[3])).damaged == UNREADABLE
        except UnreadableRangeError as error:
            assert (error.code, error.at_us) == ("moment-unreadable", fragment.times_us[3])
        assert (await store.snapshot(read_fragments(path).fragments[1].times_us[0])).damaged is None


async def test_a_file_that_is_gone_is_an_error_and_the_next_one_is_shown(
    tmp_path: Path, recording: Path, times: list[int]
) -> None:
    storage = Path(shutil.copytree(recording, tmp_path / "storage"))
    async with VideoStore.open(storage) as store:
        _, path, following = sorted(storage.glob("*.mp4"))[:3]
        lost, following_us = read_fragments(path).times_us, read_fragments(following).times_us[0]
        path.unlink()
        with pytest.raises((UnreadableRangeError, NothingStoredError)):  # until it is noticed, and from then on
            await store.snapshot(lost[3])
        assert (await store.snapshot(following_us)).captured_us == following_us


async def test_the_open_segment_is_shown_up_to_now(start_clocked: StartClocked) -> None:
    clocked = await start_clocked()
    times = await clocked.record(3.5)
    store = clocked.store
    await until(lambda: list(clocked.stores.storage.glob("*.open")))
    found = await store.snapshot(times[-12])
    assert (found.captured_us, painted_us(found)) == (times[-12], times[-12])
    assert (await store.snapshot("now", exact=False)).captured_us > times[-1] - 2 * US
    clocked.feed.put(Gap("the test pauses it"))
    last = await store.snapshot(times[-1])
    assert (last.captured_us, painted_us(last)) == (times[-1], times[-1])


async def test_a_moment_that_has_just_passed_is_waited_for(tmp_path: Path) -> None:
    stores = Stores(tmp_path)
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=30)
    try:
        await until(lambda: len(pulse.delivered) > 15)
        at_us = time.time_ns() // 1000
        found = await store.snapshot(at_us)
        assert found.captured_us == painted_us(found) == max(one for one in pulse.delivered if one <= at_us)
    finally:
        await stores.close()


async def test_of_two_recordings_of_one_moment_the_later_one_is_shown(start_clocked: StartClocked) -> None:
    clocked = await start_clocked()
    await clocked.record(4)
    await clocked.pause()
    clocked.step(-4)
    times = await clocked.record(3, painted_later_s=3600)
    await clocked.pause()
    found = await clocked.store.snapshot(times[10])
    assert (found.captured_us, painted_us(found)) == (times[10], times[10] + 3600 * US)


async def test_the_colours_are_those_of_the_camera(tmp_path: Path) -> None:
    format, data = read_picture(PICTURES["JPEG 4:4:4"]())
    stores = Stores(tmp_path)
    feed = Feed(*(Packet(format, data, one) for one in capture_times(1)))
    store = await stores.open(feed)
    try:
        feed.put(Gap("that is all"))
        await until(lambda: store.health().segments == 1)
        found = await store.snapshot(capture_times(1)[3])
    finally:
        await stores.close()
    shown = shown_patches(numpy.asarray(Image.open(io.BytesIO(found.jpeg)).convert("RGB")))
    assert largest_difference(shown, expected_patches("JPEG 4:4:4")) <= 3 + TOLERANCE


@pytest.mark.parametrize("named", [True, False])
async def test_bt709_ten_bits_and_wide_pixels_are_shown_right(tmp_path: Path, named: bool) -> None:
    start_us = START_US // US * US
    path = tmp_path / "go" / f"{start_us // US}.mp4"
    patches().save(tmp_path / "patches.png")
    path.parent.mkdir()
    video = ffmpeg.input(str(tmp_path / "patches.png"), loop=1, t=2).video
    video = video.filter("scale", out_color_matrix="bt709", out_range="limited", flags="accurate_rnd")
    video = video.filter("format", "yuv420p10le").filter("setsar", "2/1")
    if named:
        video = video.filter("setparams", colorspace="bt709", color_primaries="bt709", color_trc="bt709")
    else:
        video = video.filter("setparams", colorspace="unknown", color_primaries="unknown", color_trc="unknown")
    options = {"c:v": "libx265", "r": 5, "x265-params": "log-level=none:keyint=5", "crf": 5, "preset": "ultrafast"}
    await run_ffmpeg(video.output(str(path), **options).global_args("-v", "error").compile(cmd=find_ffmpeg()))
    async with VideoStore.open(path.parent) as store:
        found = await store.snapshot(start_us + 1_300_000)
    assert (found.captured_us, found.width, found.height) == (start_us + 1_200_000, 2560, 720)
    shown = shown_patches(numpy.asarray(Image.open(io.BytesIO(found.jpeg)).convert("RGB")))
    assert largest_difference(shown, expected_patches("PNG")) <= 3 + TOLERANCE


async def test_many_at_once_take_turns_and_hold_what_they_read(recording: Path, times: list[int]) -> None:
    async with VideoStore.open(recording) as store:
        found = await asyncio.gather(*(store.snapshot(one, width=160) for one in times[:12]))
        assert [one.captured_us for one in found] == times[:12]
        assert store._snapshots._turns.waiting == 0
        async with contextlib.AsyncExitStack() as turns:
            for _ in range(PICTURES_AT_ONCE):
                await turns.enter_async_context(store._snapshots._turns.turn())
            waiting = [asyncio.ensure_future(store.snapshot(times[0])) for _ in range(MOST_WAITING)]
            await until(lambda: store._snapshots._turns.waiting == MOST_WAITING)
            assert store._holds.ranges == [Range(times[0], times[0] + 1)]
            with pytest.raises(RequestError) as refused:
                await store.snapshot(times[0])
            assert refused.value.code == "too-many-requests"
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert store._holds.ranges == []


async def test_one_that_needs_too_much_is_refused(
    recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.media.coded_picture.MOST_BYTES", 12_000)
    async with VideoStore.open(recording) as store:
        with pytest.raises(RequestError) as refused:
            await store.snapshot(times[9])
        assert (refused.value.code, refused.value.field) == ("picture-needs-too-much", "exact")
        assert (await store.snapshot(times[0], exact=False)).exact


async def test_a_store_that_makes_no_picture_uses_no_decoders_of_pictures(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    before = shared_decoders()._users
    await store.fetch(times[3], times[9])
    assert shared_decoders()._users == before
    await store.snapshot(times[3])
    assert shared_decoders()._users == before + 1
    shared = shared_decoders()
    await stores.close()
    assert shared._users == before


async def test_a_store_that_closes_while_its_first_clip_loads_leaves_no_use_of_decoders_behind(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    before = shared_decoders()._users
    async with contextlib.aclosing(store.stream(times[3], times[9])) as blocks:
        first = asyncio.ensure_future(anext(blocks))
        await asyncio.sleep(0)
        await stores.close()
        await asyncio.gather(first, return_exceptions=True)
    assert shared_decoders()._users == before
