"""Every clip tells when each of its frames was captured: the time that it gives is the one that is painted into it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path

import av
import pytest

from tests.support.amount import each_value
from tests.support.clip_time_checks import (
    check_times,
    exiftool_values,
    ffprobe_tags,
    painted_frames,
    stretches_by_hand,
    time_by_hand,
)
from tests.support.feeding import wait_for_cover
from tests.support.recording import (
    SIZE,
    SMALL,
    START_US,
    US,
    Pulse,
    Stores,
    capture_times,
    record,
    take_over,
    until,
    write_foreign,
)
from videostore.media.clip_reader import read_clip_frame, read_clip_times
from videostore.store.store import VideoStore

CONTAINERS = ["mp4", "fmp4"]
FIRST = capture_times(6)
SECOND = capture_times(4, START_US + 20 * US + 77, seed=1)
"""After a gap."""
JOINED = capture_times(4, SECOND[-1] + 100_003, seed=2)
"""Of another size, without a gap: less than 0.2 s after the run before it."""
TINY_GAP = capture_times(3, JOINED[-1] + 600_000, seed=3)
"""After a gap that `ranges` of `state` do not list."""
BACK = capture_times(3, TINY_GAP[-1] - 2 * US + 11, seed=4)
"""The clock was set back by two seconds."""
ALL = [*FIRST, *SECOND, *JOINED, *TINY_GAP, *BACK]


@pytest.fixture(scope="module")
def front_door(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with everything that keeps clip time and wall time apart."""

    async def build() -> None:
        for times, size in ((FIRST, SIZE), (SECOND, SIZE), (JOINED, SMALL), (TINY_GAP, SMALL), (BACK, SMALL)):
            await record(directory, times, size=size)
        await take_over(directory)

    directory = tmp_path_factory.mktemp("recordings") / "front-door"
    asyncio.run(build())
    return directory


@pytest.fixture
async def store(front_door: Path) -> AsyncIterator[VideoStore]:
    async with VideoStore.open(front_door) as opened:
        yield opened


