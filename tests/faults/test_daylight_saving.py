"""Local times around the start and the end of daylight saving: requests get exactly the frames they ask for."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timezone

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.recording import (
    SMALL,
    US,
    FixedClock,
    Stores,
    capture_times,
    record,
    take_over,
    until,
    write_foreign,
)
from videostore.base.errors import TimestampError
from videostore.store.store import VideoStore
from videostore.viam.commands import execute

NEW_YORK = "EST5EDT,M3.2.0,M11.1.0"
"""In POSIX form, which needs no time zone database."""


@pytest.fixture
async def in_new_york(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The machine's time zone is New York's."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", NEW_YORK)
        time.tzset()
        yield
    time.tzset()


def utc_us(text: str) -> int:
    """Microseconds since 1970 of an ISO time in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * US


async def recorded_at(stores: Stores, *moments: str, seconds: float = 6) -> tuple[VideoStore, list[list[int]]]:
    """A store with one run from 1.5 s before each of these times. Its clock shows a day later."""
    runs = [capture_times(seconds, utc_us(text) - 1_500_000 + n, seed=n, fps=8) for n, text in enumerate(moments)]
    for run in runs:
        await record(stores.storage, run, size=SMALL)
    count = len(await take_over(stores.storage))
    store = await stores.open(clock=FixedClock(wall=runs[-1][-1] + 86_400 * US))
    await until(lambda: store.health().segments == count)
    return store, runs


async def fetched(store: VideoStore, from_text: str, to_text: str) -> list[int]:
    """Capture times of the frames in the clip of a request."""
    answer = await execute(store, {"command": "fetch", "from": from_text, "to": to_text})
    return [frame.captured_us if frame else 0 for _, frame in read_clip(base64.b64decode(answer["video"]))]


def inside(run: Sequence[int], from_us: int, to_us: int) -> list[int]:
    return [t for t in run if from_us <= t < to_us]


async def test_a_local_time_that_occurs_twice_means_the_first_and_utc_reaches_both(
    in_new_york: None, stores: Stores
) -> None:
    store, (first, second) = await recorded_at(stores, "2024-11-03T05:30:00", "2024-11-03T06:30:00")
    ends = [(utc_us(text), utc_us(text) + 3 * US) for text in ("2024-11-03T05:30:00", "2024-11-03T06:30:00")]
    assert await fetched(store, "2024-11-03_01-30-00", "2024-11-03_01-30-03") == inside(first, *ends[0])
    assert await fetched(store, "2024-11-03_05-30-00Z", "2024-11-03_05-30-03Z") == inside(first, *ends[0])
    assert await fetched(store, "2024-11-03_06-30-00Z", "2024-11-03_06-30-03Z") == inside(second, *ends[1])
    assert await fetched(store, "2024-11-03_01-29-00", "2024-11-03_06-30-03Z") == first + inside(second, 0, ends[1][1])
    state = await execute(store, {"command": "get-storage-state"})
    assert [stored["from"] for stored in state["stored_video"]] == ["2024-11-03_05-29-58Z", "2024-11-03_06-29-58Z"]


async def test_a_local_range_over_the_end_of_daylight_saving_holds_both_occurrences(
    in_new_york: None, stores: Stores
) -> None:
    store, (first, second) = await recorded_at(stores, "2024-11-03T05:30:00", "2024-11-03T06:30:00")
    assert await fetched(store, "2024-11-03_01-00-00", "2024-11-03_02-00-00") == first + second


async def test_clips_of_both_occurrences_have_different_names(in_new_york: None, stores: Stores) -> None:
    store, (first, second) = await recorded_at(stores, "2024-11-03T05:30:00", "2024-11-03T06:30:00")
    names = []
    for run, hour in ((first, "05"), (second, "06")):
        request = {"command": "save", "from": f"2024-11-03_{hour}-30-00Z", "to": f"2024-11-03_{hour}-30-03Z"}
        names.append((await execute(store, request))["filename"])
        from_us = utc_us(f"2024-11-03T{hour}:30:00")
        shown = [frame.captured_us for _, frame in read_clip(stores.upload / names[-1]) if frame]
        assert shown == inside(run, from_us, from_us + 3 * US)
    assert names == ["cam_2024-11-03_01-30-00.mp4", "cam_2024-11-03_01-30-00-2.mp4"]


async def test_a_recording_over_the_end_of_daylight_saving_is_one_range(in_new_york: None, stores: Stores) -> None:
    store, (run,) = await recorded_at(stores, "2024-11-03T06:00:00")
    (stored,) = (await store.state()).ranges
    assert stored.from_us == run[0] and run[-1] < stored.to_us < run[-1] + US
    change = utc_us("2024-11-03T06:00:00")
    shown = await fetched(store, "2024-11-03_01-59-59", "2024-11-03_06-00-02Z")
    assert shown == inside(run, change - US, change + 2 * US)


async def test_a_local_time_that_does_not_occur_is_refused_by_commands_and_by_the_library(
    in_new_york: None, stores: Stores
) -> None:
    store, (run,) = await recorded_at(stores, "2024-03-10T07:30:00")
    from_us = utc_us("2024-03-10T07:30:00")
    expected = inside(run, from_us, from_us + 3 * US)
    for request in ("2024-03-10_02-30-00", "2024-03-10 02:30:00", "2024-03-10T02:30:00", datetime(2024, 3, 10, 2, 30)):
        with pytest.raises(TimestampError, match="did not exist here: clocks skipped it") as refusal:
            await store.fetch(request, "2024-03-10_03-30-03")
        assert "01" in refusal.value.fields["before"] and "03" in refusal.value.fields["after"]
    with pytest.raises(TimestampError, match="Use 2024-03-10_01-30-00 or 2024-03-10_03-30-00, or UTC"):
        await fetched(store, "2024-03-10_02-30-00", "2024-03-10_02-30-03")
    assert await fetched(store, "2024-03-10_03-30-00", "2024-03-10_03-30-03") == expected
    assert await fetched(store, "2024-03-10_07-30-00Z", "2024-03-10_07-30-03Z") == expected


async def test_a_file_that_is_named_by_a_local_time_that_does_not_occur_is_read(
    in_new_york: None, stores: Stores
) -> None:
    """The time zone of the machine may have been changed since the Go module wrote it."""
    await write_foreign(stores.storage / "2024-03-10_02-30-00.mp4")
    (found,) = await take_over(stores.storage)
    assert found.start_us == utc_us("2024-03-10T07:30:00")


async def test_a_local_range_over_the_start_of_daylight_saving_is_not_an_hour_too_long(
    in_new_york: None, stores: Stores
) -> None:
    store, (run,) = await recorded_at(stores, "2024-03-10T07:00:00")
    change = utc_us("2024-03-10T07:00:00")
    answer = await execute(store, {"command": "fetch", "from": "2024-03-10_01-59-59", "to": "2024-03-10_03-00-02"})
    shown = [frame.captured_us for _, frame in read_clip(base64.b64decode(answer["video"])) if frame]
    assert shown == inside(run, change - US, change + 2 * US) and "ranges" not in answer
