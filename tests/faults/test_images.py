"""Images that are damaged, odd or turned, through the real recorder: what is stored is what the camera saw."""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import av
import numpy
import pytest
from PIL import Image, ImageOps

from tests.support.amount import some_combinations
from tests.support.damaged_images import DAMAGED, ODD, half, turned
from tests.support.recording import LOGGER, START_US, US, Feed, FixedClock, Stores, capture_times, packet, until
from videostore.base.errors import VideoStoreError
from videostore.media.fmp4 import read_fragments
from videostore.media.images import picture_packet
from videostore.media.packet import Gap, Packet
from videostore.recording.health import RecorderHealth
from videostore.store.store import VideoStore

Damage = Callable[[int], bytes]


def clock_at(time_us: int = START_US + 60 * US) -> FixedClock:
    return FixedClock(wall=time_us)


def health_of(store: VideoStore) -> RecorderHealth:
    health = store.health().recorder
    assert health is not None
    return health


def stored_runs(directory: Path) -> list[list[int]]:
    """Capture times in the closed segments, by run."""
    runs: dict[str, list[int]] = {}
    for content in sorted(map(read_fragments, directory.glob("*.mp4")), key=lambda content: content.times_us[:1]):
        runs.setdefault(content.comment, []).extend(content.times_us)
    return [times for times in runs.values() if times]


def took(store: VideoStore, packet: Packet) -> bool:
    """Whether a packet was given to ffmpeg."""
    return store._run is not None and store._run.last_us == packet.captured_us


async def record_all(stores: Stores, *packets: Packet) -> RecorderHealth:
    """Record packets of a live source one by one, and close the store. Returns the last health."""
    feed = Feed()
    store = await stores.open(feed, clock=clock_at())
    for one in packets:
        faulty = health_of(store).faulty_frames
        feed.put(one)
        await until(lambda one=one, faulty=faulty: took(store, one) or health_of(store).faulty_frames > faulty)  # type: ignore[misc]
    feed.put(Gap("the test pauses it"))
    # The reason is told at once; what ffmpeg still holds is counted when it has ended.
    await until(lambda: health_of(store).reason == "the test pauses it" and store._run is None)
    health = health_of(store)
    await store.close()
    return health


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
async def test_one_damaged_image_in_five_is_not_recorded_but_counted(stores: Stores, damage: Damage) -> None:
    times = capture_times(2, seed=None)
    good = [time_us for number, time_us in enumerate(times) if number % 5 != 2]
    packets = [packet(t) if t in good else picture_packet(damage(t), t) for t in times]
    health = await record_all(stores, *packets)
    assert stored_runs(stores.storage) == [good]
    assert (health.faulty_frames, health.dropped_frames, health.ffmpeg_restarts) == (4, 0, 0)
    assert "images of 320x180 (mjpeg) cannot be decoded: [mjpeg]" in health.last_fault


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_an_odd_but_whole_image_is_recorded(stores: Stores, odd: Damage) -> None:
    times = capture_times(2, seed=None)
    health = await record_all(stores, *[picture_packet(odd(t), t) for t in times])
    assert stored_runs(stores.storage) == [times]
    assert (health.faulty_frames, health.dropped_frames, health.last_fault) == (0, 0, "")


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
async def test_damage_that_lasts_is_a_gap_and_recording_resumes_with_the_first_good_image(
    stores: Stores, damage: Damage
) -> None:
    before, bad, after = (capture_times(1.5, START_US + number * 2 * US, seed=None) for number in range(3))
    feed = Feed(*map(packet, before))
    store = await stores.open(feed, clock=clock_at())
    await until(lambda: store._run and store._run.tally.last_us == before[-1])
    feed.put(*[picture_packet(damage(t), t) for t in bad])
    await until(lambda: not health_of(store).recording and health_of(store).faulty_frames == len(bad))
    assert "cannot be decoded: [mjpeg]" in health_of(store).reason
    feed.put(*map(packet, after))
    await until(lambda: health_of(store).recording and store._run and store._run.last_us == after[-1])
    assert (health_of(store).reason, health_of(store).ffmpeg_restarts) == ("", 0)
    await store.close()
    assert stored_runs(stores.storage) == [before, after]


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
async def test_a_camera_of_which_nothing_can_be_decoded_is_not_said_to_be_recorded(
    stores: Stores, damage: Damage
) -> None:
    times = capture_times(3, seed=None)
    feed = Feed(*[picture_packet(damage(t), t) for t in times])
    store = await stores.open(feed, clock=clock_at())
    await until(lambda: health_of(store).faulty_frames == len(times))
    health = health_of(store)
    assert not health.recording and "cannot be decoded: [mjpeg]" in health.reason
    assert (health.frames_per_second, health.last_frame_age_s, health.dropped_frames) == (0.0, None, 0)


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
async def test_a_source_of_which_nothing_can_be_decoded_ends_with_the_reason(tmp_path: Path, damage: Damage) -> None:
    async def packets() -> AsyncIterator[Packet]:
        for time_us in capture_times(1):
            yield picture_packet(damage(time_us), time_us)

    async with VideoStore.record(tmp_path / "door", packets(), size_gb=1, live=False) as store:
        with pytest.raises(VideoStoreError, match="cannot be decoded") as error:
            await asyncio.wait_for(store.ended(), 150)
    assert error.value.code == "end-not-recorded"


