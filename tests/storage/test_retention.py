from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, US, FixedClock, until
from videostore.base.errors import NoRoomError
from videostore.base.ranges import Range
from videostore.media.segment import Segment
from videostore.storage.archive import Archive
from videostore.storage.reconciler import Reconciler
from videostore.storage.retention import Retention
from videostore.storage.retention_holds import RetentionHolds
from videostore.storage.unindexed import UnindexedFiles


@dataclass
class Keeper:
    """An archive of segments that are files of 1000 bytes each, and retention over it."""

    archive: Archive
    open_bytes: int = 0
    is_recording: bool = False
    room_bytes: int | None = None
    """Space on the device for segments, in addition to the space to keep free; None for no limit."""
    clock: FixedClock = field(default_factory=lambda: FixedClock(wall=100_000 * US))
    holds: RetentionHolds = field(init=False)

    def __post_init__(self) -> None:
        self.holds = RetentionHolds(self.clock)

    async def fill(self, count: int) -> None:
        for number in range(count):
            await self.fill_one(number)

    async def fill_one(self, number: int) -> None:
        start_us = (1000 + 30 * number) * US
        name = f"{start_us // US}.mp4"
        (self.archive.directory / name).write_bytes(bytes(1000))
        segment = Segment(name, start_us, start_us + 30 * US, 1000, 640, 480, "h264")
        await self.archive.index.add([segment])
        self.archive.timeline.add(segment.start_us, segment.end_us, segment.size_bytes)

    def hold(self, number: int) -> contextlib.AbstractContextManager[None]:
        """A clip needs this segment."""
        return self.holds.hold((1010 + 30 * number) * US, (1020 + 30 * number) * US)

    def retention(self, quota_bytes: int) -> Retention:
        return Retention(
            self.archive,
            quota_bytes,
            open_bytes=lambda: self.open_bytes,
            is_recording=lambda: self.is_recording,
            holds=self.holds,
            shortage_bytes=self.shortage_bytes,
            logger=LOGGER,
        )

    def shortage_bytes(self) -> int:
        stored = sum(path.stat().st_size for path in self.archive.directory.glob("*.mp4"))
        return -(1 << 40) if self.room_bytes is None else stored - self.room_bytes

    def files(self) -> list[int]:
        """Numbers of the segments that exist."""
        return sorted((int(path.stem) - 1000) // 30 for path in self.archive.directory.glob("*.mp4"))


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    archive = await Archive.open(tmp_path, LOGGER)
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)  # before this, nothing is deleted
    yield Keeper(archive)
    await archive.close()


async def test_while_it_is_recorded_there_is_room_for_the_segment_that_is_being_written(keeper: Keeper) -> None:
    """As much as the newest one took, and a quarter of the quota at most."""
    keeper.is_recording = True
    await keeper.fill(10)
    keeper.archive.newest_bytes = 1000
    await keeper.retention(8000).enforce()
    assert keeper.files() == [3, 4, 5, 6, 7, 8, 9]
    keeper.open_bytes = 1000
    await keeper.retention(8000).enforce()
    assert keeper.files() == [3, 4, 5, 6, 7, 8, 9]
    keeper.open_bytes, keeper.archive.newest_bytes = 0, 7000
    await keeper.retention(8000).enforce()
    assert keeper.files() == [4, 5, 6, 7, 8, 9]


async def test_the_device_has_room_for_the_segment_that_is_being_written(keeper: Keeper) -> None:
    keeper.is_recording, keeper.room_bytes = True, 5000
    await keeper.fill(10)
    keeper.archive.newest_bytes = 1000
    await keeper.retention(100_000).enforce()
    assert keeper.files() == [6, 7, 8, 9]


async def test_nothing_is_deleted_while_the_quota_is_kept(keeper: Keeper) -> None:
    await keeper.fill(5)
    await keeper.retention(5000).enforce()
    assert keeper.files() == [0, 1, 2, 3, 4]


async def test_the_oldest_are_deleted_and_no_more_than_necessary(keeper: Keeper) -> None:
    await keeper.fill(5)
    await keeper.retention(4999).enforce()
    assert keeper.files() == [1, 2, 3, 4]
    await keeper.retention(2500).enforce()
    assert keeper.files() == [3, 4]
    assert keeper.archive.timeline.stored_bytes == 2000
    assert [s.file_name for s in await keeper.archive.index.oldest(10)] == ["1090.mp4", "1120.mp4"]


