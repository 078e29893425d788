"""What clients of the Go module lean on, over a real socket: the segments here are such as that module writes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import itertools
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import av
import pytest
from grpclib import GRPCError
from viam.proto.app.robot import ComponentConfig
from viam.utils import dict_to_struct

from tests.support.go_index import go_index
from tests.support.recording import (
    SMALL,
    US,
    Feed,
    FixedClock,
    Stores,
    capture_times,
    packet,
    until,
    write_foreign,
)
from tests.support.served_recorder import Client, served
from tests.support.storage import START_S, make_old
from videostore.base.errors import ConfigError, RequestError
from videostore.base.ranges import Range
from videostore.base.time_format import format_local, format_utc
from videostore.media.boxes import leaves
from videostore.media.fmp4 import read_fragments
from videostore.storage.maintenance import RESCAN_INTERVAL_S
from videostore.store.store import VideoStore
from videostore.viam.camera import StorageCamera

SECONDS = 3
"""Length of a segment here."""
FRAME_S = 0.1


def at(second: float) -> str:
    """A timestamp so many seconds after the first segment."""
    return format_utc(round((START_S + second) * US))


def between(begin: float, end: float) -> dict[str, str]:
    return {"from_": at(begin), "to": at(end)}


def local_name(second: int) -> str:
    return f"{format_local((START_S + second) * US)}.mp4"


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Segments of 3 s: a usual one, one of another size and one of another codec."""
    directory = tmp_path_factory.mktemp("segments")
    asyncio.run(write_foreign(directory / "usual.mp4", seconds=SECONDS))
    asyncio.run(write_foreign(directory / "large.mp4", seconds=SECONDS, size=(320, 240)))
    return directory


class Go:
    """A storage directory that the Go module has left, and a recorder that takes it over."""

    def __init__(self, stores: Stores, segments: Path, directory: Path) -> None:
        self.stores = stores
        self._segments = segments
        self._directory = directory
        stores.storage.mkdir()

    def put(self, *names: str | int, kind: str = "usual") -> list[Path]:
        """Add segments by their names, or by how many seconds they begin after the first."""
        paths = [self.stores.storage / (f"{START_S + one}.mp4" if isinstance(one, int) else one) for one in names]
        for path in paths:
            shutil.copy(self._segments / f"{kind}.mp4", path)
        return paths

    @contextlib.asynccontextmanager
    async def taken_over(self, **options: Any) -> AsyncIterator[tuple[VideoStore, Client]]:
        """Start the recorder; everything is in its index."""
        store = await self.stores.open(**options)
        await until(store._archive.reconciled.is_set)
        async with served(store, self._directory) as client:
            yield store, client


@pytest.fixture
def go(stores: Stores, segments: Path, tmp_path: Path) -> Go:
    return Go(stores, segments, tmp_path)


async def refusal(client: Client, command: str, **fields: Any) -> str:
    with pytest.raises(GRPCError) as error:
        await client(command, **fields)
    return str(error.value.message)


def clip(answer: Mapping[str, Any]) -> bytes:
    return base64.b64decode(str(answer["video"]))


def length_s(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as container:
        return float(container.duration or 0) / US


def frames(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


async def next_walk(store: VideoStore, clock: FixedClock) -> None:
    """Let the recorder walk over the directory once more."""
    last = store._maintainer._rescan
    clock.advance(RESCAN_INTERVAL_S + 1)
    await until(lambda: (walk := store._maintainer._rescan) is not None and walk is not last and walk.done())


# Words of refusals


@pytest.mark.parametrize("command", ["save", "fetch"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"from_": at(3), "to": at(1)}, "'from' timestamp is after 'to' timestamp"),
        ({"to": at(1)}, "from timestamp not found"),
        ({"from_": at(1)}, "to timestamp not found"),
        ({"from_": "2024-09-06", "to": at(1)}, "parsing time"),
        ({"from_": at(1), "to": "noon"}, "parsing time"),
        (between(100, 110), "no matching video data to save"),
        (between(100, 110), "range"),
    ],
)
async def test_a_refusal_has_the_words_that_clients_search_for(
    go: Go, command: str, fields: dict[str, Any], words: str
) -> None:
    go.put(0)
    async with go.taken_over() as (_, client):
        assert words in await refusal(client, command, **fields)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([""], "tag at index 0 is empty"),
        (["a", "b", ""], "tag at index 2 is empty"),
        (["a", "../b"], "tag at index 1 is invalid"),
        (["a/b"], "is invalid"),
        ([".."], "tag at index 0 is invalid"),
        (["a", 5], "tag at index 1 is not a string"),
    ],
)
@pytest.mark.parametrize("later", [False, True])
async def test_a_wrong_tag_is_refused_with_its_place(go: Go, tags: list[Any], words: str, later: bool) -> None:
    go.put(0)
    async with go.taken_over() as (_, client):
        assert words in await refusal(client, "save", **between(0, 2), tags=tags, async_=later)
    assert not any(path.is_file() for path in go.stores.upload.rglob("*"))


