"""Events are marked and removed by requests."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import START_US, US
from tests.support.web_server import Answer, WebServer, run_web
from videostore.web.marks import AskedMarks, Module

API = "api/recorders/marked"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    directory = Path(shutil.copytree(recording, tmp_path_factory.mktemp("event_api") / "marked"))
    with run_web([directory]) as server:
        yield server


def post(server: WebServer, **body: Any) -> Answer:
    return server.get(f"{API}/events", JSON, "POST", json.dumps(body).encode())


def events(server: WebServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get(f"{API}/timeline").json["events"]
    return found


def test_a_moment_is_marked_and_forgotten(server: WebServer) -> None:
    answer = post(server, at_us=START_US, label=" a guest ", before_s=1, after_s=2.5)
    assert answer.status == 201
    assert answer.json == {
        "id": 1,
        "at_us": START_US,
        "from_us": START_US - US,
        "to_us": START_US + 2_500_000,
        "label": "a guest",
        "keep": False,
        "saved": None,
        "save_status": None,
        "save_reason": "",
    }
    assert events(server) == [answer.json]
    assert server.get(f"{API}/events/1", method="DELETE").status == 200
    assert events(server) == []
    gone = server.get(f"{API}/events/1", method="DELETE")
    assert (gone.status, gone.json["error"]) == (404, "event-unknown")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"at_us": START_US},
        {"at_us": True, "label": "x"},
        {"at_us": START_US, "label": 5},
        {"at_us": START_US, "label": "x", "keep": 1},
        {"at_us": START_US, "label": "x", "before_s": 4000},
        {"at_us": START_US, "label": "x", "after_s": -1},
        {"at_us": START_US, "label": "two\nlines"},
        {"at_us": START_US, "label": "x", "keep": True},
        {"at_us": -START_US, "label": "x"},
        {"at_us": START_US // US, "label": "x"},  # seconds
    ],
)
def test_what_is_wrong_is_refused_with_a_sentence(server: WebServer, body: dict[str, Any]) -> None:
    answer = post(server, **body)
    assert answer.status == 400 and answer.json["message"].endswith(".")
    assert events(server) == []
    assert not server.get("api/recorders").json["recorders"][0]["keeps"]


def test_a_field_that_is_null_counts_as_absent_and_an_unknown_one_is_ignored(server: WebServer) -> None:
    answer = post(server, at_us=float(START_US), label="x", before_s=None, after_s=None, keep=None, nonsense=[1])
    assert answer.status == 201
    assert (answer.json["from_us"], answer.json["to_us"]) == (START_US - 15 * US, START_US + 15 * US)
    assert server.get(f"{API}/events/{answer.json['id']}", method="DELETE").status == 200
    for missing in ({}, {"label": None}):
        answer = post(server, at_us=START_US, **missing)
        assert answer.json["message"] == (
            "The field 'label' is missing. It must be printable text of 1 to 200 characters."
        )


@pytest.mark.parametrize("number", ["0", "-1", "abc", "1.0", "1e3", "%00", "%D9%A3", "9" * 16])
def test_what_can_be_no_number_of_an_event_is_named(server: WebServer, number: str) -> None:
    answer = server.get(f"{API}/events/{number}", method="DELETE")
    assert (answer.status, answer.json["field"]) == (400, "id")
    assert answer.json["message"].endswith("It must be a whole number from 1 to 999999999999999.")


def nested(depth: int) -> bytes:
    return b'{"at_us": %d, "label": %s%s}' % (START_US, b"[" * depth, b"]" * depth)


def test_a_value_that_is_nested_deeply_is_named_and_does_not_come_back(server: WebServer) -> None:
    answer = server.get(f"{API}/events", JSON, "POST", nested(400))
    assert (answer.status, answer.json["field"]) == (400, "label") and "value" not in answer.json
    answer = server.get(f"{API}/events", JSON, "POST", nested(30_000))
    assert answer.json["message"].endswith("application/json: its body is nested too deeply.")


async def test_a_recorder_is_not_asked_for_what_is_wrong(server: WebServer) -> None:
    (recorder,) = server.recorders
    before, recorder.marks = recorder.marks, AskedMarks(Module(lambda line: pytest.fail(repr(line))), "marked")
    try:
        for wrong in ({"label": "x" * 201}, {"label": "x", "before_s": 4000}, {"label": "x", "after_s": "1"}):
            assert (await asyncio.to_thread(post, server, at_us=START_US, **wrong)).json["error"] == "field-wrong"
    finally:
        recorder.marks = before
