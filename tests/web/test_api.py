"""The API: recorders and their timelines."""

from __future__ import annotations

import time

import pytest

from tests.support.recording import START_US, US
from tests.support.web_server import FOREIGN_S, WebServer
from videostore.web.api import zone_name

TIMELINE = "api/recorders/front-door/timeline"


def test_the_recorders_are_listed_with_the_time_here(web: WebServer) -> None:
    told = web.get("api/recorders").json
    assert told["recorders"] == [
        {
            "id": "front-door",
            "name": "Front Door",
            "live": False,
            "recording": False,
            "reason": None,
            "saves": False,
            "keeps": False,
            "trouble": None,
        }
    ]
    assert abs(told["now_us"] / US - time.time()) < 60
    assert isinstance(told["offset_minutes"], int)


def test_the_timeline_has_what_is_stored(web: WebServer, times: list[int]) -> None:
    told = web.get(TIMELINE).json
    (first, second) = told["ranges"]
    assert first[0] == times[0] == told["first_us"] == told["from_us"]
    assert times[-1] < first[1] < times[-1] + US
    assert second == [FOREIGN_S * US, told["newest_us"]]
    assert (told["exact"], told["recording"], told["damaged"]) == (True, False, [])


def test_a_part_of_the_timeline_is_cut_at_its_ends(web: WebServer) -> None:
    told = web.get(f"{TIMELINE}?from_us={START_US + US}&to_us={START_US + 2 * US}").json
    assert told["ranges"] == [[START_US + US, START_US + 2 * US]]
    assert told["first_us"] == START_US


def test_the_end_of_a_timeline_may_be_a_length_after_its_begin(web: WebServer, times: list[int]) -> None:
    found = web.get(f"{TIMELINE}?from_us={times[0]}&to=%2B3s").json
    assert (found["from_us"], found["to_us"]) == (times[0], times[0] + 3_000_000)


def test_a_timeline_with_too_few_pixels_joins_its_ranges_and_says_so(web: WebServer) -> None:
    told = web.get(f"{TIMELINE}?most=1").json
    assert told["ranges"] == [[told["first_us"], told["newest_us"]]]
    assert told["exact"] is False


@pytest.mark.parametrize(
    "query", ["from_us=x&to_us=1", "from_us=2&to_us=1", "most=0", "most=1000000", "from=never&to=now", "from_us=1e3"]
)
def test_a_wrong_query_is_refused_with_a_sentence(web: WebServer, query: str) -> None:
    answer = web.get(f"{TIMELINE}?{query}")
    assert answer.status == 400
    assert answer.json["message"].endswith(".")


def test_the_zone_of_the_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert zone_name() == "Europe/Berlin"
    monkeypatch.setenv("TZ", "UTC")
    assert zone_name() == "UTC"
    monkeypatch.setenv("TZ", "CET-1CEST")
    assert zone_name() is None


def test_the_frames_of_a_range_are_listed(web: WebServer, times: list[int]) -> None:
    told = web.get(f"api/recorders/front-door/frames?from_us={times[3]}&to_us={times[40]}").json
    assert told == {"frames_us": times[3:40], "complete": True}


def test_the_days_are_listed(web: WebServer) -> None:
    (day,) = (
        web.get(f"api/recorders/front-door/days?from_us={START_US - US}&to_us={START_US + US}").json["days"].values()
    )
    assert day == {"seconds": 1, "events": 0}
