"""How long a recording becomes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from tests.support.recording import LOGGER, SMALL, START_US, US, capture_times, record, take_over
from videostore.base.constants import GIB, MIB
from videostore.storage.notes import Event
from videostore.web.recorders import Recorder, RecorderPlace, Recorders
from videostore.web.room import DAY_US, Disk, Room, bytes_per_day, disk_of, room_of

RECORDS: Mapping[str, Any] = {"recording": True, "frames_per_second": 10.0, "min_free_gb": 1}
DISK = Disk(device=7, total_bytes=100 * GIB, free_bytes=40 * GIB)


@pytest_asyncio.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Recorder, Recorder]]:
    """Two recorders on one disk. The first has 6 s of video, the second nothing."""
    for name in ("door", "yard"):
        (tmp_path / name).mkdir()
    await record(tmp_path / "door", capture_times(6), size=SMALL)
    await take_over(tmp_path / "door")
    recorders = Recorders(LOGGER)
    door, yard = (recorders.add(RecorderPlace(name, tmp_path / name)) for name in ("door", "yard"))
    for one in (door, yard):
        await one.store()
        assert one.device == tmp_path.stat().st_dev
        one.device = DISK.device
    yield door, yard
    await recorders.close()


async def room(one: Recorder, *others: Recorder, disk: Disk | None = DISK, recording: bool = True) -> Room:
    viewing = (await one.store())._viewing
    _, newest_us = await viewing.extent_us()
    return await room_of(one, [one, *others], disk, await bytes_per_day(viewing, newest_us), recording)


async def per_day(one: Recorder) -> int:
    viewing = (await one.store())._viewing
    return await bytes_per_day(viewing, (await viewing.extent_us())[1]) or 0


async def test_the_quota_says_how_long_it_becomes(pair: tuple[Recorder, Recorder]) -> None:
    door, _ = pair
    door.tell({**RECORDS, "limit_bytes": 10 * GIB})
    found = await room(door)
    assert found == Room(10 * GIB, round(10 * GIB / await per_day(door), 4), None)


async def test_at_rest_nothing_fits(pair: tuple[Recorder, Recorder]) -> None:
    door, _ = pair
    door.tell({**RECORDS, "recording": False, "limit_bytes": 10 * GIB})
    assert await room(door, recording=False) == Room(10 * GIB, None, "nothing is recorded at the moment")


async def test_without_a_module_the_quota_is_not_known(pair: tuple[Recorder, Recorder]) -> None:
    assert await room(pair[0]) == Room(None, None, "its quota is not known here")


async def test_before_anything_is_stored_there_is_no_rate(pair: tuple[Recorder, Recorder]) -> None:
    _, yard = pair
    yard.tell({**RECORDS, "limit_bytes": 10 * GIB})
    assert await room(yard) == Room(10 * GIB, None, "nothing is stored yet")


@pytest.mark.parametrize(("min_free_gb", "floor_bytes"), [(5, 5 * GIB), (None, 256 * MIB)])
async def test_a_quota_beyond_the_disk_does_not_count_and_what_stays_free_is_left_out(
    pair: tuple[Recorder, Recorder], min_free_gb: float | None, floor_bytes: int
) -> None:
    door, _ = pair
    door.tell({**RECORDS, "limit_bytes": 1000 * GIB, "min_free_gb": min_free_gb})
    expected = (door.stored_bytes or 0) + 40 * GIB - floor_bytes
    assert await room(door) == Room(expected, round(expected / await per_day(door), 4), None)


async def test_a_full_disk_has_room_for_what_is_stored_alone(pair: tuple[Recorder, Recorder]) -> None:
    door, yard = pair
    for one in pair:
        one.tell({**RECORDS, "limit_bytes": 10 * GIB})
    full = Disk(DISK.device, 100 * GIB, 1 * GIB)
    stored_bytes = door.stored_bytes or 0
    assert stored_bytes > 0
    assert await room(door, disk=full) == Room(stored_bytes, round(stored_bytes / await per_day(door), 4), None)
    fuller = Disk(DISK.device, 100 * GIB, 0)
    assert await room(door, disk=fuller) == Room(0, None, "the disk has no room for it")
    assert await room(yard, disk=fuller) == Room(0, None, "nothing is stored yet")


async def test_a_disk_that_tells_nothing_is_named(pair: tuple[Recorder, Recorder], tmp_path: Path) -> None:
    door, _ = pair
    door.tell({**RECORDS, "limit_bytes": 10 * GIB})
    assert disk_of(tmp_path / "gone") is None
    assert (await room(door, disk=None)).days_unknown == "the disk does not tell how much of it is free"


async def test_what_others_will_take_of_the_same_disk_counts(pair: tuple[Recorder, Recorder]) -> None:
    door, yard = pair
    door.tell({**RECORDS, "limit_bytes": 10 * GIB})
    yard.tell({**RECORDS, "limit_bytes": 20 * GIB})
    assert (await room(door, yard)).room_bytes == 10 * GIB  # both have room
    yard.tell({**RECORDS, "limit_bytes": 30 * GIB})
    crowded = Room(None, None, "the disk has too little room for the quotas of all recorders on it")
    assert await room(door, yard) == crowded
    yard.device = 8
    assert (await room(door, yard)).room_bytes == 10 * GIB  # it is on another disk
    yard.device = DISK.device
    yard.tell({"limit_bytes": 30 * GIB, "reason": "no camera is configured"})
    assert (await room(door, yard)).room_bytes == 10 * GIB  # it has nothing to record


async def test_what_another_takes_that_tells_nothing_is_not_known(
    pair: tuple[Recorder, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    door, yard = pair
    door.tell({**RECORDS, "limit_bytes": 10 * GIB})
    assert (await room(door, yard)).room_bytes == 10 * GIB  # at rest
    monkeypatch.setattr(yard, "_looked", float("inf"))
    monkeypatch.setattr(yard, "_recording", True)
    assert (await room(door, yard)).days_unknown == "how much yard takes of the same disk is not known here"


async def test_footage_that_is_kept_takes_room_from_what_is_new(
    pair: tuple[Recorder, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    door, _ = pair
    viewing = (await door.store())._viewing
    events = (
        Event(1, START_US, START_US + US, START_US + 3 * US, "kept", keep=True),
        Event(2, START_US, START_US + 2 * US, START_US + 4 * US, "kept too", keep=True),
        Event(3, START_US, START_US, START_US + 5 * US, "marked"),
        Event(4, START_US, START_US - 60 * US, START_US - 30 * US, "nothing is stored of it", keep=True),
    )
    monkeypatch.setattr(viewing, "_notes", SimpleNamespace(events=events, load=viewing._notes.load))
    door.tell({**RECORDS, "limit_bytes": 1 * MIB})
    found, rate = await room(door), await per_day(door)
    assert found == Room(1 * MIB, round((1 * MIB - rate * 3 * US // DAY_US) / rate, 4), None)
