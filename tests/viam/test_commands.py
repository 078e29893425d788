"""Commands as clients send them, over a real store: what is returned and what is refused."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import START_US, US, FixedClock, Stores, until
from videostore.base.errors import VideoStoreError
from videostore.base.time_format import format_iso, format_local, format_utc, format_utc_exact, format_utc_microseconds
from videostore.base.timestamps import parse_timestamp
from videostore.store.store import VideoStore
from videostore.viam.commands import describe_health, execute

GIB = 1 << 30
RANGE = {"from": format_utc_exact(START_US + US), "to": format_utc_exact(START_US + 3 * US)}


async def refusal(store: VideoStore, command: Mapping[str, Any]) -> str:
    """The text of the error with which a command is refused."""
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
        ({"command": "delete"}, ["'delete'", "invalid command", "save, fetch, get-storage-state"]),
        ({"command": 7}, ["'command' is 7,", "invalid command"]),
        ({"command": ["save"]}, ["invalid command"]),
        ({"command": "save"}, ["parsing time", '"from"', "missing"]),
        ({"command": "fetch", "from": RANGE["from"]}, ["parsing time", '"to"', "missing"]),
        ({"command": "fetch", **RANGE, "to": "yesterday"}, ["parsing time", "yesterday", "-SS (local", "-SSZ (UTC)"]),
        ({"command": "fetch", **RANGE, "from": 5.0}, ["parsing time", "5"]),
        ({"command": "fetch", **RANGE, "from": "x" * 10_000}, ["parsing time"]),
        ({"command": "save", "from": RANGE["to"], "to": RANGE["from"]}, ["'from'", "before 'to'", "range"]),
        ({"command": "save", "from": RANGE["to"], "to": RANGE["to"]}, ["'from'", "before 'to'", "range"]),
        ({"command": "save", **RANGE, "to": "2099-01-01_00-00-00Z"}, ["future", "2099-01-01_00-00-00.000Z"]),
        ({"command": "save", **RANGE, "to": "2099-01-01_00-00-00Z", "async": True}, ["future"]),
        ({"command": "fetch", "from": "2020-01-01_00-00-00Z", "to": "2020-01-01_00-01-00Z"}, ["range", "nearest"]),
        ({"command": "save", "from": "2020-01-01_00-00-00Z", "to": "2020-01-01_00-01-00Z"}, ["range", "2024-08-30"]),
        ({"command": "fetch", **RANGE, "container": "mkv"}, ["'container'", "'mkv'", "mp4, fmp4"]),
        ({"command": "save", **RANGE, "container": "webm"}, ["'container'", "'webm'", "mp4, fmp4"]),
        ({"command": "save", **RANGE, "async": True, "container": "webm"}, ["'container'", "mp4, fmp4"]),
        ({"command": "fetch", **RANGE, "container": ""}, ["'container'", "mp4, fmp4"]),
        ({"command": "fetch", **RANGE, "container": 4.0}, ["'container'", "string"]),
        ({"command": "save", **RANGE, "metadata": {"a": 1}}, ["'metadata'", "string"]),
        ({"command": "save", **RANGE, "async": "yes"}, ["'async'", "true or false"]),
        ({"command": "save", **RANGE, "tags": "night"}, ["'tags'", "list of strings"]),
        ({"command": "save", **RANGE, "tags": ["../.."]}, ["tags[0]", "'../..'"]),
        ({"command": "save", **RANGE, "tags": [3.0]}, ["tags[0]", "string"]),
    ],
)
async def test_an_invalid_command_is_refused_and_the_error_names_the_field(
    store: VideoStore, stores: Stores, command: dict[str, Any], words: list[str]
) -> None:
    sentence = await refusal(store, command)
    for word in words:
        assert word in sentence
    assert uploaded(stores) == []


async def test_a_range_slightly_in_the_future_is_refused_or_shortened(
    store: VideoStore,
) -> None:
    now_us = FixedClock().wall_us()
    ahead = {"from": format_utc_exact(now_us + US), "to": format_utc_exact(now_us + 2 * US)}
    assert "future" in await refusal(store, {"command": "fetch", **ahead})
    response = await execute(
        store, {"command": "fetch", "from": RANGE["from"], "to": format_utc_exact(now_us + 4 * US)}
    )
    assert len(response["ranges"]) == 1


async def test_a_fetch_larger_than_a_grpc_response_is_refused_before_any_work(
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
    assert "Fetch at most 2 s" in sentence
    assert "could not be made" in await refusal(store, {"command": "fetch", **RANGE})


# Fetch


@pytest.mark.parametrize("container", [None, "mp4", "fmp4"])
async def test_a_fetch_returns_the_clip(store: VideoStore, times: list[int], container: str | None) -> None:
    response = await execute(store, {"command": "fetch", **RANGE, "container": container})
    assert sorted(response) == ["command", "video"]
    clip = base64.b64decode(response["video"], validate=True)
    assert (b"moof" in clip) == (container == "fmp4")
    # The timestamps have milliseconds.
    from_us = (START_US + US) // 1000 * 1000
    assert check_clip(read_clip(clip), times, from_us, from_us + 2 * US).flawless


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("container", [None, "mp4", "fmp4"])
async def test_a_save_writes_the_container_that_was_asked_for(
    store: VideoStore, container: str | None, asynchronous: bool
) -> None:
    response = await execute(store, {"command": "save", **RANGE, "container": container, "async": asynchronous})
    path = store._storage.upload_path / response["filename"]
    await until(path.exists)
    assert path.suffix == ".mp4"
    assert (b"moof" in path.read_bytes()) == (container == "fmp4")


async def test_a_response_lists_the_ranges_of_an_incomplete_clip(store: VideoStore) -> None:
    given = {"from": format_utc(START_US - 60 * US), "to": RANGE["to"]}
    for command in ("fetch", "save"):
        response = await execute(store, {"command": command, **given})
        to = RANGE["to"].replace("Z", "000Z")
        assert response["ranges"] == [{"from": format_utc_microseconds(START_US), "to": to}]
    assert "ranges" not in await execute(store, {"command": "save", **RANGE})


# Save


async def test_a_save_returns_the_file_name_of_the_clip(store: VideoStore, stores: Stores, times: list[int]) -> None:
    response = await execute(store, {"command": "save", **RANGE, "metadata": "gate"})
    name = f"cam_{format_local(START_US + US)}_gate.mp4"
    assert response == {"command": "save", "filename": name}
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
async def test_any_metadata_is_accepted_and_written_unchanged_to_the_comment(
    store: VideoStore, stores: Stores, metadata: str
) -> None:
    response = await execute(store, {"command": "save", **RANGE, "metadata": metadata})
    (path,) = uploaded(stores)
    assert path == stores.upload / response["filename"]
    assert comment_of(path) == metadata


async def test_a_nul_in_the_metadata_is_removed_from_the_comment(store: VideoStore, stores: Stores) -> None:
    await execute(store, {"command": "save", **RANGE, "metadata": "a\0b"})
    (path,) = uploaded(stores)
    assert comment_of(path) == "ab"
    assert path.name.endswith("_a_b.mp4")


@pytest.mark.parametrize("metadata", [None, ""])
async def test_without_metadata_there_is_no_comment(store: VideoStore, stores: Stores, metadata: str | None) -> None:
    response = await execute(store, {"command": "save", **RANGE, "metadata": metadata})
    assert response["filename"] == f"cam_{format_local(START_US + US)}.mp4"
    assert comment_of(uploaded(stores)[0]) == ""


async def test_tags_become_sorted_directories(store: VideoStore, stores: Stores) -> None:
    response = await execute(store, {"command": "save", **RANGE, "tags": ["night", "alarm", "night"]})
    assert uploaded(stores) == [stores.upload / "tag=alarm" / "tag=night" / response["filename"]]


async def test_an_asynchronous_save_returns_at_once(store: VideoStore, stores: Stores) -> None:
    response = await execute(store, {"command": "save", **RANGE, "async": True})
    assert response == {"command": "save", "status": "async", "filename": f"cam_{format_local(START_US + US)}.mp4"}
    path = stores.upload / response["filename"]
    await until(path.exists)
    assert len(read_clip(path)) > 10


# Health and ranges


async def test_health_without_a_camera_says_why_nothing_is_recorded(store: VideoStore) -> None:
    health = describe_health(store.health())
    assert health["recording"] is False
    assert health["reason"] == "no camera is configured"
    assert (health["stored_segments"], health["pending_saves"]) == (4, 0)
    assert 6.5 < health["stored_seconds"] < 8


async def test_a_listed_range_of_a_response_is_rounded_outwards(store: VideoStore, times: list[int]) -> None:
    command = {
        "command": "fetch",
        "from": format_utc_exact(times[0] - 5 * US),
        "to": format_utc_exact(times[-1] + 9 * US),
    }
    (listed,) = (await execute(store, command))["ranges"]
    (stored,) = (await store.state()).ranges
    assert stored.from_us - 1000 < parse_timestamp(listed["from"], "from") <= stored.from_us
    assert stored.to_us <= parse_timestamp(listed["to"], "to") < stored.to_us + 1000


async def test_a_range_between_two_frames_is_refused_with_the_times_of_both(
    store: VideoStore, times: list[int]
) -> None:
    command = {
        "command": "fetch",
        "from": format_utc_microseconds(times[3] + 1_000),
        "to": format_utc_microseconds(times[3] + 6_000),
    }
    sentence = await refusal(store, command)
    assert sentence.startswith("No frame was captured in the range from")
    assert f"{format_utc_microseconds(times[3])} and {format_utc_microseconds(times[4])}." in sentence


# Pictures


async def test_get_frame_returns_the_picture_of_a_moment(store: VideoStore, times: list[int]) -> None:
    found = await execute(store, {"command": "get-frame", "at": format_utc_microseconds(times[27])})
    image = Image.open(io.BytesIO(base64.b64decode(found.pop("image"), validate=True)))
    assert image.size == (found["width"], found["height"]) == (320, 180)
    assert found.pop("captured_at") == format_iso(times[27])
    assert found == {"command": "get-frame", "captured_us": times[27], "width": 320, "height": 180, "exact": True}
    narrow = await execute(
        store, {"command": "get-frame", "at": format_utc_microseconds(times[27]), "width": 100.0, "exact": False}
    )
    assert (narrow["width"], narrow["height"], narrow["exact"]) == (100, 56, False)
    assert narrow["captured_us"] < times[27]


@pytest.mark.parametrize("fields", [{}, {"at": None}, {"at": "now"}])
async def test_get_frame_of_no_moment_or_of_now_is_the_newest_one(
    store: VideoStore, times: list[int], fields: dict[str, Any]
) -> None:
    found = await execute(store, {"command": "get-frame", "width": 100, **fields})
    assert found["captured_us"] == times[-1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"at": "yesterday"}, "yesterday"),
        ({"at": "2124-08-30_06-40-01Z"}, "'at' is in the future"),
        ({"at": "2024-08-30_06-50-01Z"}, "Nothing is recorded at 2024-08-30_06-50-01.000Z. The last frame before it"),
        ({"at": "2024-08-30_06-40-01Z", "width": 3}, "'width' is 3. It must be a whole number of pixels from 16"),
        ({"at": "2024-08-30_06-40-01Z", "width": 99.5}, "'width' is 99.5"),
        ({"at": "2024-08-30_06-40-01Z", "width": "640"}, "'width' is '640'"),
        ({"at": "2024-08-30_06-40-01Z", "exact": "no"}, "'exact' is 'no'. It must be true or false"),
    ],
)
async def test_get_frame_refuses_what_it_cannot_show(store: VideoStore, fields: dict[str, Any], words: str) -> None:
    assert words in await refusal(store, {"command": "get-frame", **fields})


# Events


async def test_a_moment_is_marked_listed_and_released(store: VideoStore, stores: Stores) -> None:
    at = format_utc_microseconds(START_US + 3 * US)
    command = {"command": "mark", "label": "door opened", "at": at, "before_s": 1.5, "after_s": 2.0, "keep": True}
    marked = await execute(store, command | {"save": True})
    await until(lambda: not store.health().pending_saves)
    assert [path.name for path in uploaded(stores)] == [marked["filename"]]
    assert marked.pop("command") == "mark"
    assert marked == {
        "id": 1,
        "at": at,
        "from": format_utc_microseconds(START_US + 1_500_000),
        "to": format_utc_microseconds(START_US + 5 * US),
        "label": "door opened",
        "keep": True,
        "filename": f"cam_{format_local(START_US + 1_500_000)}_door opened.mp4",
        "save_status": "pending",
    }
    marked["save_status"] = "done"
    assert await execute(store, {"command": "get-events"}) == {"command": "get-events", "events": [marked]}
    state = await execute(store, {"command": "get-storage-state"})
    assert state["events"] == [marked]
    earlier = {"from": "2024-08-30_06-00-00Z", "to": "2024-08-30_06-30-00Z"}
    assert (await execute(store, {"command": "get-events", **earlier}))["events"] == []
    await execute(store, {"command": "unmark", "id": 1.0, "release": True})
    assert (await execute(store, {"command": "get-events"}))["events"] == [marked | {"keep": False}]
    forgotten = await execute(store, {"command": "unmark", "id": 1.0})
    assert forgotten == {"command": "unmark", "id": 1.0, "filename": marked["filename"]}  # which is saved all the same
    assert (await execute(store, {"command": "get-events"}))["events"] == []
    plain = await execute(store, {"command": "mark", "label": "now"})
    assert "filename" not in plain and plain["at"] == format_utc_microseconds(START_US + 3600 * US)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"command": "mark"}, "'label' is missing"),
        ({"command": "mark", "label": 3.0}, "'label' is 3. It must be"),
        ({"command": "mark", "label": "a\0b"}, "'label' is "),
        ({"command": "mark", "label": "a", "at": "noon"}, "noon"),
        ({"command": "mark", "label": "a", "before_s": "1"}, "'before_s' is '1'"),
        ({"command": "mark", "label": "a", "after_s": 1e9}, "'after_s' is 1000000000. It must be a number of seconds"),
        ({"command": "mark", "label": "a", "keep": "yes"}, "'keep' is 'yes'. It must be true or false"),
        ({"command": "mark", "label": "a", "save": 1.0}, "'save' is 1. It must be true or false"),
        ({"command": "unmark"}, "'id' is missing"),
        ({"command": "unmark", "id": 7.0}, "'id' is 7, but there is no event with this number"),
        ({"command": "unmark", "id": "7"}, "'id' is '7'"),
        ({"command": "get-events", "from": 7.0}, "parsing time"),
    ],
)
async def test_wrong_events_are_refused(store: VideoStore, command: dict[str, Any], words: str) -> None:
    assert words in await refusal(store, command)
