"""Health of a recorder."""

from __future__ import annotations

import re

import pytest

from tests.support.recording import LOGGER, SMALL, Pulse, Stores, until
from tests.support.web_server import WebServer
from videostore.web.health import health_of
from videostore.web.recorders import RecorderPlace, Recorders


def test_what_the_files_tell_is_told(web: WebServer) -> None:
    told = web.get("api/recorders/front-door/health").json
    assert (told["recording"], told["codec"], told["sound"]) == (False, "h264", False)
    assert (told["width"], told["height"]) == SMALL
    assert told["segments"] == 5
    assert told["used_bytes"] > 10_000 < told["bytes_per_day"]
    assert (told["days_fit"], told["days_unknown"]) == (None, "nothing is recorded at the moment")
    assert told["newest_age_s"] > 3600
    assert (told["limit_bytes"], told["dropped"], told["troubles"]) == (None, None, [])


def test_the_page_asks_for_nothing_that_is_not_told(web: WebServer) -> None:
    told = web.get("api/recorders/front-door/health").json
    shown = set(re.findall(r"health\??\.(\w+)", web.get("static/health.mjs").text))
    assert len(shown) > 15
    assert shown - {"error", "mjs"} <= told.keys()


async def test_what_its_module_says_is_passed_on(stores: Stores) -> None:
    await stores.open(Pulse(), segment_seconds=60)
    await until(lambda: [path for path in stores.storage.glob("*.open") if path.stat().st_size > 10_000])
    recorders = Recorders(LOGGER)
    recorder = recorders.add(RecorderPlace("door", stores.storage))
    files = await health_of(recorder)
    recorder.tell({"limit_bytes": 1 << 30, "reason": "The camera does not answer.", "dropped_frames": 3})
    told = await health_of(recorder, recorders)
    await recorders.close()
    assert files["recording"] is True and files["days_unknown"] == "its quota is not known here"
    assert told["days_fit"] > 0 and told["days_unknown"] is None
    assert files["fps"] == pytest.approx(10, abs=5)
    assert told["newest_age_s"] < 60
    assert (told["limit_bytes"], told["reason"]) == (1 << 30, "The camera does not answer.")
    assert (told["dropped"], told["troubles"]) == (3, ["The camera does not answer."])