def written(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // US, timezone.utc).strftime(f"%Y-%m-%dT%H:%M:%S.{time_us % US:06d}Z")


RANGES = {
    "inside a segment": (FIRST[4], FIRST[11], 1),
    "between two frames": (FIRST[4] + 1, FIRST[11] + 1, 1),
    "across segments": (FIRST[3], FIRST[-4], 1),
    "one frame": (FIRST[7], FIRST[7] + 1, 1),
    "across a gap": (FIRST[17], SECOND[9], 2),
    "beyond both ends": (START_US - 60 * US, START_US + 3600 * US, 4),
    "a change of size": (SECOND[5], JOINED[9], 1),
    "a gap of half a second": (JOINED[5], TINY_GAP[5], 2),
}


@each_value(kind=list(RANGES), container=CONTAINERS)
async def test_the_time_that_a_clip_tells_of_each_frame_is_the_painted_one(
    store: VideoStore, tmp_path: Path, kind: str, container: str
) -> None:
    from_us, to_us, stretches = RANGES[kind]
    path = tmp_path / "clip.mp4"
    await store.export(from_us, to_us, path, container=container)
    told = check_times(path)
    held = [time_us for time_us in ALL if from_us <= time_us < to_us]
    assert told.frames == len(held)
    assert told.times.first_us == held[0] and told.times.recorder == "front-door"
    assert len(told.times.stretches) >= stretches
    assert told.largest_error_us <= 12


async def test_a_clock_that_was_set_back_shows_in_the_stretches(store: VideoStore, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    await store.export(TINY_GAP[3], BACK[-1] + 1, path)
    told = check_times(path)
    before, after = told.times.stretches[-2:]
    assert after.from_us == BACK[0] < before.to_us


async def test_no_gap_is_hidden_and_none_is_invented(store: VideoStore, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    await store.export(START_US, BACK[0], path)
    stretches = read_clip_times(path).stretches
    assert [one.from_us for one in stretches] == [FIRST[0], SECOND[0], TINY_GAP[0]]
    # The end of a run is that of its last frame, whose length is a guess: less than a second.
    lasts = [FIRST[-1], JOINED[-1]]
    assert all(last < one.to_us < last + US for last, one in zip(lasts, stretches, strict=False))


async def test_a_streamed_clip_tells_its_time(store: VideoStore, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    async with contextlib.aclosing(store.stream(FIRST[17], SECOND[9])) as blocks:
        path.write_bytes(b"".join([block async for block in blocks]))
    assert check_times(path).times.first_us == FIRST[17]


async def test_a_fetched_clip_and_a_saved_one_tell_their_time(stores: Stores, recording: Path, tmp_path: Path) -> None:
    times = capture_times(7)
    opened = await stores.over(recording)
    path = tmp_path / "clip.mp4"
    path.write_bytes((await opened.fetch(times[5], times[40])).data)
    assert check_times(path).times.first_us == times[5]
    saved = await opened.save(times[9], times[30], metadata="seen at the gate")
    assert check_times(saved.path).times.recorder == "cam"
    assert ffprobe_tags(saved.path)["comment"] == "seen at the gate"


async def test_a_clip_of_the_open_segment_tells_its_time(stores: Stores, tmp_path: Path) -> None:
    camera = Pulse()
    opened = await stores.open(camera, segment_seconds=60)
    await until(lambda: len(camera.delivered) > 45)
    path = tmp_path / "clip.mp4"
    first_us, last_us = camera.delivered[3], camera.delivered[-1] - 3 * US
    await wait_for_cover(opened, last_us)
    await opened.export(first_us, last_us, path)
    assert check_times(path).times.first_us == first_us


async def test_recordings_of_the_go_module_are_dated_to_the_second(tmp_path: Path) -> None:
    directory = tmp_path / "yard"
    for number in range(3):
        await write_foreign(directory / f"{1_700_000_000 + 3 * number}.mp4", seconds=3)
    path = tmp_path / "clip.mp4"
    async with VideoStore.open(directory) as opened:
        await opened.export(1_700_000_000 * US, 1_700_000_008 * US, path)
    times = read_clip_times(path)
    assert times.first_us == 1_700_000_000 * US and not any(one.exact for one in times.stretches)
    told = read_clip_frame(path, 6_500_000)
    assert (told.captured_us, told.precision_us) == (1_700_000_006 * US + US // 2, US)


@pytest.mark.parametrize("container", CONTAINERS)
async def test_ffprobe_alone_dates_each_frame_and_shows_the_gap(
    store: VideoStore, tmp_path: Path, container: str
) -> None:
    path = tmp_path / "clip.mp4"
    await store.export(FIRST[17], SECOND[9], path, container=container, metadata='{"seen": "gate"}')
    tags = ffprobe_tags(path)
    assert (tags["title"], tags["comment"]) == ("front-door", '{"seen": "gate"}')
    assert tags["date"] == written(FIRST[17])
    stretches = stretches_by_hand(tags["synopsis"])
    assert len(stretches) == 2 and stretches[1][1] - stretches[0][2] > 10
    for position_us, captured_us in painted_frames(path):
        assert abs(time_by_hand(stretches, position_us / US) - captured_us / US) < 2e-5


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
async def test_exiftool_alone_shows_the_same(store: VideoStore, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    await store.export(FIRST[17], SECOND[9], path)
    title, date, stretches = exiftool_values(path, "Title", "ContentCreateDate", "LongDescription")
    assert (title, date) == ("front-door", written(FIRST[17]).replace("-", ":").replace("T", " "))
    assert len(stretches_by_hand(stretches)) == 2


@pytest.mark.parametrize("container", CONTAINERS)
async def test_the_tags_add_no_stream(store: VideoStore, tmp_path: Path, container: str) -> None:
    path = tmp_path / "clip.mp4"
    await store.export(FIRST[17], SECOND[9], path, container=container)
    with av.open(str(path)) as clip:
        assert [stream.type for stream in clip.streams] == ["video"]
