"""The API of clips and pictures."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import av
import pytest

from tests.support.recording import START_US, US, Pulse, Stores, until
from tests.support.web_server import WebServer, run_web
from videostore.base.time_format import format_local
from videostore.web.recorders import RecorderPlace

API = "api/recorders/front-door"


@pytest.fixture(scope="module")
def saving(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A server of a recorder with an upload path."""
    upload = tmp_path_factory.mktemp("upload")
    with run_web([RecorderPlace("Front Door", mixed, upload)]) as server:
        yield server


def shown_frames(clip: bytes) -> int:
    with av.open(io.BytesIO(clip)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_picture_tells_when_it_was_captured(web: WebServer, times: list[int]) -> None:
    answer = web.get(f"{API}/frame.jpg?at_us={times[20] + 1}&width=160")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert (answer.headers["X-Capture-Time-Us"], answer.headers["X-Exact"]) == (str(times[20]), "1")
    assert "max-age" in answer.headers["Cache-Control"]
    with av.open(io.BytesIO(answer.body)) as container:
        assert container.streams.video[0].width == 160


def test_a_thumbnail_is_the_keyframe_before_a_moment(web: WebServer, times: list[int]) -> None:
    answer = web.get(f"{API}/frame.jpg?at_us={times[25]}&width=160&exact=0")
    assert int(answer.headers["X-Capture-Time-Us"]) <= times[25]
    assert answer.headers["X-Exact"] == "0"


def test_a_moment_in_a_gap_names_the_frames_on_both_sides(web: WebServer, times: list[int]) -> None:
    answer = web.get(f"{API}/frame.jpg?at_us={START_US + 60 * US}")
    assert (answer.status, answer.json["error"]) == (404, "moment-in-gap")
    assert answer.json["before_us"] == times[-1]
    assert answer.json["after_us"] > START_US + 60 * US


async def test_the_picture_of_now_is_the_newest_one_that_is_there(tmp_path: Path) -> None:
    stores, pulse = Stores(tmp_path), Pulse()
    await stores.open(pulse, segment_seconds=30)
    try:
        await until(lambda: len(pulse.delivered) > 25)
        with run_web([RecorderPlace("door", stores.storage)]) as server:
            for query in ("at=now", "at=now&exact=0"):
                answer = await asyncio.to_thread(server.get, f"api/recorders/door/frame.jpg?{query}")
                # It is shown at that moment if the next one was stored before a busy machine came to look.
                assert answer.status == 200 and answer.headers["X-Exact"] in ("0", "1"), answer.body
                assert pulse.delivered[0] <= int(answer.headers["X-Capture-Time-Us"]) <= pulse.delivered[-1]
    finally:
        await stores.close()


@pytest.mark.parametrize("query", ["", "at_us=x", "at_us=1&width=1", "at_us=1&width=x", "at_us=1&exact=2"])
def test_a_wrong_picture_is_refused_with_a_sentence(web: WebServer, query: str) -> None:
    answer = web.get(f"{API}/frame.jpg?{query}")
    assert (answer.status, answer.json["message"][-1]) == (400, ".")


def test_an_estimate_counts_what_is_stored(web: WebServer, times: list[int]) -> None:
    told = web.get(f"{API}/clip?from_us={START_US - 60 * US}&to_us={START_US + 60 * US}").json
    ((from_us, to_us),) = told["ranges"]
    assert told["seconds"] == (to_us - from_us) / US


def test_a_clip_is_estimated_before_it_is_made(web: WebServer) -> None:
    told = web.get(f"{API}/clip?from_us={START_US + US}&to_us={START_US + 4 * US}").json
    assert told["ranges"] == [[START_US + US, START_US + 4 * US]]
    assert told["seconds"] == pytest.approx(3, abs=0.1)
    made = web.get(f"{API}/clip.mp4?from_us={START_US + US}&to_us={START_US + 4 * US}")
    assert told["size_bytes"] / 4 < len(made.body) < told["size_bytes"] * 4


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
def test_a_clip_has_exactly_the_frames_of_its_range(web: WebServer, times: list[int], container: str) -> None:
    from_us, to_us = times[13], times[44]
    answer = web.get(f"{API}/clip.mp4?from_us={from_us}&to_us={to_us}&container={container}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "video/mp4")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="front-door_{format_local(from_us)}.mp4"'
    assert ("Content-Length" in answer.headers) == (container == "mp4")
    assert shown_frames(answer.body) == 31


def test_a_clip_of_nothing_is_refused_with_a_sentence(web: WebServer) -> None:
    for container in ("mp4", "fmp4"):
        answer = web.get(
            f"{API}/clip.mp4?from_us={START_US + 60 * US}&to_us={START_US + 61 * US}&container={container}"
        )
        assert (answer.status, answer.json["error"]) == (404, "nothing-in-range")
    assert web.get(f"{API}/clip.mp4?from_us=1&to_us=2&container=avi").status == 400


def test_no_temporary_clip_is_left(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert web.get(f"{API}/clip.mp4?from_us={START_US}&to_us={START_US + US}").status == 200
    deadline = time.monotonic() + 60
    while left := [name for _, _, names in os.walk(tmp_path) for name in names]:  # it is removed when it was sent
        assert time.monotonic() < deadline, left


def post(server: WebServer, body: object) -> tuple[int, dict[str, object]]:
    answer = server.get(f"{API}/saves", {"Content-Type": "application/json"}, "POST", json.dumps(body).encode())
    return answer.status, answer.json


def outcome(server: WebServer, name: object) -> dict[str, object]:
    """What became of a save, as soon as it is known."""
    deadline = time.monotonic() + 60
    while (state := server.get(f"{API}/saves/{quote(str(name))}").json)["state"] == "pending":
        assert time.monotonic() < deadline
    found: dict[str, object] = state
    return found


def test_a_clip_is_saved_for_upload(saving: WebServer, times: list[int]) -> None:
    asked = {"from_us": times[10], "to_us": times[30], "metadata": "cat", "tags": ["yard"]}
    status, told = post(saving, asked)
    assert status == 202
    assert told["state"] in ("pending", "done")
    name = told["file_name"]
    state = outcome(saving, name)
    assert state["state"] == "done", state
    (recorder,) = saving.recorders
    assert recorder.place.upload_path is not None
    path = recorder.place.upload_path / "tag=yard" / str(name)
    assert shown_frames(path.read_bytes()) == 20


def test_a_save_that_cannot_be_made_is_refused_with_a_sentence(saving: WebServer, web: WebServer) -> None:
    empty = {"from_us": START_US + 60 * US, "to_us": START_US + 61 * US}
    _, told = post(saving, empty)
    if "file_name" in told:
        told = outcome(saving, told["file_name"])
    assert str(told["message"]).startswith("Nothing is stored")
    bodies: list[object] = [[], {}, {"from_us": 1}, {"from_us": "1", "to_us": 2}]
    bodies += [{**empty, "tags": "x"}, {**empty, "metadata": 1}]
    for wrong in bodies:
        assert post(saving, wrong)[0] == 400, wrong
    assert post(saving, {**empty, "tags": ["../x"]})[0] == 400
    status, told = post(saving, {"from_us": START_US, "to_us": START_US + US, "metadata": None, "tags": None})
    assert status == 202 and outcome(saving, told["file_name"])["state"] == "done"
    assert saving.get(f"{API}/saves/nothing.mp4").status == 404
    assert post(web, empty)[1]["error"] == "no-upload-path"
