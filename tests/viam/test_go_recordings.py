"""The files of the Go module: which are listed, what becomes of them, and what it finds when it comes back."""

from __future__ import annotations

import itertools

import pytest

from tests.support.go_directory import GoDirectory, at, between, clip, frames, refusal
from tests.support.go_index import go_index
from tests.support.recording import SMALL, Feed, FixedClock, Stores, capture_times, packet, until
from tests.support.storage import make_old
from videostore.media.fmp4 import read_fragments
from videostore.storage.maintenance import RESCAN_INTERVAL_S
from videostore.store.store import VideoStore


async def next_walk(store: VideoStore, clock: FixedClock) -> None:
    """Let the recorder walk over the directory once more."""
    last = store._maintainer._rescan
    clock.advance(RESCAN_INTERVAL_S + 1)
    await until(lambda: (walk := store._maintainer._rescan) is not None and walk is not last and walk.done())


@pytest.mark.parametrize(
    ("starts", "ranges"),
    [
        ([], []),
        ([0], [(0, 3)]),
        ([0, 3, 6], [(0, 9)]),
        ([0, 8], [(0, 11)]),
        ([0, 9], [(0, 3), (9, 12)]),
        ([0, 3, 100, 103, 200], [(0, 6), (100, 106), (200, 203)]),
    ],
    ids=["none", "one", "neighbours", "a gap of 5 s", "a gap of 6 s", "several"],
)
async def test_neighbours_are_listed_as_one_range(
    go: GoDirectory, starts: list[int], ranges: list[tuple[int, int]]
) -> None:
    paths = go.put(*starts)
    async with go.taken_over() as (_, client):
        state = await client("get-storage-state")
    assert [(one["from"], one["to"]) for one in state["stored_video"]] == [(at(a), at(b)) for a, b in ranges]
    usage = state["disk_usage"]
    assert usage["storage_used_gb"] == pytest.approx(sum(path.stat().st_size for path in paths) / 2**30)
    assert (usage["storage_limit_gb"], usage["storage_path"]) == (1, str(go.stores.storage))
    assert usage["device_storage_remaining_gb"] > 0


async def test_over_the_quota_the_oldest_are_deleted(go: GoDirectory) -> None:
    paths = go.put(*range(0, 300, 30))
    size_bytes = paths[0].stat().st_size
    async with go.taken_over(size_gb=4.5 * size_bytes / 2**30) as (_, client):
        await until(lambda: sum(path.exists() for path in paths) == 4)
        state = await client("get-storage-state")
    assert [path.exists() for path in paths] == [False] * 6 + [True] * 4
    assert [one["from"] for one in state["stored_video"]] == [at(second) for second in range(180, 300, 30)]


async def test_a_file_that_someone_deletes_is_no_longer_listed_and_the_others_are_served(go: GoDirectory) -> None:
    _, second, _ = go.put(0, 30, 60)
    async with go.taken_over() as (store, client):
        second.unlink()
        await until(lambda: store.health().segments == 2)
        state = await client("get-storage-state")
        assert [one["from"] for one in state["stored_video"]] == [at(0), at(60)]
        assert "no matching video data to save" in await refusal(client, "fetch", **between(30, 33))
        assert frames(clip(await client("fetch", **between(60, 63)))) == 30


async def test_an_index_that_someone_deletes_is_made_from_the_files(go: GoDirectory) -> None:
    go.put(0, 3)
    async with go.taken_over() as (_, client):
        before = (await client("get-storage-state"))["stored_video"]
    for path in go.stores.storage.glob("index.sqlite.db*"):
        path.unlink()
    await go.stores.close()
    async with go.taken_over() as (_, client):
        assert (await client("get-storage-state"))["stored_video"] == before
        assert frames(clip(await client("fetch", **between(0, 6)))) == 60


async def test_the_index_of_the_go_module_is_taken_over(go: GoDirectory) -> None:
    paths = go.put(0, 3)
    go_index(go.stores.storage, *((path.name, int(path.stem), 3000, path.stat().st_size) for path in paths))
    async with go.taken_over() as (_, client):
        assert (await client("get-storage-state"))["stored_video"] == [{"from": at(0), "to": at(6)}]


async def test_files_with_other_names_are_neither_listed_nor_touched(go: GoDirectory) -> None:
    names = ["video.mp4", "2024-13-45_99-00-00.mp4", "1725000000.mkv", "1725000000.mp4.bak", "17250x.mp4"]
    paths = go.put(0, *names)
    async with go.taken_over() as (_, client):
        assert (await client("get-storage-state"))["stored_video"] == [{"from": at(0), "to": at(3)}]
    assert all(path.exists() for path in paths)


async def test_while_it_records_each_closed_segment_says_how_long_it_is_until_the_next(stores: Stores) -> None:
    """The Go module adds up what the files say."""
    times = capture_times(20, fps=3, seed=None)
    feed = Feed(*(packet(time_us, SMALL) for time_us in times))
    store = await stores.open(feed, segment_seconds=4)
    await until(lambda: store.health().segments == 4)
    closed = [read_fragments(path) for path in sorted(stores.storage.glob("*.mp4"))]
    starts_us = [content.start_us for content in closed]
    assert starts_us == [time_us for time_us in times if time_us in starts_us]
    lengths = [content.header_length_us for content in closed]
    assert lengths[:-1] == [after - before for before, after in itertools.pairwise(starts_us)]
    assert lengths[-1] is not None and closed[-1].end_us < starts_us[-1] + lengths[-1]
    assert starts_us[-1] + lengths[-1] in times


async def test_a_segment_without_an_end_is_named_at_once_and_set_aside_later(
    go: GoDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    """The Go module leaves one when it is stopped."""
    _, path = go.put(0, 3)
    content = path.read_bytes()
    content = content[: content.index(b"moov") - 4]
    path.write_bytes(content)
    clock = FixedClock()
    async with go.taken_over(clock=clock) as (store, client):
        assert store.health().unreadable_files == (path.name,)
        assert [one for one in caplog.messages if one.startswith(f"{path.name} ({len(content)} bytes) cannot be read")]
        assert path.read_bytes() == content
        make_old(path)
        await next_walk(store, clock)
        assert not path.exists()
        await until(lambda: store.health().damaged_names == (path.name,))
        assert store.health().unreadable_files == ()
        assert (go.stores.storage / "damaged" / path.name).read_bytes() == content
        assert frames(clip(await client("fetch", **between(0, 3)))) == 30
