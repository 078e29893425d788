from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.support.recording import START_US, US
from videostore.base.errors import MachineError
from videostore.base.ranges import DamagedRange, Range
from videostore.remote.responses import clip_ranges, damaged_ranges, parse_snapshot, parse_state, timestamp
from videostore.storage.notes import Event, RecordingGap
from videostore.storage.save_record import SaveOutcome, SaveStatus

PICTURE: dict[str, Any] = {
    "image": base64.b64encode(b"jpeg").decode(),
    "captured_us": float(START_US),
    "width": 640.0,
    "height": 360.0,
    "exact": True,
}


def test_a_picture_is_read_with_whole_numbers() -> None:
    found = parse_snapshot(PICTURE, "door")
    assert (found.jpeg, found.captured_us, found.width, found.height) == (b"jpeg", START_US, 640, 360)
    assert found.exact and found.damaged is None
    assert parse_snapshot(PICTURE | {"damaged": "packets-lost"}, "door").damaged == "packets-lost"


@pytest.mark.parametrize("wrong", [{"image": "%"}, {"image": 3}, {"captured_us": "now"}, {"width": None}])
def test_what_is_no_picture_is_an_error_that_names_the_recorder(wrong: dict[str, Any]) -> None:
    with pytest.raises(MachineError) as failed:
        parse_snapshot(PICTURE | wrong, "door")
    assert (failed.value.code, failed.value.component) == ("not-a-recorder", "door")


def test_what_is_no_state_is_an_error() -> None:
    with pytest.raises(MachineError):
        parse_state({"stored_video": []}, "door")


def test_ranges_end_where_the_request_did() -> None:
    one = {"from": timestamp(START_US // 1000 * 1000), "to": timestamp((START_US + US) // 1000 * 1000)}
    assert clip_ranges({"ranges": [one]}, START_US, START_US + US) == (Range(START_US, START_US + US),)
    assert clip_ranges({}, START_US, START_US + US) is None
    damaged = {"from": timestamp(START_US), "to": timestamp(START_US + US), "reason": "packets-lost"}
    assert damaged_ranges({"damaged": [damaged]}) == (DamagedRange(START_US, START_US + US, "packets-lost"),)


def test_a_state_has_events_and_the_reasons_of_gaps() -> None:
    usage = {"storage_path": "/a", "storage_used_gb": 1, "storage_limit_gb": 2, "device_storage_remaining_gb": 3}
    span = {"from": timestamp(START_US), "to": timestamp(START_US + US)}
    event = {"id": 7.0, "at": timestamp(START_US), **span, "label": "motion", "keep": True}
    response = {"stored_video": [], "disk_usage": usage, "gaps": [span | {"reason": "off"}], "events": [event]}
    state = parse_state(response, "door")
    assert state.gaps == (RecordingGap(START_US, START_US + US, "off"),)
    assert state.events == (Event(7, START_US, START_US, START_US + US, "motion", True),)
    assert not state.outcomes
    saved = event | {"filename": "a.mp4", "save_status": "failed", "save_reason": "The disk is full."}
    state = parse_state(response | {"events": [saved, event | {"filename": "b.mp4"}]}, "door")
    assert state.outcomes == {"a.mp4": SaveOutcome(SaveStatus.FAILED, "The disk is full.")}
    with pytest.raises(MachineError):
        parse_state(response | {"events": [event | {"id": "x"}]}, "door")


def test_stored_ranges_are_exact_where_the_module_tells_them_so() -> None:
    usage = {"storage_path": "/a", "storage_used_gb": 1, "storage_limit_gb": 2, "device_storage_remaining_gb": 3}
    rounded = {"from": timestamp(START_US // US * US), "to": timestamp((START_US // US + 5) * US)}
    response = {"stored_video": [rounded], "disk_usage": usage}
    assert parse_state(response, "door").ranges == (Range(START_US // US * US, (START_US // US + 5) * US),)
    exact = [float(START_US + 1), float(START_US + 4 * US + 3)]
    state = parse_state(response | {"stored_us": [exact]}, "door")
    assert state.ranges == (Range(START_US + 1, START_US + 4 * US + 3),)
    for wrong in ([[1]], [["x", 2]], 5, [5]):
        with pytest.raises(MachineError):
            parse_state(response | {"stored_us": wrong}, "door")
