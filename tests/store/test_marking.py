from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.recording import START_US, US, FixedClock, Pulse, Stores, capture_times, record, take_over, until
from videostore.base.constants import GIB
from videostore.base.errors import NoRoomError, NothingStoredError, RequestError, VideoStoreError
from videostore.media.segment import Segment
from videostore.storage.index import Index
from videostore.storage.notes import DELETED, FILE_NAME, Event
from videostore.storage.save_record import SaveJob, SaveOutcome, SaveStatus
from videostore.store.marking import wait_until
from videostore.store.store import VideoStore

APART_US = 100 * US


async def recorded(stores: Stores, count: int) -> list[Segment]:
    """Some recordings, each a segment, `APART_US` from one to the next."""
    for number in range(count):
        await record(stores.storage, capture_times(1.8, START_US + number * APART_US))
    segments = await take_over(stores.storage)
    assert len(segments) == count
    return segments


async def reopened(stores: Stores, segments: Sequence[Segment], *, size_gb: float = 1) -> VideoStore:
    """The store anew, with another quota, when it has enforced that."""
    await stores.close()
    store = await stores.open(size_gb=size_gb)
    names = {one.file_name for one in segments}
    await until(lambda: {path.name for path in stores.storage.glob("*.mp4")} == names)
    await until(lambda: store.health().segments == len(segments))
    return store


async def test_a_moment_whose_footage_is_gone_already_is_refused(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    await store._archive.reconciled.wait()  # what is not read yet may be older
    for at in (1, START_US // US, START_US // 1000, START_US - 2 * 3600 * US):
        with pytest.raises(RequestError) as failed:
            await store.mark("too early", at)
        assert failed.value.code == "mark-before-recording"
        assert (failed.value.fields["at_us"], failed.value.fields["first_us"]) == (at, START_US)
    assert await store.events() == ()
    assert (await store.mark("before the first frame", START_US - 14 * US)).id == 1


async def test_a_moment_is_marked_listed_and_forgotten_on_demand(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    second = await store.mark("door opened", START_US + 3 * US, before_s=1, after_s=0.5)
    first = await store.mark("motion", START_US + US)
    assert second == Event(1, START_US + 3 * US, START_US + 2 * US, START_US + 3_500_000, "door opened")
    assert (first.from_us, first.to_us) == (START_US - 14 * US, START_US + 16 * US)
    assert await store.events() == (await store.state()).events == (first, second)
    assert await store.events(START_US + 4 * US, START_US + 5 * US) == (first,)
    for start in (START_US + 5 * US, START_US + 6 * US):
        with pytest.raises(RequestError) as failed:
            await store.events(start, START_US + 5 * US)
        assert failed.value.code == "range-empty"
    await stores.close()
    store = await stores.open()
    assert await store.events() == (first, second)
    async with VideoStore.open(stores.storage) as reader:
        assert await reader.events() == (first, second)
        await store.unmark(first.id)
        assert await reader.events() == (second,)
        for refused in (reader.mark("motion", START_US), reader.unmark(second.id)):
            with pytest.raises(RequestError) as failed:
                await refused
            assert failed.value.code == "read-only-mark"
    with pytest.raises(RequestError) as failed:
        await store.unmark(first.id)
    assert (failed.value.code, failed.value.value) == ("event-unknown", first.id)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"label": ""}, "label"),
        ({"label": "  "}, "label"),
        ({"label": "a\nb"}, "label"),
        ({"label": "x" * 201}, "label"),
        ({"label": 7}, "label"),
        ({"before_s": -1}, "before_s"),
        ({"before_s": 3601}, "before_s"),
        ({"after_s": float("nan")}, "after_s"),
        ({"after_s": True}, "after_s"),
        ({"after_s": "15"}, "after_s"),
        ({"at": START_US + 10_000 * US}, "at"),
    ],
)
async def test_what_is_no_event_is_refused(stores: Stores, fields: dict[str, object], field: str) -> None:
    store = await stores.open()
    with pytest.raises(RequestError) as refused:
        await store.mark(**{"label": "motion", "at": START_US} | fields)  # type: ignore[arg-type]
    assert refused.value.field == field and not (stores.storage / FILE_NAME).exists()


