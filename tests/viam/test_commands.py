from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import START_US, US, FixedClock, Stores, until
from videostore.base.errors import VideoStoreError
from videostore.base.time_format import format_local, format_utc, format_utc_exact
from videostore.store.store import VideoStore
from videostore.viam.commands import describe_health, execute

GIB = 1 << 30
RANGE = {"from": format_utc_exact(START_US + US), "to": format_utc_exact(START_US + 3 * US)}


@pytest.fixture
async def store(stores: Stores, recording: Path) -> VideoStore:
    """A store over 7 s of recording, an hour later."""
    return await stores.over(recording)


async def refusal(store: VideoStore, command: Mapping[str, Any]) -> str:
    """The sentence with which a command is refused."""
    with pytest.raises(VideoStoreError) as error:
        await execute(store, command)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert ".py" not in sentence and "Error" not in sentence and "Traceback" not in sentence
    assert len(sentence) < 400
    return sentence


def comment_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.metadata.get("comment", ""))


def uploaded(stores: Stores) -> list[Path]:
    return sorted(path for path in stores.upload.rglob("*") if path.is_file())


# Refusals


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({}, ["'command'", "missing", "save, fetch, get-storage-state"]),
        ({"command": "delete"}, ["'delete'", "unknown", "save, fetch, get-storage-state"]),
        ({"command": 7}, ["'command' is 7,", "unknown"]),
        ({"command": ["save"]}, ["unknown"]),
        ({"command": "save"}, ["parsing time", '"from"', "missing"]),
        ({"command": "fetch", "from": RANGE["from"]}, ["parsing time", '"to"', "missing"]),
        ({"command": "fetch", **RANGE, "to": "yesterday"}, ["parsing time", "yesterday", "-SS (local", "-SSZ (UTC)"]),
        ({"command": "fetch", **RANGE, "from": 5.0}, ["parsing time", "5"]),
        ({"command": "fetch", **RANGE, "from": "x" * 10_000}, ["parsing time"]),
        ({"command": "save", "from": RANGE["to"], "to": RANGE["from"]}, ["'from'", "before 'to'", "range"]),
        ({"command": "save", "from": RANGE["to"], "to": RANGE["to"]}, ["'from'", "before 'to'", "range"]),
        ({"command": "fetch", **RANGE, "to": "2099-01-01_00-00-00Z"}, ["future", "2099-01-01_00-00-00.000Z"]),
        ({"command": "save", **RANGE, "to": "2099-01-01_00-00-00Z", "async": True}, ["future"]),
        ({"command": "fetch", "from": "2020-01-01_00-00-00Z", "to": "2020-01-01_00-01-00Z"}, ["range", "nearest"]),
        ({"command": "save", "from": "2020-01-01_00-00-00Z", "to": "2020-01-01_00-01-00Z"}, ["range", "2024-08-30"]),
        ({"command": "fetch", **RANGE, "container": "mkv"}, ["'container'", "'mkv'", "mp4, fmp4"]),
        ({"command": "fetch", **RANGE, "container": 4.0}, ["'container'", "string"]),
        ({"command": "save", **RANGE, "metadata": {"a": 1}}, ["'metadata'", "string"]),
        ({"command": "save", **RANGE, "async": "yes"}, ["'async'", "true or false"]),
        ({"command": "save", **RANGE, "tags": "night"}, ["'tags'", "list of strings"]),
        ({"command": "save", **RANGE, "tags": ["../.."]}, ["tags[0]", "'../..'"]),
        ({"command": "save", **RANGE, "tags": [3.0]}, ["tags[0]", "string"]),
    ],
)
async def test_what_cannot_be_done_is_refused_in_a_sentence_that_names_it(
    store: VideoStore, stores: Stores, command: dict[str, Any], words: list[str]
) -> None:
    sentence = await refusal(store, command)
    for word in words:
        assert word in sentence
    assert uploaded(stores) == []


async def test_a_range_that_lies_ahead_by_as_much_as_clocks_differ_is_refused_or_shortened(
    store: VideoStore,
) -> None:
    now_us = FixedClock().wall_us()
    ahead = {"from": format_utc_exact(now_us + US), "to": format_utc_exact(now_us + 2 * US)}
    assert "future" in await refusal(store, {"command": "fetch", **ahead})
    answer = await execute(store, {"command": "fetch", "from": RANGE["from"], "to": format_utc_exact(now_us + 4 * US)})
    assert len(answer["ranges"]) == 1


async def test_a_fetch_beyond_what_grpc_carries_is_refused_before_any_work(
    stores: Stores, recording: Path, tmp_path: Path
) -> None:
    """The ffmpeg of this store cannot even be started."""
    store = await stores.over(recording, binary=str(tmp_path / "none"))
    for path in stores.storage.glob("*.mp4"):
        os.truncate(path, 20 * 1024 * 1024)  # sparse
        await store._archive.forget([path.name])
        await store._archive.take_closed(path.name)
    whole = {"from": RANGE["from"], "to": format_utc_exact(START_US + 7 * US)}
    sentence = await refusal(store, {"command": "fetch", **whole})
    assert "grpc" in sentence
    assert "MiB" in sentence and "24.0 MiB" in sentence
    assert "fetch at most 2 s" in sentence
    assert "could not be made" in await refusal(store, {"command": "fetch", **RANGE})


