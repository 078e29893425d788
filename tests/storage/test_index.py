from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.go_index import GO_INSERT, GO_TABLE
from tests.support.recording import LOGGER, US
from videostore.base.ranges import DamagedRange, Range
from videostore.config.defaults import MAX_STORAGE_PATH_BYTES
from videostore.media.segment import Segment
from videostore.storage.index import FILE_NAME, PAGE, Index
from videostore.storage.save_record import SaveJob, SaveOutcome, SaveStatus

SAVE = SaveJob("cam_1.mp4", "tag=a", 10 * US, 20 * US, '{"why": "test"}', 30 * US)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    index = await Index.open(tmp_path, LOGGER)
    yield index
    await index.close()


def segment(start: float, length: float = 30, *, size_bytes: int = 1000) -> Segment:
    """A segment whose times are given in seconds."""
    start_us = round(start * US)
    return Segment(f"{int(start)}.mp4", start_us, start_us + round(length * US), size_bytes, 640, 480, "h264", "abc", 7)


def names(segments: list[Segment]) -> list[str]:
    return [one.file_name for one in segments]


async def test_a_segment_is_read_as_it_was_added(index: Index) -> None:
    given = Segment("100.mp4", 100_123_457, 130_000_001, 12345, 640, 480, "hevc", "abc", 99)
    await index.add([given])
    assert await index.get(["100.mp4", "200.mp4"]) == [given]
    assert await index.select(0, 1 << 62) == [given]
    assert await index.sizes() == {"100.mp4": 12345}


async def test_adding_a_file_again_updates_its_row(index: Index) -> None:
    await index.add([segment(100)])
    await index.add([segment(100, 60, size_bytes=2000)])
    assert await index.oldest(10) == [segment(100, 60, size_bytes=2000)]


async def test_a_range_selects_segments_that_overlap_it_and_none_that_only_touch_it(index: Index) -> None:
    await index.add([segment(start) for start in (0, 30, 60, 90)])
    assert names(await index.select(30 * US, 60 * US)) == ["30.mp4"]
    assert names(await index.select(30 * US - 1, 60 * US + 1)) == ["0.mp4", "30.mp4", "60.mp4"]
    assert names(await index.select(45 * US, 45 * US + 1)) == ["30.mp4"]
    assert names(await index.select(119_999_999, 500 * US)) == ["90.mp4"]
    assert await index.select(120 * US, 500 * US) == []


async def test_pages_have_the_segments_of_a_range_once_each_and_in_order(index: Index) -> None:
    """Also where a page ends between segments that begin at the same time, and a long one begins far before it."""
    together = [replace(segment(500), file_name=f"{number:05}.mp4") for number in range(PAGE + 10)]
    others = [segment(0, 3600), *(segment(1000 + number, 1) for number in range(PAGE))]
    await index.add([*together, *others])
    for from_us, to_us in [(0, 1 << 62), (510 * US, 1500 * US), (999 * US, 1003 * US), (4000 * US, 1 << 62)]:
        pages = [page async for page in index.pages(from_us, to_us)]
        found = [one for page in pages for one in page]
        assert all(0 < len(page) <= PAGE for page in pages)
        assert found == sorted(await index.select(from_us, to_us), key=lambda one: (one.start_us, one.file_name))


async def test_a_long_segment_that_began_long_before_the_range_is_selected(index: Index) -> None:
    await index.add([segment(0, 3600), *(segment(start) for start in range(3600, 4000, 30))])
    assert names(await index.select(3500 * US, 3501 * US)) == ["0.mp4"]


async def test_selecting_a_range_uses_an_index_and_not_the_whole_table(index: Index, tmp_path: Path) -> None:
    await index.add([segment(start) for start in range(0, 300, 30)])
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    queries = [
        "SELECT max(end_us - start_us) FROM files",
        "SELECT file_name FROM files WHERE start_us > 1 AND start_us < 2 AND deleted_at IS NULL ORDER BY start_us",
    ]
    for query in queries:
        plan = " ".join(str(row) for row in connection.execute("EXPLAIN QUERY PLAN " + query))
        assert "USING INDEX" in plan or "USING COVERING INDEX" in plan
        assert "TEMP B-TREE" not in plan
    connection.close()


