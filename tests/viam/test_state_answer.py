"""What `get-storage-state` answers, over a real store."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.clapping import clapping, record_clapping
from tests.support.recording import US, FixedClock, Stores, until
from videostore.base.timestamps import parse_timestamp
from videostore.storage.segment_files import close_segment
from videostore.store.store import VideoStore
from videostore.viam.commands import execute

GIB = 1 << 30


async def test_the_storage_state_has_exactly_the_fields_of_the_go_module(store: VideoStore, stores: Stores) -> None:
    response = await execute(store, {"command": "get-storage-state"})
    used = sum(path.stat().st_size for path in stores.storage.glob("*.mp4"))
    remaining = response["disk_usage"].pop("device_storage_remaining_gb")
    assert response == {
        "command": "get-storage-state",
        "stored_video": [{"from": "2024-08-30_06-40-00Z", "to": "2024-08-30_06-40-08Z"}],
        "disk_usage": {
            "storage_path": str(stores.storage),
            "storage_used_gb": used / GIB,
            "storage_limit_gb": 1.0,
        },
    }
    assert 0 < remaining < 1e6
    exact = await execute(store, {"command": "get-storage-state", "exact": True})
    (one,) = (await store.state()).ranges
    assert exact.keys() - response.keys() == {"stored_us"} and exact["stored_us"] == [[one.from_us, one.to_us]]
    assert one.from_us % US and one.to_us % US  # no whole seconds, as the others are


async def test_the_storage_state_tells_that_there_is_sound(stores: Stores, tmp_path: Path) -> None:
    recording = tmp_path / "sounding"
    run = await record_clapping(recording, clapping(3))
    for path in sorted(recording.glob("*.open")):
        close_segment(path, finished_only=True, run=run)
    assert (await execute(await stores.over(recording), {"command": "get-storage-state"}))["sound"] is True


@pytest.mark.parametrize("size_gb", [0.0045, 0.0047, 0.1, 1 / 3, 1.5, 12, 0.123456789, 1e-9])
async def test_the_quota_is_told_as_the_config_gives_it(stores: Stores, size_gb: float) -> None:
    response = await execute(await stores.open(size_gb=size_gb), {"command": "get-storage-state"})
    assert response["disk_usage"]["storage_limit_gb"] == pytest.approx(size_gb, abs=0.5 / GIB)
    if size_gb not in (1 / 3, 1e-9):  # these have more decimals than a quota in bytes can tell
        assert response["disk_usage"]["storage_limit_gb"] == size_gb


async def test_an_empty_storage_has_a_state_too(stores: Stores) -> None:
    response = await execute(await stores.open(), {"command": "get-storage-state"})
    assert response["stored_video"] == []
    assert response["disk_usage"]["storage_used_gb"] == 0.0


async def test_what_the_storage_state_lists_gives_back_every_frame_when_it_is_requested(
    store: VideoStore, stores: Stores, times: list[int]
) -> None:
    (listed,) = (await execute(store, {"command": "get-storage-state"}))["stored_video"]
    answer = await execute(store, {"command": "fetch", **listed})
    shown = read_clip(base64.b64decode(answer["video"]))
    assert [frame.captured_us for _, frame in shown if frame] == times
    # While it is being recorded, `to` is in the future for up to a second.
    (stored,) = (await store.state()).ranges
    await store.close()
    just_now = await stores.open(clock=FixedClock(wall=stored.to_us))
    await until(lambda: just_now.unindexed_segments == 0)
    (listed,) = (await execute(just_now, {"command": "get-storage-state"}))["stored_video"]
    assert parse_timestamp(listed["to"], "to") > stored.to_us
    answer = await execute(just_now, {"command": "fetch", **listed})
    assert [frame.captured_us for _, frame in read_clip(base64.b64decode(answer["video"])) if frame] == times
    saved = await execute(just_now, {"command": "save", **listed})
    assert [frame.captured_us for _, frame in read_clip(stores.upload / saved["filename"]) if frame] == times