# Fetch


@pytest.mark.parametrize("container", [None, "mp4", "fmp4"])
async def test_a_fetch_answers_with_the_clip(store: VideoStore, times: list[int], container: str | None) -> None:
    answer = await execute(store, {"command": "fetch", **RANGE, "container": container})
    assert sorted(answer) == ["command", "video"]
    clip = base64.b64decode(answer["video"], validate=True)
    assert (b"moof" in clip) == (container == "fmp4")
    # The timestamps have milliseconds.
    from_us = (START_US + US) // 1000 * 1000
    assert check_clip(read_clip(clip), times, from_us, from_us + 2 * US).flawless


async def test_an_answer_names_the_ranges_where_the_clip_does_not_hold_all(store: VideoStore) -> None:
    given = {"from": format_utc(START_US - 60 * US), "to": RANGE["to"]}
    for command in ("fetch", "save"):
        answer = await execute(store, {"command": command, **given})
        assert answer["ranges"] == [{"from": format_utc_exact(START_US), "to": RANGE["to"]}]
    assert "ranges" not in await execute(store, {"command": "save", **RANGE})


# Save


async def test_a_save_answers_with_the_name_of_the_clip(store: VideoStore, stores: Stores, times: list[int]) -> None:
    answer = await execute(store, {"command": "save", **RANGE, "metadata": "gate"})
    name = f"cam_{format_local(START_US + US)}_gate.mp4"
    assert answer == {"command": "save", "filename": name}
    (path,) = uploaded(stores)
    assert path == stores.upload / name
    from_us = (START_US + US) // 1000 * 1000
    assert check_clip(read_clip(path), times, from_us, from_us + 2 * US).flawless


@pytest.mark.parametrize(
    "metadata",
    [
        json.dumps({"event": "door", "list": [1, 2], "text": 'a "quoted" \\ word; # = \n'}),
        "x" * 10_000,
        "../../../etc/passwd",
        "a/b/c\\d",
        "🚪 Tür offen 🎥" * 50,
        "line\nline\r\nline",
        " = ; # \\ [x] \t",
        "%d %s %% {}",
        "-y",
        "ends in a backslash \\",
    ],
)
async def test_any_metadata_is_accepted_and_stands_whole_in_the_comment(
    store: VideoStore, stores: Stores, metadata: str
) -> None:
    answer = await execute(store, {"command": "save", **RANGE, "metadata": metadata})
    (path,) = uploaded(stores)
    assert path == stores.upload / answer["filename"]
    assert comment_of(path) == metadata


async def test_metadata_with_a_nul_stands_in_the_comment_without_it(store: VideoStore, stores: Stores) -> None:
    await execute(store, {"command": "save", **RANGE, "metadata": "a\0b"})
    (path,) = uploaded(stores)
    assert comment_of(path) == "ab"
    assert path.name.endswith("_a_b.mp4")


@pytest.mark.parametrize("metadata", [None, ""])
async def test_without_metadata_there_is_no_comment(store: VideoStore, stores: Stores, metadata: str | None) -> None:
    answer = await execute(store, {"command": "save", **RANGE, "metadata": metadata})
    assert answer["filename"] == f"cam_{format_local(START_US + US)}.mp4"
    assert comment_of(uploaded(stores)[0]) == ""


async def test_tags_become_sorted_directories(store: VideoStore, stores: Stores) -> None:
    answer = await execute(store, {"command": "save", **RANGE, "tags": ["night", "alarm", "night"]})
    assert uploaded(stores) == [stores.upload / "tag=alarm" / "tag=night" / answer["filename"]]


async def test_an_asynchronous_save_answers_at_once(store: VideoStore, stores: Stores) -> None:
    answer = await execute(store, {"command": "save", **RANGE, "async": True})
    assert answer == {"command": "save", "status": "async", "filename": f"cam_{format_local(START_US + US)}.mp4"}
    path = stores.upload / answer["filename"]
    await until(path.exists)
    assert len(read_clip(path)) > 10


# State


async def test_the_storage_state_has_exactly_the_fields_of_the_go_module(store: VideoStore, stores: Stores) -> None:
    answer = await execute(store, {"command": "get-storage-state"})
    used = sum(path.stat().st_size for path in stores.storage.glob("*.mp4"))
    remaining = answer["disk_usage"].pop("device_storage_remaining_gb")
    assert answer == {
        "command": "get-storage-state",
        "stored_video": [{"from": "2024-08-30_06-40-00Z", "to": "2024-08-30_06-40-07Z"}],
        "disk_usage": {
            "storage_path": str(stores.storage),
            "storage_used_gb": used / GIB,
            "storage_limit_gb": 1.0,
        },
    }
    assert 0 < remaining < 1e6


async def test_an_empty_storage_has_a_state_too(stores: Stores) -> None:
    answer = await execute(await stores.open(), {"command": "get-storage-state"})
    assert answer["stored_video"] == []
    assert answer["disk_usage"]["storage_used_gb"] == 0.0


async def test_health_without_a_camera_says_why_nothing_is_recorded(store: VideoStore) -> None:
    health = describe_health(store.health())
    assert health["recording"] is False
    assert health["reason"] == "no camera is configured"
    assert (health["stored_segments"], health["pending_saves"]) == (4, 0)
    assert 6.5 < health["stored_seconds"] < 8
