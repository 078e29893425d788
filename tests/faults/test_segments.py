"""Damaged segment files: a clip holds what can be read of its range, and the answer names it."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import some_combinations
from tests.support.flips import flip
from tests.support.recording import SIZE, US, FixedClock, Stores, capture_times, record, until
from videostore.base.errors import NothingStoredError, UnreadableRangeError
from videostore.base.ranges import Range
from videostore.base.timestamps import parse_timestamp
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.remote.responses import parse_state
from videostore.storage.watcher import Change
from videostore.store.store import VideoStore
from videostore.viam.commands import describe_health, execute


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 6 // 10)


def truncate_to_100_bytes(path: Path) -> None:
    os.truncate(path, 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_garbage(path: Path) -> None:
    path.write_bytes(b"\xa5garbage" * (path.stat().st_size // 8))


def fill_the_end_with_garbage(path: Path) -> None:
    size, end = path.stat().st_size, read_fragments(path).fragments[0].end_byte
    with path.open("r+b") as file:
        file.seek(end)
        file.write(b"\xa5" * (size - end))


def replace_by_text(path: Path) -> None:
    path.write_text("this was a recording\n" * 100)


def rename(path: Path) -> None:
    path.rename(path.with_suffix(".avi"))


def append_another(path: Path) -> None:
    others = sorted(one for one in path.parent.glob("*.mp4") if one != path)
    path.write_bytes(path.read_bytes() + others[0].read_bytes())


def append_itself(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def delete(path: Path) -> None:
    path.unlink()


def replace_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = [
    truncate,
    truncate_to_100_bytes,
    empty,
    fill_with_garbage,
    fill_the_end_with_garbage,
    replace_by_text,
    rename,
    append_another,
    append_itself,
    delete,
    replace_by_a_directory,
]


def timestamp(time_us: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=time_us)
    return at.strftime("%Y-%m-%d_%H-%M-%S.%fZ")


def readable(storage: Path) -> list[int]:
    """The frames of all segments, each up to where it can be read."""
    frames = []
    for path in sorted(storage.glob("*.mp4")):
        with contextlib.suppress(NotOursError, OSError):
            frames += read_fragments(path).times_us
    return frames


async def ask(store: VideoStore, command: str, from_us: int, to_us: int) -> dict[str, Any]:
    return await execute(store, {"command": command, "from": timestamp(from_us), "to": timestamp(to_us)})


def check_answer(
    answer: dict[str, Any], clip: bytes | Path, storage: Path, times: list[int], from_us: int, to_us: int
) -> None:
    """Check that the clip shows the recorded frames of the answer's ranges, and every frame that can be read."""
    ranges = [
        Range(parse_timestamp(r["from"], "from"), parse_timestamp(r["to"], "to")) for r in answer.get("ranges", ())
    ]
    ranges = ranges or [Range(from_us, to_us)]
    held = [t for t in times if from_us <= t < to_us and any(one.from_us <= t < one.to_us for one in ranges)]
    assert check_clip(read_clip(clip), held, from_us, to_us).flawless
    assert set(readable(storage)) <= set(held)


def copies(stores: Stores) -> list[Path]:
    return sorted(stores.storage.glob("*.mp4"))


@some_combinations(number=[0, 1, 3], damage=DAMAGES)
async def test_a_clip_over_a_damaged_segment_holds_the_rest_and_the_answer_names_the_ranges(
    stores: Stores, recording: Path, times: list[int], damage: Callable[[Path], None], number: int
) -> None:
    store = await stores.over(recording)
    await until(store._archive.reconciled.is_set)
    store._maintainer._watcher.stop()  # no event reports the damage
    damage(copies(stores)[number])
    from_us, to_us = times[0], times[-1] + 2000  # answers are exact to the millisecond
    answer = await ask(store, "fetch", from_us, to_us)
    check_answer(answer, base64.b64decode(answer["video"]), stores.storage, times, from_us, to_us)
    answer = await ask(store, "save", from_us, to_us)
    check_answer(answer, stores.upload / answer["filename"], stores.storage, times, from_us, to_us)


@some_combinations(number=[1, 3], damage=DAMAGES)  # of two fragments, and of one
async def test_a_segment_that_was_damaged_at_rest_affects_no_other(
    stores: Stores, recording: Path, times: list[int], damage: Callable[[Path], None], number: int
) -> None:
    """File sizes are compared at the start. Unreadable files stay for half an hour."""
    store = await stores.over(recording)
    await stores.close()
    damage(copies(stores)[number])
    store = await stores.open()
    await until(store._archive.reconciled.is_set)
    from_us, to_us = times[0], times[-1] + 2000  # answers are exact to the millisecond
    answer = await ask(store, "fetch", from_us, to_us)
    check_answer(answer, base64.b64decode(answer["video"]), stores.storage, times, from_us, to_us)


