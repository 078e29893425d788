"""Events are marked and removed by requests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import START_US, US
from tests.support.web_server import Answer, WebServer, run_web

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