async def test_the_cost_of_a_range_depends_on_its_result(index: Index) -> None:
    """SQLite counts its steps: with ten times as many segments, a range takes hardly more steps."""

    async def steps() -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        connection = index._database._connection
        await connection.set_progress_handler(step, 10)
        assert len(await index.select(3000 * US, 3060 * US)) == 2
        await connection.set_progress_handler(step, 0)
        return count

    await index.add([segment(start) for start in range(0, 6000, 30)])
    few = await steps()
    await index.add([segment(start) for start in range(6000, 60_000, 30)])
    assert await steps() <= few * 2


async def test_the_oldest_are_those_that_begin_first(index: Index) -> None:
    await index.add([segment(start) for start in (60, 0, 90, 30)])
    assert names(await index.oldest(2)) == ["0.mp4", "30.mp4"]
    assert names(await index.oldest(10)) == ["0.mp4", "30.mp4", "60.mp4", "90.mp4"]


async def test_removing_segments_ignores_names_that_are_not_in_the_index(index: Index) -> None:
    await index.add([segment(0), segment(30)])
    await index.remove(["0.mp4", "other.mp4"])
    assert names(await index.oldest(10)) == ["30.mp4"]


async def test_a_batch_that_fails_adds_nothing(index: Index) -> None:
    broken = Segment("1.mp4", 0, 1, 1, 1, 1, None)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        await index.add([segment(0), broken])
    assert await index.oldest(10) == []
    await index.add([segment(0)])
    assert names(await index.oldest(10)) == ["0.mp4"]


async def test_tasks_can_write_at_the_same_time(index: Index) -> None:
    await index.add([segment(start) for start in range(0, 300, 30)])
    added = [index.add([segment(start)]) for start in range(300, 600, 30)]
    removed = [index.remove([f"{start}.mp4"]) for start in range(0, 300, 30)]
    await asyncio.gather(*added, *removed)
    assert names(await index.oldest(100)) == [f"{start}.mp4" for start in range(300, 600, 30)]