async def test_a_segment_that_is_deleted_between_planning_and_cutting_is_in_the_clip(
    stores: Stores, recording: Path, times: list[int], tmp_path: Path
) -> None:
    """Planning gives it a second name until the cut is done."""
    store = await stores.over(recording)
    async with store._clips.plan(times[0], times[-1] + 1) as plan:
        for path in copies(stores):
            path.unlink()
        await until(lambda: store.health().segments == 0)
        plan = await store._clips.cut(plan, tmp_path / "clip.mp4")
    assert plan.complete
    assert check_clip(read_clip(tmp_path / "clip.mp4"), times, times[0], times[-1] + 1).flawless


async def test_a_segment_that_is_emptied_between_planning_and_cutting_is_left_out_and_reported(
    stores: Stores, recording: Path, times: list[int], tmp_path: Path
) -> None:
    store = await stores.over(recording)
    async with store._clips.plan(times[0], times[-1] + 1) as plan:
        os.truncate(copies(stores)[1], 0)
        plan = await store._clips.cut(plan, tmp_path / "clip.mp4")
    frames = readable(stores.storage)
    assert check_clip(read_clip(tmp_path / "clip.mp4"), frames, times[0], times[-1] + 1).flawless
    assert not plan.complete and len(plan.ranges) == 2


async def test_a_range_that_cannot_be_read_at_all_is_refused(stores: Stores, recording: Path, times: list[int]) -> None:
    store = await stores.over(recording)
    store._maintainer._watcher.stop()
    for path in copies(stores):
        fill_with_garbage(path)
    for command in ("fetch", "save"):
        with pytest.raises(UnreadableRangeError) as refused:
            await ask(store, command, times[0], times[-1])
        assert refused.value.asked == Range(times[0], times[-1])
    assert not [path for path in stores.upload.rglob("*") if path.is_file()]


# Unreadable files that no process writes


async def test_only_unreadable_segments_older_than_half_an_hour_are_set_aside(
    stores: Stores,
) -> None:
    stores.storage.mkdir()
    kinds = {
        "empty": b"",
        "garbage": b"\xa5" * 5000,
        "text": b"text of some kind\n" * 100,
        "header": b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
    }
    segments = ["172500{}000.mp4", "2024-09-0{}_15-00-33Z.mp4", "172500{}000123457-000000.open"]
    others = ["holiday{}.mp4", "172500{}000.avi", "172500{}000.mp4.prog", "172500{}000-1.open", "notes{}.txt"]
    old: list[Path] = []
    young: list[Path] = []
    foreign: list[Path] = []
    for number, content in enumerate(kinds.values(), 1):
        for names, kept, minutes in [(segments, old, 31), (segments, young, 29), (others, foreign, 999)]:
            for name in names:
                path = stores.storage / name.format(number + (4 if kept is young else 0))
                path.write_bytes(content)
                then = time.time() - minutes * 60
                os.utime(path, (then, then))
                kept.append(path)
    store = await stores.open()
    await until(store._archive.reconciled.is_set)
    assert [path.name for path in old if path.exists()] == []
    # What a killed ffmpeg began holds nothing: it is no damage.
    damaged = [path for path in old if path.suffix != ".open" or path.name[6] not in "14"]
    assert len(damaged) == len(old) - 2
    assert sorted(path.name for path in (stores.storage / "damaged").iterdir()) == sorted(one.name for one in damaged)
    assert all(path.exists() for path in young + foreign)
    assert store.health().damaged_files == len(damaged)
    assert not {path.name for path in young if path.name[6] in "58" and path.suffix == ".open"} & set(
        store.health().unreadable_files
    )
    assert store.health().segments == 0 and (await store.state()).ranges == ()


@pytest.mark.parametrize("size", [30, 100, 200, 700, 1000])
async def test_a_segment_that_is_cut_off_in_its_header_is_set_aside_as_unreadable(
    stores: Stores, recording: Path, size: int
) -> None:
    stores.storage.mkdir()
    path = stores.storage / "1725000000.mp4"
    path.write_bytes(min(recording.glob("*.mp4")).read_bytes()[:size])
    os.utime(path, (0, 0))
    store = await stores.open()
    await until(store._archive.reconciled.is_set)
    assert not path.exists() and (stores.storage / "damaged" / path.name).stat().st_size == size


async def test_a_segment_with_a_damaged_header_is_kept_after_a_start_with_a_lost_index(
    stores: Stores, recording: Path
) -> None:
    shutil.copytree(recording, stores.storage)
    (stores.storage / "index.sqlite.db").unlink()
    path = copies(stores)[1]
    flip(path, "mdhd name")
    os.utime(path, (0, 0))
    content = path.read_bytes()
    store = await stores.open()
    await until(store._archive.reconciled.is_set)
    assert (stores.storage / "damaged" / path.name).read_bytes() == content
    status = describe_health(store.health())
    assert (status["damaged_files"], status["damaged_bytes"]) == (1, len(content))
    others = sum(one.stat().st_size for one in copies(stores))
    assert (await store.state()).used_bytes == others + len(content)  # it counts for the quota