async def test_an_unknown_command_and_an_empty_storage_are_refused_with_those_words(go: Go) -> None:
    async with go.taken_over() as (_, client):
        assert "invalid command" in await refusal(client, "stop")
        with pytest.raises(GRPCError) as error:
            await client.camera.do_command({"from": at(0)})
        assert "invalid command" in str(error.value.message)
        for command in ("save", "fetch"):
            assert "no storage files found" in await refusal(client, command, **between(0, 2))


async def test_a_clip_too_large_for_an_answer_is_refused_with_the_word_grpc(go: Go) -> None:
    (path,) = go.put(0)
    with path.open("ab") as file:
        file.truncate(40 << 20)
    async with go.taken_over() as (_, client):
        assert "grpc" in await refusal(client, "fetch", **between(0, 3))


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"sync": "s"}, "storage"),
        ({"sync": "s", "storage": {"upload_path": "/srv/up"}}, "size_gb"),
        ({"storage": {"size_gb": 1}}, "sync"),
    ],
)
def test_a_config_that_lacks_what_is_required_is_refused_with_its_name(attributes: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        StorageCamera.validate_config(ComponentConfig(name="x", attributes=dict_to_struct(attributes)))


# A range that ends in the future


async def test_a_fetch_until_the_future_answers_with_what_there_is_and_a_save_is_refused(go: Go) -> None:
    go.put(0, 3)
    now_s = FixedClock().wall / US - START_S
    async with go.taken_over() as (_, client):
        whole = await client("fetch", **between(0, 6))
        for end in (now_s + 60, now_s + 1e8):
            answer = await client("fetch", **between(0, end))
            assert answer["ranges"] == [{"from": at(0)[:-1] + ".000000Z", "to": at(6)[:-1] + ".000000Z"}]
            assert frames(clip(answer)) == frames(clip(whole)) == 60
            for later in (False, True):
                sentence = await refusal(client, "save", **between(0, end), async_=later)
                assert "'to' timestamp is in the future" in sentence
        assert "future" in await refusal(client, "fetch", **between(now_s + 10, now_s + 60))
        assert "no matching video data to save" in await refusal(client, "fetch", **between(100, now_s + 60))
    assert not any(path.is_file() for path in go.stores.upload.rglob("*"))


# Names, lengths, containers, tags


async def test_a_save_over_segments_of_both_kinds_of_names_holds_all_of_it(go: Go) -> None:
    go.put(0, local_name(3), f"{at(6)}.mp4", 9)
    async with go.taken_over() as (_, client):
        answer = await client("save", **between(1, 11), metadata="door")
        assert answer == {"command": "save", "filename": f"cam_{format_local((START_S + 1) * US)}_door.mp4"}
        assert frames((go.stores.upload / answer["filename"]).read_bytes()) == 100
        state = await client("get-storage-state")
    assert state["stored_video"] == [{"from": at(0), "to": at(12)}]


async def test_local_times_and_times_in_utc_mean_the_same(go: Go) -> None:
    go.put(0)
    local = {"from_": format_local((START_S + 1) * US), "to": format_local((START_S + 3) * US)}
    async with go.taken_over() as (_, client):
        assert (
            frames(clip(await client("fetch", **local))) == frames(clip(await client("fetch", **between(1, 3)))) == 20
        )


@pytest.mark.parametrize(
    ("begin", "end"),
    [(0, 3), (1, 2), (1, 5), (2, 7), (0, 9), (3, 6), (3, 5)],
    ids=["whole", "within", "over a border", "over two", "all", "from border to border", "from a border"],
)
async def test_a_clip_is_as_long_as_its_range(go: Go, begin: int, end: int) -> None:
    go.put(0, 3, 6)
    async with go.taken_over() as (_, client):
        answer = await client("fetch", **between(begin, end))
        saved = await client("save", **between(begin, end))
    assert "ranges" not in answer and "ranges" not in saved
    for data in (clip(answer), (go.stores.upload / saved["filename"]).read_bytes()):
        assert frames(data) == (end - begin) * 10
        assert abs(length_s(data) - (end - begin)) < FRAME_S


async def test_containers_are_a_progressive_and_a_fragmented_mp4(go: Go) -> None:
    go.put(0)
    async with go.taken_over() as (_, client):
        answers = {name: clip(await client("fetch", **between(0, 3), container=name)) for name in ("mp4", "fmp4")}
        assert clip(await client("fetch", **between(0, 3))) != b""
    kinds = {name: [kind for kind, _ in leaves(data)] for name, data in answers.items()}
    assert b"moof" not in answers["mp4"] and answers["mp4"].index(b"moov") < answers["mp4"].index(b"mdat")
    assert answers["fmp4"].count(b"moof") >= 1 and b"mdat" in kinds["fmp4"]


async def test_tags_become_sorted_directories_and_the_name_stays(go: Go) -> None:
    go.put(0)
    async with go.taken_over() as (_, client):
        answer = await client("save", **between(0, 2), tags=["quality", "location"], metadata="m")
        plain = await client("save", **between(0, 2), tags=[])
    assert answer["filename"] == f"cam_{format_local(START_S * US)}_m.mp4"
    assert (go.stores.upload / "tag=location" / "tag=quality" / answer["filename"]).is_file()
    assert (go.stores.upload / plain["filename"]).is_file()


async def test_a_save_that_does_not_wait_says_so_and_is_written(go: Go) -> None:
    go.put(0)
    async with go.taken_over() as (_, client):
        answer = await client("save", **between(0, 2), async_=True)
        assert answer["status"] == "async"
        path = go.stores.upload / answer["filename"]
        await until(path.exists)
    assert frames(path.read_bytes()) == 20


# Matching, and gaps


@pytest.mark.parametrize(
    ("asked", "held"),
    [((1, 22), [(1, 3), (20, 22)]), ((4, 22), [(20, 22)]), ((1, 10), [(1, 3)]), ((4, 10), [])],
    ids=["over a gap", "from a gap", "into a gap", "within a gap"],
)
async def test_a_clip_holds_what_is_there_and_says_what_that_is(
    go: Go, asked: tuple[int, int], held: list[tuple[int, int]]
) -> None:
    go.put(0, 20)
    async with go.taken_over() as (_, client):
        if not held:
            assert "no matching video data to save" in await refusal(client, "fetch", **between(*asked))
            return
        answer = await client("fetch", **between(*asked))
    assert [(one["from"][:19], one["to"][:19]) for one in answer["ranges"]] == [
        (at(begin)[:19], at(end)[:19]) for begin, end in held
    ]
    assert frames(clip(answer)) == sum(end - begin for begin, end in held) * 10


async def test_where_the_size_changes_the_clip_holds_both_sides(go: Go) -> None:
    """The Go module leaves out what differs from the first."""
    go.put(0)
    go.put(3, kind="large")
    async with go.taken_over() as (_, client):
        answer = await client("fetch", **between(1, 5))
    assert "ranges" not in answer
    assert abs(length_s(clip(answer)) - 4) < 2 * FRAME_S


# What is stored, and the index


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
async def test_neighbours_are_listed_as_one_range(go: Go, starts: list[int], ranges: list[tuple[int, int]]) -> None:
    paths = go.put(*starts)
    async with go.taken_over() as (_, client):
        state = await client("get-storage-state")
    assert [(one["from"], one["to"]) for one in state["stored_video"]] == [(at(a), at(b)) for a, b in ranges]
    usage = state["disk_usage"]
    assert usage["storage_used_gb"] == pytest.approx(sum(path.stat().st_size for path in paths) / 2**30)
    assert (usage["storage_limit_gb"], usage["storage_path"]) == (1, str(go.stores.storage))
    assert usage["device_storage_remaining_gb"] > 0


async def test_over_the_quota_the_oldest_are_deleted(go: Go) -> None:
    paths = go.put(*range(0, 300, 30))
    size_bytes = paths[0].stat().st_size
    async with go.taken_over(size_gb=4.5 * size_bytes / 2**30) as (_, client):
        await until(lambda: sum(path.exists() for path in paths) == 4)
        state = await client("get-storage-state")
    assert [path.exists() for path in paths] == [False] * 6 + [True] * 4
    assert [one["from"] for one in state["stored_video"]] == [at(second) for second in range(180, 300, 30)]


async def test_a_file_that_someone_deletes_is_no_longer_listed_and_the_others_are_served(go: Go) -> None:
    _, second, _ = go.put(0, 30, 60)
    async with go.taken_over() as (store, client):
        second.unlink()
        await until(lambda: store.health().segments == 2)
        state = await client("get-storage-state")
        assert [one["from"] for one in state["stored_video"]] == [at(0), at(60)]
        assert "no matching video data to save" in await refusal(client, "fetch", **between(30, 33))
        assert frames(clip(await client("fetch", **between(60, 63)))) == 30


async def test_an_index_that_someone_deletes_is_made_from_the_files(go: Go) -> None:
    go.put(0, 3)
    async with go.taken_over() as (_, client):
        before = (await client("get-storage-state"))["stored_video"]
    for path in go.stores.storage.glob("index.sqlite.db*"):
        path.unlink()
    await go.stores.close()
    async with go.taken_over() as (_, client):
        assert (await client("get-storage-state"))["stored_video"] == before
        assert frames(clip(await client("fetch", **between(0, 6)))) == 60


async def test_the_index_of_the_go_module_is_taken_over(go: Go) -> None:
    paths = go.put(0, 3)
    go_index(go.stores.storage, *((path.name, int(path.stem), 3000, path.stat().st_size) for path in paths))
    async with go.taken_over() as (_, client):
        assert (await client("get-storage-state"))["stored_video"] == [{"from": at(0), "to": at(6)}]


async def test_files_with_other_names_are_neither_listed_nor_touched(go: Go) -> None:
    names = ["video.mp4", "2024-13-45_99-00-00.mp4", "1725000000.mkv", "1725000000.mp4.bak", "17250x.mp4"]
    paths = go.put(0, *names)
    async with go.taken_over() as (_, client):
        assert (await client("get-storage-state"))["stored_video"] == [{"from": at(0), "to": at(3)}]
    assert all(path.exists() for path in paths)


# The way back


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


@pytest.mark.parametrize("call", ["export", "stream"])
async def test_the_library_answers_a_range_until_the_future_as_fetch_does(go: Go, tmp_path: Path, call: str) -> None:
    go.put(0)
    start_us, end_us = START_S * US, FixedClock().wall + 60 * US
    told: list[tuple[Range, ...] | None] = []
    async with go.taken_over() as (store, _):
        if call == "export":
            told.append((await store.export(start_us, end_us, tmp_path / "out.mp4")).ranges)
            data = (tmp_path / "out.mp4").read_bytes()
        else:
            data = b"".join([block async for block in store.stream(start_us, end_us, on_ranges=told.append)])
        with pytest.raises(RequestError, match="future"):
            await store.save(start_us, end_us)
    assert frames(data) == 30 and told == [(Range(start_us, start_us + SECONDS * US),)]


# A segment without an end


async def test_a_segment_without_an_end_is_named_at_once_and_set_aside_later(
    go: Go, caplog: pytest.LogCaptureFixture
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