async def test_spans_are_sorted_by_start_and_come_in_batches(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.storage.database.BATCH", 500)
    await index.add([segment(start, size_bytes=start) for start in range(36_000, 0, -30)])
    batches = [batch async for batch in index.spans()]
    assert len(batches) > 1
    rows = [row for batch in batches for row in batch]
    assert [row[:3] for row in rows] == [(start * US, (start + 30) * US, start) for start in range(30, 36_030, 30)]


async def test_segments_are_kept_when_the_index_is_reopened(tmp_path: Path) -> None:
    first = await Index.open(tmp_path, LOGGER)
    await first.add([segment(0)])
    await first.close()
    second = await Index.open(tmp_path, LOGGER)
    assert await second.oldest(10) == [segment(0)]
    await second.close()


async def test_rows_of_the_go_module_get_start_and_end_times(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as go:
        go.execute(GO_TABLE)
        go.execute(GO_INSERT, ("1725634833.mp4", 1_725_634_833, 29_950, 500, None))
        go.execute(GO_INSERT, ("1725634803.mp4", 1_725_634_803, 30_000, 500, "2024-09-07 00:00:00"))
    go.close()
    index = await Index.open(tmp_path, LOGGER)
    (row,) = await index.oldest(10)
    assert (row.start_us, row.duration_us, row.run_us) == (1_725_634_833 * US, 29_950_000, None)
    assert await index.sizes() == {"1725634833.mp4": 500}
    assert names(await index.select(1_725_634_840 * US, 1_725_634_841 * US)) == ["1725634833.mp4"]
    await index.close()


async def test_the_go_module_can_read_and_write_the_index_afterwards(tmp_path: Path) -> None:
    index = await Index.open(tmp_path, LOGGER)
    await index.add([segment(1_725_634_833, 29.95)])
    await index.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as go:
        row = go.execute("SELECT file_name, start_time_unix, duration_ms, size_bytes FROM files").fetchone()
        assert row == ("1725634833.mp4", 1_725_634_833, 29_950, 1000)
        go.execute(GO_INSERT, ("1725634863.mp4", 1_725_634_863, 30_000, 500, None))
    go.close()
    index = await Index.open(tmp_path, LOGGER)
    assert [s.start_us // US for s in await index.oldest(10)] == [1_725_634_833, 1_725_634_863]
    await index.close()


@pytest.mark.parametrize("content", [b"no database at all " * 100, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_damaged_index_is_renamed_and_recreated(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    index = await Index.open(tmp_path, LOGGER)
    await index.add([segment(0)])
    assert names(await index.oldest(10)) == ["0.mp4"]
    await index.close()
    (aside,) = tmp_path.glob(FILE_NAME + ".damaged-*")
    assert aside.read_bytes() == content


async def test_an_index_that_is_damaged_in_the_middle_is_renamed(tmp_path: Path) -> None:
    index = await Index.open(tmp_path, LOGGER)
    await index.add([segment(start) for start in range(0, 30_000, 30)])
    await index.close()
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    index = await Index.open(tmp_path, LOGGER)
    assert await index.oldest(10) == [] and index.incomplete
    await index.ensure_file()
    assert index.trouble is None
    await index.close()
    assert list(tmp_path.glob(FILE_NAME + ".damaged-*"))


async def test_an_index_that_cannot_be_opened_works_in_memory_and_its_path_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    index = await Index.open(tmp_path, LOGGER)
    assert index.trouble is not None and index.incomplete
    await index.add([segment(0)])
    assert await index.ensure_file() is False
    assert names(await index.oldest(10)) == ["0.mp4"]
    assert (tmp_path / FILE_NAME).is_dir()
    (tmp_path / FILE_NAME).rmdir()
    assert await index.ensure_file() is True
    await index.close()
    again = await Index.open(tmp_path, LOGGER)
    assert names(await again.oldest(10)) == ["0.mp4"]
    await again.close()


async def test_an_index_that_is_deleted_while_in_use_is_recreated_with_all_rows(tmp_path: Path) -> None:
    index = await Index.open(tmp_path, LOGGER)
    await index.add([segment(start) for start in range(0, 300, 30)])
    await index.put_save(SAVE)
    for path in tmp_path.glob(FILE_NAME + "*"):
        path.unlink()
    assert await index.ensure_file() is True
    assert not index.incomplete and index.trouble is None
    await index.add([segment(300)])
    await index.close()
    again = await Index.open(tmp_path, LOGGER)
    assert len(await again.oldest(100)) == 11
    assert await again.saves(SaveStatus.PENDING) == [SAVE]
    await again.close()


async def test_an_index_that_another_process_locks_works_in_memory_and_returns_to_its_file(tmp_path: Path) -> None:
    index = await Index.open(tmp_path, LOGGER)
    await index.add([segment(0)])
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    await index.add([segment(30)])
    await index.remove(["0.mp4"])
    assert index.trouble is not None and "locked" in index.trouble
    assert names(await index.oldest(10)) == ["30.mp4"]
    assert await index.ensure_file() is False
    other.execute("ROLLBACK")
    other.close()
    assert await index.ensure_file() is True
    assert names(await index.oldest(10)) == ["30.mp4"] and not index.incomplete
    await index.close()
    again = await Index.open(tmp_path, LOGGER)
    assert names(await again.oldest(10)) == ["30.mp4"]
    await again.close()


async def test_an_index_that_is_locked_at_the_start_keeps_its_rows_and_saves(tmp_path: Path) -> None:
    index = await Index.open(tmp_path, LOGGER)
    await index.add([segment(0)])
    await index.put_save(SAVE)
    await index.close()
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    index = await Index.open(tmp_path, LOGGER)
    assert index.trouble is not None and index.incomplete
    index.incomplete = False
    await index.add([segment(30)])
    other.close()
    assert await index.ensure_file() is True
    assert names(await index.oldest(10)) == ["0.mp4", "30.mp4"]
    assert index.incomplete  # the rows of the file must be compared with the directory
    assert await index.saves(SaveStatus.PENDING) == [SAVE]
    await index.close()


async def test_a_damaged_index_keeps_the_saves_that_can_be_read(tmp_path: Path) -> None:
    index = await Index.open(tmp_path, LOGGER)
    await index.put_save(SAVE)
    await index.add([segment(start) for start in range(0, 60_000, 30)])
    await index.close()
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b"\xa5" * (len(data) - len(data) // 2)
    path.write_bytes(data)
    index = await Index.open(tmp_path, LOGGER)
    with pytest.raises(sqlite3.DatabaseError):
        await index.sizes()
    assert index.incomplete and await index.sizes() == {}
    assert await index.saves(SaveStatus.PENDING) == [SAVE]
    assert await index.ensure_file() is True
    assert await index.saves(SaveStatus.PENDING) == [SAVE]
    await index.close()


async def test_saves_are_found_by_name_and_the_oldest_finished_ones_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.storage.index.SAVES_REMEMBERED", 3)
    index = await Index.open(tmp_path, LOGGER)
    await index.put_save(SAVE)
    for number in range(5):
        await index.put_save(
            replace(SAVE, file_name=f"{number}.mp4", status=SaveStatus.FAILED, reason="no room", ranges=(Range(1, 2),))
        )
    assert await index.get_save(SAVE.file_name) == SAVE  # pending saves are never forgotten
    assert [save.file_name for save in await index.saves(SaveStatus.FAILED)] == ["4.mp4", "3.mp4", "2.mp4"]
    found = await index.get_save("4.mp4")
    assert found is not None and found.ranges == (Range(1, 2),) and found.reason == "no room"
    assert await index.get_save("0.mp4") is None
    assert (await index.outcomes())["4.mp4"] == SaveOutcome(SaveStatus.FAILED, "no room")
    await index.put_save(replace(found, status=SaveStatus.DONE))
    assert [save.file_name for save in await index.saves(SaveStatus.FAILED, 1)] == ["3.mp4"]
    await index.close()


async def test_the_index_can_be_opened_in_the_longest_storage_path_that_the_config_allows(tmp_path: Path) -> None:
    directory = tmp_path
    while (left := MAX_STORAGE_PATH_BYTES - len(str(directory)) - 1) > 0:
        directory /= "d" * (left if left <= 100 else min(100, left - 2))
    assert len(str(directory)) == MAX_STORAGE_PATH_BYTES
    directory.mkdir(parents=True)
    index = await Index.open(directory, LOGGER)
    assert index.trouble is None
    await index.close()


async def test_damage_is_found_by_the_newest_segments_that_have_any(index: Index) -> None:
    damaged = [
        replace(segment(start), damaged=(DamagedRange(start * US, (start + 1) * US, "packets-lost"),))
        for start in (0, 60, 120)
    ]
    await index.add([segment(30), *damaged, segment(90)])
    assert [one.damaged for one in await index.select(0, 200 * US)] == [
        *(damaged[0].damaged, (), damaged[1].damaged, (), damaged[2].damaged)
    ]
    assert await index.damaged(2) == [*damaged[2].damaged, *damaged[1].damaged]
    await index.add([segment(120)])  # it was read again, and nothing is wrong with it
    assert await index.damaged(9) == [*damaged[1].damaged, *damaged[0].damaged]
