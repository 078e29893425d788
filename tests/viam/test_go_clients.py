"""What clients of the Go module lean on, over a real socket: the segments here are such as that module writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import pytest
from grpclib import GRPCError
from viam.proto.app.robot import ComponentConfig
from viam.utils import dict_to_struct

from tests.support.go_directory import FRAME_S, SECONDS, GoDirectory, at, between, clip, frames, refusal
from tests.support.recording import US, FixedClock, until
from tests.support.storage import START_S
from videostore.base.errors import ConfigError, RequestError
from videostore.base.ranges import Range
from videostore.base.time_format import format_local
from videostore.media.boxes import leaves
from videostore.viam.camera import StorageCamera


def local_name(second: int) -> str:
    return f"{format_local((START_S + second) * US)}.mp4"


def length_s(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as container:
        return float(container.duration or 0) / US


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
    go: GoDirectory, command: str, fields: dict[str, Any], words: str
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
async def test_a_wrong_tag_is_refused_with_its_place(go: GoDirectory, tags: list[Any], words: str, later: bool) -> None:
    go.put(0)
    async with go.taken_over() as (_, client):
        assert words in await refusal(client, "save", **between(0, 2), tags=tags, async_=later)
    assert not any(path.is_file() for path in go.stores.upload.rglob("*"))


async def test_an_unknown_command_and_an_empty_storage_are_refused_with_those_words(go: GoDirectory) -> None:
    async with go.taken_over() as (_, client):
        assert "invalid command" in await refusal(client, "stop")
        with pytest.raises(GRPCError) as error:
            await client.camera.do_command({"from": at(0)})
        assert "invalid command" in str(error.value.message)
        for command in ("save", "fetch"):
            assert "no storage files found" in await refusal(client, command, **between(0, 2))


async def test_a_clip_too_large_for_an_answer_is_refused_with_the_word_grpc(go: GoDirectory) -> None:
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


async def test_a_fetch_until_the_future_answers_with_what_there_is_and_a_save_is_refused(go: GoDirectory) -> None:
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


async def test_a_save_over_segments_of_both_kinds_of_names_holds_all_of_it(go: GoDirectory) -> None:
    go.put(0, local_name(3), f"{at(6)}.mp4", 9)
    async with go.taken_over() as (_, client):
        answer = await client("save", **between(1, 11), metadata="door")
        assert answer == {"command": "save", "filename": f"cam_{format_local((START_S + 1) * US)}_door.mp4"}
        assert frames((go.stores.upload / answer["filename"]).read_bytes()) == 100
        state = await client("get-storage-state")
    assert state["stored_video"] == [{"from": at(0), "to": at(12)}]


async def test_local_times_and_times_in_utc_mean_the_same(go: GoDirectory) -> None:
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
async def test_a_clip_is_as_long_as_its_range(go: GoDirectory, begin: int, end: int) -> None:
    go.put(0, 3, 6)
    async with go.taken_over() as (_, client):
        answer = await client("fetch", **between(begin, end))
        saved = await client("save", **between(begin, end))
    assert "ranges" not in answer and "ranges" not in saved
    for data in (clip(answer), (go.stores.upload / saved["filename"]).read_bytes()):
        assert frames(data) == (end - begin) * 10
        assert abs(length_s(data) - (end - begin)) < FRAME_S


async def test_containers_are_a_progressive_and_a_fragmented_mp4(go: GoDirectory) -> None:
    go.put(0)
    async with go.taken_over() as (_, client):
        answers = {name: clip(await client("fetch", **between(0, 3), container=name)) for name in ("mp4", "fmp4")}
        assert clip(await client("fetch", **between(0, 3))) != b""
    kinds = {name: [kind for kind, _ in leaves(data)] for name, data in answers.items()}
    assert b"moof" not in answers["mp4"] and answers["mp4"].index(b"moov") < answers["mp4"].index(b"mdat")
    assert answers["fmp4"].count(b"moof") >= 1 and b"mdat" in kinds["fmp4"]


async def test_tags_become_sorted_directories_and_the_name_stays(go: GoDirectory) -> None:
    go.put(0)
    async with go.taken_over() as (_, client):
        answer = await client("save", **between(0, 2), tags=["quality", "location"], metadata="m")
        plain = await client("save", **between(0, 2), tags=[])
    assert answer["filename"] == f"cam_{format_local(START_S * US)}_m.mp4"
    assert (go.stores.upload / "tag=location" / "tag=quality" / answer["filename"]).is_file()
    assert (go.stores.upload / plain["filename"]).is_file()


async def test_a_save_that_does_not_wait_says_so_and_is_written(go: GoDirectory) -> None:
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
    go: GoDirectory, asked: tuple[int, int], held: list[tuple[int, int]]
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


async def test_where_the_size_changes_the_clip_holds_both_sides(go: GoDirectory) -> None:
    """The Go module leaves out what differs from the first."""
    go.put(0)
    go.put(3, kind="large")
    async with go.taken_over() as (_, client):
        answer = await client("fetch", **between(1, 5))
    assert "ranges" not in answer
    assert abs(length_s(clip(answer)) - 4) < 2 * FRAME_S


@pytest.mark.parametrize("call", ["export", "stream"])
async def test_the_library_answers_a_range_until_the_future_as_fetch_does(
    go: GoDirectory, tmp_path: Path, call: str
) -> None:
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