async def test_raw_images_without_an_encoder_end_with_the_reason(tmp_path: Path) -> None:
    async def packets() -> AsyncIterator[Packet]:
        for time_us in capture_times(1):
            yield packet(time_us, mime="image/vnd.viam.rgba")

    async with VideoStore.record(tmp_path / "door", packets(), size_gb=1, codec="copy", live=False) as store:
        with pytest.raises(VideoStoreError, match="raw images cannot be recorded without an encoder"):
            await asyncio.wait_for(store.ended(), 150)


def shown(directory: Path) -> list[numpy.ndarray]:
    """The pictures that the segments show, in gray."""
    pictures = []
    for path in sorted(directory.glob("*.mp4")):
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                assert frame.rotation == 0
                pictures.append(frame.to_ndarray(format="gray").astype(int))
    return pictures


@some_combinations(kind=["JPEG", "PNG"], orientation=range(1, 9))
async def test_a_turned_image_is_shown_upright(stores: Stores, orientation: int, kind: str) -> None:
    times = capture_times(1, seed=None)
    images = [turned(time_us, orientation, kind=kind) for time_us in times]
    health = await record_all(stores, *[picture_packet(data, t) for data, t in zip(images, times, strict=True)])
    assert (health.faulty_frames, stored_runs(stores.storage)) == (0, [times])
    for data, pixels in zip(images, shown(stores.storage), strict=True):
        upright = numpy.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L"))
        assert pixels.shape == upright.shape
        assert numpy.abs(pixels - upright).mean() < 12  # shades may be those of another range


async def test_a_source_whose_orientation_alternates_is_recorded_to_its_end(tmp_path: Path) -> None:
    times = capture_times(1, seed=None)

    async def packets() -> AsyncIterator[Packet]:
        for number, time_us in enumerate(times):
            yield picture_packet(turned(time_us, (1, 6)[number % 2]), time_us)

    async with VideoStore.record(tmp_path / "door", packets(), size_gb=1, live=False) as store:
        await asyncio.wait_for(store.ended(), 150)
    assert sorted(itertools.chain(*stored_runs(tmp_path / "door"))) == times


async def test_a_camera_whose_size_alternates_is_held_to_one_size_and_names_do_not_outrun_the_clock(
    stores: Stores,
) -> None:
    times = capture_times(25, fps=4, seed=None)
    packets = [packet(time_us, ((320, 180), (160, 144))[number % 2]) for number, time_us in enumerate(times)]
    health = await record_all(stores, *packets)
    runs = stored_runs(stores.storage)
    stored = sorted(itertools.chain(*runs))
    assert len(runs) <= 6 and len(stored) >= len(times) * 0.45
    assert len(stored) + health.faulty_frames + health.dropped_frames == len(times)
    assert health.last_fault == "the images alternate between sizes, formats or orientations"
    names = [int(path.stem) for path in stores.storage.glob("*.mp4")]
    assert max(names) <= times[-1] // US + 3


async def test_a_camera_whose_size_changes_every_two_seconds_is_recorded_whole(stores: Stores) -> None:
    times = capture_times(20, fps=5, seed=None)
    packets = [packet(time_us, ((320, 180), (160, 144))[number // 10 % 2]) for number, time_us in enumerate(times)]
    health = await record_all(stores, *packets)
    assert health.faulty_frames == 0
    assert sorted(itertools.chain(*stored_runs(stores.storage))) == times
    names = [int(path.stem) for path in stores.storage.glob("*.mp4")]
    assert max(names) <= times[-1] // US + 1


async def test_a_decoder_that_complains_of_every_image_logs_each_kind_once(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER.name)
    times = capture_times(4, seed=None)
    await record_all(stores, *[packet(t) if n % 2 else picture_packet(half(t), t) for n, t in enumerate(times)])
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    complaints = [line for line in lines if line.startswith("ffmpeg:")]
    assert 1 <= len(complaints) <= 4, complaints
    assert any("more like it" in line for line in complaints) or len(set(complaints)) == len(complaints)