async def test_the_quota_passes_over_what_is_kept_until_it_is_released(stores: Stores) -> None:
    segments = await recorded(stores, 5)
    room_gb = sum(one.size_bytes for one in segments[-2:]) * 1.2 / GIB
    store = await reopened(stores, segments)
    kept = await store.mark("burglary", segments[1].start_us + US, before_s=0.1, after_s=0.1, keep=True)
    lost = await store.mark("wind", segments[2].start_us + US, before_s=0.1, after_s=0.1)
    early = await store.mark("cat", segments[0].start_us + US, before_s=0.1, after_s=0.1)
    store = await reopened(stores, [segments[1], segments[4]], size_gb=room_gb)
    await until(lambda: store._notes.events == (kept,))
    assert lost.id != early.id
    assert (await store.fetch(kept.from_us, kept.to_us)).ranges is None
    gaps = (await store.state()).gaps
    assert [(one.from_us, one.to_us, one.reason) for one in gaps] == [
        (one.start_us, one.end_us, DELETED) for one in segments[2:4]
    ]
    for asked in (store.snapshot(segments[2].start_us + US), store.fetch(segments[3].start_us, segments[3].end_us)):
        with pytest.raises(NothingStoredError) as refused:
            await asked
        assert refused.value.reason == DELETED and f": {DELETED}. The nearest" in str(refused.value)
    await store.unmark(kept.id, release=True)
    assert [one.keep for one in await store.events()] == [False]
    await stores.close()
    store = await stores.open(size_gb=segments[4].size_bytes * 1.1 / GIB)
    await until(lambda: not store._notes.events and not store._notes.gaps)
    assert [path.name for path in stores.storage.glob("*.mp4")] == [segments[4].file_name]


async def test_at_most_half_of_the_quota_is_kept(stores: Stores) -> None:
    segments = await recorded(stores, 4)
    total = sum(one.size_bytes for one in segments)
    store = await reopened(stores, segments, size_gb=total * 1.1 / GIB)
    kept = [await store.mark("one", segments[0].start_us + US, before_s=0.1, after_s=0.1, keep=True)]
    kept.append(await store.mark("same", segments[0].start_us + US, before_s=0.1, after_s=0.1, keep=True))
    kept.append(await store.mark("two", segments[1].start_us + US, before_s=0.1, after_s=0.1, keep=True))
    with pytest.raises(NoRoomError) as refused:
        await store.mark("three", segments[2].start_us + US, before_s=0.1, after_s=0.1, keep=True)
    assert refused.value.code == "kept-fills-half"
    assert refused.value.fields["limit_bytes"] == round(total * 1.1) // 2
    assert refused.value.fields["kept_bytes"] >= segments[0].size_bytes + segments[1].size_bytes
    with pytest.raises(NoRoomError):  # what is still to be recorded counts too
        await store.mark("later", "now", before_s=0, after_s=3600, keep=True)
    assert await store.events() == tuple(kept)
    await store.unmark(kept[2].id)
    assert (await store.mark("three", segments[2].start_us + US, before_s=0.1, after_s=0.1, keep=True)).keep


async def test_the_clip_of_an_event_is_saved_as_soon_as_its_end_is_recorded(tmp_path: Path) -> None:
    stores = Stores(tmp_path)
    pulse = Pulse()
    store = await stores.open(pulse)
    try:
        await until(lambda: len(pulse.delivered) > 12)
        began_us = time.time_ns() // 1000
        event = await store.mark("door bell", before_s=0.5, after_s=1.5, save=True)
        tagged = await store.mark("cat", before_s=0.5, after_s=0, save=True, metadata="grey", tags=["pet"])
        assert began_us <= event.at_us and event.file_name is not None and "door bell" in event.file_name
        assert (await store.save_status(event.file_name)).status is SaveStatus.PENDING
        assert (await store.save_outcomes([event]))[event.file_name] == SaveOutcome(SaveStatus.PENDING)
        await until(lambda: not store.health().pending_saves)
        assert time.time_ns() // 1000 >= event.to_us
        assert (await store.save_status(event.file_name)).status is SaveStatus.DONE
        assert tagged.file_name
        outcomes = await store.save_outcomes([event, tagged])
        assert outcomes == dict.fromkeys((event.file_name, tagged.file_name), SaveOutcome(SaveStatus.DONE))
        assert (await store.state()).outcomes == outcomes
        shown = [frame.captured_us for _, frame in read_clip(stores.upload / event.file_name) if frame]
        assert tagged.file_name and "grey" in tagged.file_name and "cat" not in tagged.file_name
        assert (stores.upload / "tag=pet" / tagged.file_name).exists()
        assert shown == [one for one in pulse.delivered if event.from_us <= one < event.to_us]
    finally:
        await stores.close()