async def test_what_is_set_aside_has_a_tenth_of_the_quota_and_the_oldest_goes_first(stores: Stores) -> None:
    stores.storage.mkdir()
    paths = [stores.storage / f"{1725000000 + number}.mp4" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(b"\xa5" * 40_000)
        os.utime(path, (number + 1, number + 1))
    store = await stores.open(size_gb=1_000_000 / 2**30)
    set_aside = stores.storage / "damaged"  # two of three files have the same size, but a moment earlier
    await until(lambda: not any(path.exists() for path in (*paths, *(set_aside / path.name for path in paths[:3]))))
    assert sorted(path.name for path in set_aside.iterdir()) == [path.name for path in paths[3:]]
    await until(lambda: store.health().damaged_bytes == 80_000)


async def test_an_unreadable_file_that_was_new_is_set_aside_by_a_later_walk(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FixedClock()
    store = await stores.open(clock=clock)
    await until(store._archive.reconciled.is_set)
    paths = [stores.storage / "1725000000.mp4", stores.storage / "1725000000123457-000000.open"]
    for path in paths:
        path.write_bytes(b"half-written")
    await until(lambda: store._maintainer._changes.empty())
    assert all(path.exists() for path in paths)
    for path in paths:
        then = time.time() - 31 * 60
        os.utime(path, (then, then))
    clock.advance(601)
    await until(lambda: not any(path.exists() for path in paths))


async def test_an_old_recording_is_never_removed_as_unreadable(stores: Stores, times: list[int]) -> None:
    """Closed segments, and segments that a killed process left open, the last one incomplete."""
    await record(stores.storage, times, size=SIZE)
    later = capture_times(3, times[-1] + 60 * US)
    await record(stores.storage, later, segment_seconds=30)
    last = max(stores.storage.glob("*.open"))
    os.truncate(last, read_fragments(last).fragments[1].end_byte + 10)
    for path in stores.storage.iterdir():
        os.utime(path, (0, 0))
    store = await stores.open()
    await until(lambda: store.health().segments == 5)
    clip = await store.fetch(times[0], times[-1] + 1)
    assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless
    kept = [time_us for time_us in later if time_us < later[0] + 2 * US]
    clip = await store.fetch(later[0], later[0] + 2 * US)
    assert set(kept[:-1]) <= {frame.captured_us for _, frame in read_clip(clip.data) if frame} <= set(later)


@pytest.mark.parametrize("put", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
async def test_something_else_in_the_place_of_a_segment_is_told_and_never_waited_for(
    stores: Stores, recording: Path, times: list[int], put: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a recorder that runs, also before it has noticed."""
    shutil.copytree(recording, stores.storage)
    store = await stores.open(clock=FixedClock())
    await until(store._archive.reconciled.is_set)
    path = sorted(stores.storage.glob("*.mp4"))[1]
    (row,) = await store._archive.index.get([path.name])
    forget, noticed = store._archive.forget, False

    async def forget_later(names: Any) -> None:
        if noticed:
            await forget(names)

    monkeypatch.setattr(store._archive, "forget", forget_later)
    put(path.with_suffix(".other"))
    path.unlink()
    path.with_suffix(".other").rename(path)
    for noticed in (False, True):
        if noticed:
            store._maintainer._changes.put_nowait((Change.CLOSED, path.name))
            await until(store._archive.replaced.look)
        for container in ("mp4", "fmp4"):
            clip = await store.fetch(times[0], times[-1], container=container)
            assert clip.ranges is not None and len(clip.ranges) == 2
            assert abs(clip.ranges[0].to_us - row.start_us) < US and abs(clip.ranges[1].from_us - row.end_us) < US
            assert [block async for block in store._send_video(times[0], times[-1], container=container)]
        with pytest.raises((UnreadableRangeError, NothingStoredError)):
            await store.snapshot(row.start_us + US)
    response = await execute(store, {"command": "get-storage-state"})
    (one,) = response["replaced"]
    assert one["file"] == path.name and one["stored_us"] == [row.start_us, row.end_us]
    assert parse_state(response, "door").replaced == (await store.state()).replaced


def rename_a_directory(path: Path) -> None:
    path.with_suffix(".other").mkdir()
    path.with_suffix(".other").rename(path)


@pytest.mark.parametrize("put", [os.mkfifo, Path.mkdir, rename_a_directory])
@pytest.mark.parametrize("reads_only", [False, True])
async def test_what_takes_the_name_of_a_segment_that_was_deleted_before_is_the_reason_of_its_gap(
    stores: Stores, recording: Path, put: Callable[[Path], None], reads_only: bool
) -> None:
    """At once: by the event of its creation alone, which is the only one that there is."""
    shutil.copytree(recording, stores.storage)
    store = await stores.open(clock=FixedClock())
    await until(store._archive.reconciled.is_set)
    path = sorted(stores.storage.glob("*.mp4"))[1]
    (row,) = await store._archive.index.get([path.name])
    async with contextlib.AsyncExitStack() as stack:
        reader = await stack.enter_async_context(VideoStore.open(stores.storage)) if reads_only else store
        await until(reader._archive.reconciled.is_set)
        path.unlink()
        await until(lambda: path.name in reader._archive.replaced._held)
        assert (await reader.state()).replaced == ()
        put(path)
        await until(reader._archive.replaced.look)
        (one,) = (await reader.state()).replaced
        assert one.gap is not None and (one.gap.from_us, one.gap.to_us) == (row.start_us, row.end_us)