async def test_space_on_the_device_is_freed_even_if_the_quota_is_kept(keeper: Keeper) -> None:
    await keeper.fill(5)
    keeper.room_bytes = 2500
    await keeper.retention(1_000_000).enforce()
    assert keeper.files() == [3, 4]


async def test_open_segments_count_towards_the_quota(keeper: Keeper) -> None:
    await keeper.fill(5)
    keeper.open_bytes = 1500
    await keeper.retention(5000).enforce()
    assert keeper.files() == [2, 3, 4]


async def test_a_much_lower_quota_is_reached_in_several_batches(keeper: Keeper) -> None:
    await keeper.fill(173)
    await keeper.retention(10_000).enforce()
    assert keeper.files() == list(range(163, 173))


async def test_much_more_than_usual_is_told_once_before_it_is_deleted(
    keeper: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    await keeper.fill(173)
    await keeper.retention(172_000).enforce()
    assert not caplog.text
    retention = keeper.retention(10_000)
    await retention.enforce()
    told = "Deleting the oldest recordings, 0.00 of 0.00 GiB: the quota is 0.00 GiB."
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [told]
    keeper.room_bytes = 2500
    await retention.enforce()
    assert caplog.text.count("the device has too little room") == 1


async def test_a_quota_smaller_than_one_segment_deletes_everything_and_ends(keeper: Keeper) -> None:
    await keeper.fill(3)
    keeper.open_bytes = 10_000
    await asyncio.wait_for(keeper.retention(1).enforce(), 150)
    assert keeper.files() == []


async def test_a_held_segment_is_kept_and_the_next_oldest_is_deleted_instead(keeper: Keeper) -> None:
    await keeper.fill(5)
    retention = keeper.retention(2000)
    with keeper.hold(1):
        await retention.enforce()
        assert keeper.files() == [1, 4]
        assert [(r.from_us // US, r.to_us // US) for r in keeper.archive.timeline.ranges()] == [
            (1030, 1060),
            (1120, 1150),
        ]
    await keeper.fill_one(5)
    await retention.enforce()
    assert keeper.files() == [4, 5]


async def test_a_clip_of_everything_does_not_cost_new_recordings(keeper: Keeper) -> None:
    """The quota is exceeded until the clip is done; what is recorded meanwhile is kept."""
    await keeper.fill(5)
    keeper.clock.wall = 1150 * US
    with keeper.holds.hold(0, 1150 * US):
        await keeper.fill_one(5)
        await keeper.retention(3000).enforce()
        assert keeper.files() == [0, 1, 2, 3, 4, 5]
    await keeper.retention(3000).enforce()
    assert keeper.files() == [3, 4, 5]


async def test_what_a_hold_does_not_name_is_deleted_although_it_came_after_the_hold(keeper: Keeper) -> None:
    """Otherwise a save that cannot be written would lift the quota for as long as it is pending."""
    await keeper.fill(5)
    keeper.clock.wall = 1150 * US
    retention = keeper.retention(5000)
    with keeper.hold(1):
        for number in range(5, 25):
            await keeper.fill_one(number)
            await retention.enforce()
            assert len(keeper.files()) <= 5
        assert keeper.files() == [1, 21, 22, 23, 24]


async def test_while_holds_fill_the_quota_a_tenth_of_it_is_left_for_the_newest(keeper: Keeper) -> None:
    await keeper.fill(20)
    keeper.clock.wall = 1600 * US
    retention = keeper.retention(20_000)
    with keeper.holds.hold(0, 1600 * US):
        for number in range(20, 30):
            await keeper.fill_one(number)
            await retention.enforce()
        assert keeper.files() == [*range(20), 28, 29]
    await retention.enforce()
    assert len(keeper.files()) == 20


async def test_holding_more_is_refused_when_holds_fill_the_quota(keeper: Keeper) -> None:
    await keeper.fill(20)
    retention = keeper.retention(20_000)
    everything, older, newest = Range(0, 1600 * US), Range(1000 * US, 1510 * US), Range(1540 * US, 1590 * US)
    await retention.check_room(everything)  # nothing else is held
    with keeper.holds.hold(older.from_us, older.to_us):
        await retention.check_room(Range(1400 * US, 1530 * US))
        with pytest.raises(NoRoomError) as refused:
            await retention.check_room(newest)
        error = refused.value
        assert (error.code, error.fields["held_bytes"], error.size_bytes) == ("held-fills-quota", 17_000, 2000)
        await retention.check_room(Range(1000 * US, 1100 * US))  # is held already
    await retention.check_room(newest)


async def test_space_on_the_device_is_freed_from_segments_that_are_not_held(keeper: Keeper) -> None:
    await keeper.fill(5)
    keeper.clock.wall = 1090 * US
    keeper.room_bytes = 3000
    with keeper.holds.hold(0, 1090 * US):
        await keeper.retention(1_000_000).enforce()
        assert keeper.files() == [0, 1, 2]


async def test_a_file_that_cannot_be_deleted_is_skipped(keeper: Keeper) -> None:
    await keeper.fill(5)
    undeletable = keeper.archive.directory / "1000.mp4"
    undeletable.unlink()
    undeletable.mkdir()  # `unlink` cannot delete a directory, even as root
    await keeper.retention(3000).enforce()
    assert keeper.files() == [0, 3, 4]


async def test_unindexed_files_are_not_deleted(keeper: Keeper) -> None:
    await keeper.fill(2)
    for name in ("500.mp4", "notes.txt", "5-000000.open"):
        (keeper.archive.directory / name).write_bytes(bytes(5000))
    await keeper.retention(1).enforce()
    assert sorted(path.name for path in keeper.archive.directory.glob("[!i]*")) == [
        "5-000000.open",
        "500.mp4",
        "notes.txt",
    ]


async def test_a_file_that_another_program_deleted_does_no_harm(keeper: Keeper) -> None:
    await keeper.fill(3)
    (keeper.archive.directory / "1000.mp4").unlink()
    await keeper.retention(1000).enforce()
    assert keeper.files() == [2]


async def test_concurrent_calls_do_not_delete_too_much(keeper: Keeper) -> None:
    await keeper.fill(100)
    retention = keeper.retention(50_000)
    await asyncio.gather(*(retention.enforce() for _ in range(5)))
    assert keeper.files() == list(range(50, 100))


async def test_a_hold_that_begins_during_the_deletion_is_respected(keeper: Keeper) -> None:
    """A clip that is planned between two batches keeps its segments."""
    await keeper.fill(120)
    retention = keeper.retention(1000)
    deleting = asyncio.create_task(retention.enforce())
    while len(keeper.files()) == 120:  # noqa: ASYNC110 (the time between two batches is short)
        await asyncio.sleep(0)
    with keeper.hold(110):
        await deleting
        assert keeper.files() == [110]


async def test_room_that_others_use_up_costs_few_segments_at_once_and_then_one_at_each_attempt(
    small_disk: Path,
) -> None:
    archive = await Archive.open(small_disk / "storage", LOGGER)
    try:
        keeper = Keeper(archive)
        archive.set_unindexed(UnindexedFiles())
        await keeper.fill(40)
        retention = keeper.retention(1 << 40)
        await retention.make_room()
        assert (archive.timeline.segments, retention.limit) == (40, None)
        with (small_disk / "foreign").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        for left in (24, 23, 22):
            await retention.make_room()
            assert archive.timeline.segments == left
        assert retention.limit is not None and "No space left" in str(retention.limit)
        (small_disk / "foreign").unlink()
        await retention.make_room()
        assert archive.timeline.segments == 22
    finally:
        await archive.close()


async def test_a_hold_that_begins_while_the_deletion_waits_is_respected(keeper: Keeper) -> None:
    """A clip is being planned: what it found must not be deleted after that."""
    await keeper.fill(5)
    async with keeper.archive.steady():
        deleting = asyncio.create_task(keeper.retention(2000).enforce())
        await until(lambda: keeper.archive._changing._waiters)
        held = keeper.hold(0)
        held.__enter__()
    await deleting
    held.__exit__(None, None, None)
    assert keeper.files() == [0, 4]