async def test_what_became_of_a_clip_is_told_before_the_index_knows_it(
    stores: Stores, recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await stores.over(recording)
    go_on, put_save = asyncio.Event(), Index.put_save

    async def put_late(index: Index, save: SaveJob) -> None:
        if save.status is not SaveStatus.PENDING:
            await go_on.wait()
        await put_save(index, save)

    monkeypatch.setattr(Index, "put_save", put_late)
    event = await store.mark("cat", times[20], before_s=1, after_s=1, save=True)
    await until(lambda: not store.health().pending_saves)
    assert event.file_name is not None and (await store.save_status(event.file_name)).status is SaveStatus.DONE
    assert await store.save_outcomes([event]) == {event.file_name: SaveOutcome(SaveStatus.DONE)}
    assert (await store.state()).outcomes == {event.file_name: SaveOutcome(SaveStatus.DONE)}
    go_on.set()


async def test_a_save_that_has_not_begun_is_cancelled_on_demand(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    before_us = time.time_ns() // 1000
    waiting = await store.mark("door", before_s=1, after_s=3000, save=True, tags=["a"])
    other = await store.mark("cat", before_s=1, after_s=3000, save=True)
    assert waiting.file_name is not None and other.file_name is not None
    assert await store.unmark(waiting.id, cancel_save=True) is None
    assert (await store.save_status(waiting.file_name)).status is SaveStatus.CANCELLED
    assert await store.events() == (other,) and store.health().pending_saves == 1
    assert store.health().failed_saves == []
    assert all(one.to_us <= before_us or one.from_us >= other.from_us for one in store._holds.ranges)
    assert await store.unmark(other.id, release=True, cancel_save=True) is None
    assert [one.file_name for one in await store.events()] == [None]
    await stores.close()
    store = await stores.open()
    assert store.health().pending_saves == 0
    assert (await store.save_status(waiting.file_name)).status is SaveStatus.CANCELLED
    assert not [path for path in stores.upload.rglob("*") if path.is_file()]


async def test_the_clip_of_an_event_that_is_saved_already_stays(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    event = await store.mark("door", START_US + 2 * US, before_s=1, after_s=0.5, save=True)
    assert event.file_name is not None
    await until(lambda: store.health().pending_saves == 0)
    assert await store.unmark(event.id, cancel_save=True) == event.file_name
    assert (await store.save_status(event.file_name)).status is SaveStatus.DONE
    assert (stores.upload / event.file_name).exists() and not await store.events()


async def test_an_empty_range_is_not_saved(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    with pytest.raises(RequestError) as refused:
        await store.mark("nothing", START_US + US, before_s=0, after_s=0, save=True)
    assert refused.value.code == "range-empty" and not await store.events()


async def test_what_cannot_be_noted_is_an_error(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    (stores.storage / f"{FILE_NAME}.new").mkdir()
    with pytest.raises(VideoStoreError) as failed:
        await store.mark("motion", START_US + US)
    assert failed.value.code == "event-not-noted" and not await store.events()


async def test_a_clock_that_is_set_back_does_not_keep_an_event_waiting() -> None:
    clock = FixedClock()
    await wait_until(clock, clock.wall - 1, 0.001)

    class Stepped(FixedClock):
        def monotonic_us(self) -> int:
            self.monotonic += US
            self.wall -= US
            return self.monotonic

    await wait_until(Stepped(), Stepped().wall + 5 * US, 0.001)
