"""Ready headers: the first video of a format waits for no frame of its header to be encoded."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.coding import coded_packets, record_coded
from tests.support.feeding import feed_and_settle, wait_for_cover
from tests.support.foreign_recording import CODINGS, FRAME_US, write_foreign_video
from tests.support.recording import SIZE, SMALL, START_US, US, Feed, Stores, capture_times, record, take_over
from videostore.clips import plan_head, ready_headers
from videostore.clips.edge_encoder import EdgeEncoder
from videostore.store.store import VideoStore

ASKED = START_US + 1_230_000, START_US + 3_900_000


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes each time that edges are encoded. All headers are made by themselves."""
    monkeypatch.setattr(plan_head, "_FAR_PIXELS_US", 0)
    times: list[int] = []
    real = EdgeEncoder._try

    async def seen(self: EdgeEncoder, way: Any, setup: Any, *others: Any) -> Any:
        files = await real(self, way, setup, *others)
        if files is not None:
            times.append(len(files))
        return files

    monkeypatch.setattr(EdgeEncoder, "_try", seen)
    return times


async def opened(stores: Stores) -> VideoStore:
    await take_over(stores.storage)
    return await stores.open()


async def sent(store: VideoStore) -> bytes:
    return b"".join([block async for block in store._send_video(*ASKED)])


async def h264(stores: Stores) -> None:
    await record_coded(stores.storage, coded_packets(capture_times(5), "h264", gop=40, size=SMALL))


async def h265(stores: Stores) -> None:
    await record_coded(stores.storage, coded_packets(capture_times(5), "hevc", gop=40, b_frames=3, size=SMALL))


async def of_another_program(stores: Stores) -> None:
    times = [START_US + number * FRAME_US for number in range(90)]
    await write_foreign_video(stores.storage / f"{START_US // US}.mp4", times, CODINGS["h264 B frames"])


@pytest.mark.parametrize("made", [h264, h265, of_another_program])
async def test_the_first_video_encodes_no_frame_for_its_header(stores: Stores, encoded: list[int], made: Any) -> None:
    await made(stores)
    store = await opened(stores)
    await store._make_videos_ready()
    assert len(encoded) == 1
    clip = await sent(store)
    ready = len(encoded) - 1
    encoded.clear()
    await store.close()
    other = await stores.open()
    assert read_clip(await sent(other), [SIZE, SMALL]) == read_clip(clip, [SIZE, SMALL])
    assert len(encoded) == ready + 1, "without it, one more is encoded"


async def test_each_format_is_made_ready_once_and_new_ones_when_they_come(stores: Stores, encoded: list[int]) -> None:
    await record(stores.storage, capture_times(3), size=SMALL)
    store = await opened(stores)
    for _ in range(3):
        await store._make_videos_ready()
    assert len(encoded) == 1
    later = stores.storage.with_name("later")
    await record(later, capture_times(3, START_US + 10 * US), size=SMALL)
    await record(later, capture_times(3, START_US + 20 * US), size=SIZE)
    for one in await take_over(later):
        (later / one.file_name).rename(stores.storage / one.file_name)
        await store._archive.take_closed(one.file_name)
    await store._make_videos_ready()
    assert len(encoded) == 2


async def test_the_format_of_a_recording_that_begins_is_made_ready_before_a_segment_is_closed(
    stores: Stores, encoded: list[int]
) -> None:
    feed = Feed()
    store = await stores.open(feed, segment_seconds=60)
    await store._make_videos_ready()
    assert not encoded
    await feed_and_settle(store, feed, capture_times(5))
    await wait_for_cover(store, START_US + 2 * US)
    for _ in range(3):
        await store._make_videos_ready()
    assert len(encoded) == 1
    assert store.health().segments == 0
    assert await sent(store)
    assert len(encoded) == 2, "the edge of the video"


async def test_of_many_formats_the_newest_are_made_ready(
    stores: Stores, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_headers, "KEPT_SAMPLES", 1)
    await record(stores.storage, capture_times(3), size=SMALL)
    await record(stores.storage, capture_times(3, START_US + 10 * US), size=SIZE)
    store = await opened(stores)
    await store._make_videos_ready()
    assert len(encoded) == 1


@pytest.mark.parametrize("left", ["nothing", "little", "noughts"])
async def test_a_file_that_cannot_be_read_keeps_no_other_from_it(stores: Stores, encoded: list[int], left: str) -> None:
    await record(stores.storage, capture_times(3), size=SIZE)
    await record(stores.storage, capture_times(3, START_US + 10 * US), size=SMALL)
    store = await opened(stores)
    for path in stores.storage.glob("*.mp4"):
        if path.name < f"{START_US // US + 5}":
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 8] if left == "little" else bytes(len(content)))
            if left == "nothing":
                path.unlink()
    await store._make_videos_ready()
    assert len(encoded) == 1


async def test_frames_that_are_all_keyframes_need_none(stores: Stores, encoded: list[int]) -> None:
    await record_coded(stores.storage, coded_packets(capture_times(3), "h264", gop=1, size=SMALL))
    await (await opened(stores))._make_videos_ready()
    assert not encoded


async def test_without_a_recording_there_is_nothing_to_do(stores: Stores, encoded: list[int]) -> None:
    await (await stores.open())._make_videos_ready()
    assert not encoded
