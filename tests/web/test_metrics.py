"""What Prometheus and watchdogs read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.web_server import WebServer, run_web
from videostore.web.metrics import METRICS
from videostore.web.recorders import RecorderPlace

NAME = 'front "door" \\ über\n'


@pytest.fixture(scope="module")
def served(recording: Path) -> Iterator[WebServer]:
    with run_web([RecorderPlace(NAME, recording), RecorderPlace("yard", recording)]) as server:
        yield server


def samples(server: WebServer) -> dict[tuple[str, str], float]:
    """Every value by metric and recorder, as Prometheus reads them."""
    answer = server.get("metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {(sample.name, sample.labels["recorder"]): sample.value for family in families for sample in family.samples}


def tell(server: WebServer, name: str, **status: object) -> None:
    async def do() -> None:
        recorder = server.recorders.named(name)
        assert recorder is not None
        recorder.tell({"frames_per_second": 20.0, "recorded_frames": 7, **status})

    server.run(do())


def test_each_recorder_has_its_figures_whatever_it_is_called(served: WebServer) -> None:
    found = samples(served)
    assert {recorder for _, recorder in found} == {NAME, "yard"}
    assert found["videostore_segments", NAME] == found["videostore_segments", "yard"] == 4
    assert found["videostore_readable", "yard"] == 1 and found["videostore_oldest_timestamp_seconds", "yard"] > 1e9
    assert ("videostore_recording", "yard") not in found
    tell(served, "yard", recording=True)
    found = samples(served)
    assert found["videostore_recording", "yard"] == 1 and found["videostore_frames_total", "yard"] == 7
    assert ("videostore_frames_total", NAME) not in found


def test_recorders_that_share_a_name_or_have_one_that_is_no_text_have_figures_of_their_own(
    recording: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.symlink_to(recording)
    names = "door", "door", "caf\udce9"
    with run_web([RecorderPlace(name, other if number else recording) for number, name in enumerate(names)]) as server:
        found = samples(server)
        ids = {one.id for one in server.recorders if one.name == "door"}
    told = {recorder for metric, recorder in found if metric == "videostore_segments"}
    assert len(ids) == 2 and told == {*ids, "caf?"}
    assert len([one for one in found if one[0] == "videostore_segments"]) == len(names)


def test_one_whose_disk_hangs_keeps_the_others_from_nothing(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.web.figures.WITHIN_S", 0.1)
    monkeypatch.setattr("videostore.web.api.WITHIN_S", 0.1)

    async def hang() -> bool:
        await asyncio.Event().wait()
        return True

    with run_web([RecorderPlace("door", recording), RecorderPlace("yard", recording)]) as server:
        door = server.recorders.named("door")
        monkeypatch.setattr(door, "store", hang)
        monkeypatch.setattr(door, "is_recording", hang)
        found = samples(server)
        assert (found["videostore_readable", "door"], found["videostore_readable", "yard"]) == (0, 1)
        assert server.get("healthz").text.startswith("1 of 2 recorders")
        first, second = server.get("api/recorders").json["recorders"]
    assert first["trouble"].startswith("The answer took longer than") and second["trouble"] is None


def test_the_health_says_how_many_are_not_well_and_names_none(served: WebServer) -> None:
    tell(served, "yard", recording=True)
    assert (served.get("healthz").status, served.get("healthz").text) == (200, "ok\n")
    tell(served, "yard", recording=False)
    answer = served.get("healthz")
    assert answer.status == 503 and answer.text.startswith("1 of 2 recorders") and "yard" not in answer.text


def test_metrics_have_names_of_their_own() -> None:
    assert len({one.name for one in METRICS}) == len(METRICS)
    assert all(one.help.endswith(".") for one in METRICS)
