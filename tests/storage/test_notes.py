from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import US, until
from videostore.base.files import open_regular
from videostore.base.ranges import Range
from videostore.storage.notes import (
    DELETED,
    FILE_NAME,
    MOST_EVENTS,
    MOST_GAPS,
    MOST_REASON,
    Event,
    Notes,
    RecordingGap,
    why_gap,
)

LOGGER = logging.getLogger("videostore.tests")


async def notes_of(directory: Path, *, read_only: bool = False) -> Notes:
    notes = Notes(directory, LOGGER, read_only=read_only)
    await notes.load()
    return notes


def event(at_us: int, *, keep: bool = False) -> Event:
    return Event(0, at_us, at_us - 5, at_us + 5, f"at {at_us}", keep)


async def test_notes_survive_a_restart(tmp_path: Path) -> None:
    notes = await notes_of(tmp_path)
    assert not list(tmp_path.iterdir())
    await notes.add_gap(RecordingGap(10, 20, "the camera is off"))
    first = await notes.add_event(event(30, keep=True))
    second = await notes.add_event(event(25))
    await notes.close()
    again = await notes_of(tmp_path)
    assert again.gaps == (RecordingGap(10, 20, "the camera is off"),)
    assert again.events == (second, first) and (first.id, second.id) == (1, 2)
    assert again.kept == [Range(25, 35)]
    await again.remove_event(second.id)
    assert (await again.add_event(event(40))).id == 3  # a number is used once
    await again.change_event(Event(1, 30, 25, 35, "at 30", False, "clip.mp4"))
    assert [one.file_name for one in (await notes_of(tmp_path)).events] == ["clip.mp4", None]
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


async def test_a_gap_takes_the_place_of_those_that_it_overlaps(tmp_path: Path) -> None:
    notes = await notes_of(tmp_path)
    for one in (RecordingGap(0, 10, "first"), RecordingGap(20, 30, "an attempt"), RecordingGap(20, 40, "x" * 999)):
        await notes.add_gap(one)
    assert notes.gaps == (RecordingGap(0, 10, "first"), RecordingGap(20, 40, "x" * MOST_REASON))


async def test_of_too_many_the_oldest_are_forgotten_but_for_what_is_kept(tmp_path: Path) -> None:
    gaps = [{"from_us": n * 10, "to_us": n * 10 + 5, "reason": "off"} for n in range(MOST_GAPS)]
    events = [
        {"id": n + 1, "at_us": n, "from_us": n, "to_us": n + 1, "label": "a", "keep": n < 2, "file_name": None}
        for n in range(MOST_EVENTS)
    ]
    (tmp_path / FILE_NAME).write_text(json.dumps({"version": 1, "next_id": 1, "gaps": gaps, "events": events}))
    notes = await notes_of(tmp_path)
    await notes.add_gap(RecordingGap(10**6, 10**6 + 1, "off"))
    assert len(notes.gaps) == MOST_GAPS and notes.gaps[0].from_us == 10
    new = await notes.add_event(event(10**6))
    assert len(notes.events) == MOST_EVENTS and new in notes.events
    assert [one.at_us for one in notes.events[:3]] == [0, 1, 3]


def write_as_many_as_can_be(directory: Path) -> None:
    events = [
        {"id": n + 1, "at_us": n, "from_us": n, "to_us": n + 1, "label": "a", "keep": n == 0, "file_name": None}
        for n in range(MOST_EVENTS)
    ]
    text = json.dumps({"version": 1, "next_id": MOST_EVENTS + 1, "gaps": [], "events": events})
    (directory / FILE_NAME).write_text(text)


async def test_what_is_forgotten_is_told_but_not_each_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_as_many_as_can_be(tmp_path)
    notes = await notes_of(tmp_path)
    for n in range(5):
        await notes.add_event(event(10**6 + n))
    assert [record.getMessage() for record in caplog.records] == [
        "At most 2000 events are known: 2, 'a', is forgotten, as others will be."
    ]


async def test_an_event_that_cannot_be_noted_makes_no_other_one_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_as_many_as_can_be(tmp_path)
    notes = await notes_of(tmp_path)
    before = notes.events
    with monkeypatch.context() as full:

        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(notes, "_replace", fail)
        for n in range(3):
            with pytest.raises(OSError, match="No space left"):
                await notes.add_event(event(10**6 + n))
    assert notes.events == before and "forgotten" not in caplog.text
    await notes.add_gap(RecordingGap(10, 20, "off"))
    assert (await notes_of(tmp_path)).events == before


async def test_what_is_deleted_bit_by_bit_is_one_gap_beside_those_of_the_recorder(tmp_path: Path) -> None:
    notes = await notes_of(tmp_path)
    await notes.add_gap(RecordingGap(60 * US, 90 * US, "off"))
    for number in (0, 1, 3, 4):
        await notes.add_deleted([Range(number * 30 * US, (number + 1) * 30 * US - 100_000)])
    assert [(one.from_us // US, one.to_us // US, one.reason) for one in notes.gaps] == [
        (0, 59, DELETED),
        (60, 90, "off"),
        (90, 149, DELETED),
    ]
    assert (await notes_of(tmp_path)).gaps == notes.gaps


def test_a_gap_has_the_reason_of_the_longest_time() -> None:
    noted = [RecordingGap(0, 4, "short"), RecordingGap(5, 10, "long")]
    assert why_gap(Range(0, 10), noted) == "long"
    assert why_gap(Range(10, 20), noted) is None and why_gap(Range(0, 1), []) is None


async def test_a_reader_sees_what_a_recorder_notes_later_and_changes_nothing(tmp_path: Path) -> None:
    reader = await notes_of(tmp_path, read_only=True)
    notes = await notes_of(tmp_path)
    await notes.add_gap(RecordingGap(10, 20, "off"))
    assert reader.gaps == ()
    await reader.load()
    assert reader.gaps == notes.gaps
    before = (tmp_path / FILE_NAME).read_bytes()
    await reader.forget(reader.gaps)
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"version": 2, "next_id": 1, "gaps": [], "events": []}',
        b'{"version": 1, "next_id": 1, "gaps": [{"from_us": "1", "to_us": 2, "reason": ""}], "events": []}',
        b'{"version": 1, "next_id": 1, "gaps": [], "events": [{"id": 1}]}',
        b"[" * 100_000,
    ],
)
async def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    reader = await notes_of(tmp_path, read_only=True)
    assert (reader.gaps, reader.events) == ((), ()) and (tmp_path / FILE_NAME).read_bytes() == content
    notes = await notes_of(tmp_path)
    assert (tmp_path / f"{FILE_NAME}.damaged").read_bytes() == content
    await notes.add_event(event(5))
    assert len((await notes_of(tmp_path)).events) == 1


async def test_one_flipped_bit_costs_one_event_or_gap_at_most(tmp_path: Path) -> None:
    notes = await notes_of(tmp_path)
    for number in range(4):
        await notes.add_gap(RecordingGap(100 * number, 100 * number + 50, 'why "id": {'))
        await notes.add_event(event(100 * number, keep=True))
    await notes.remove_event(4)
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        reader = await notes_of(tmp_path, read_only=True)
        assert len({*reader.events} & {*notes.events}) + len({*reader.gaps} & {*notes.gaps}) >= 6, at
    path.write_bytes(whole.replace(b'"keep": true', b'"keep": trua', 1))
    recorder = await notes_of(tmp_path)
    again = await notes_of(tmp_path)
    assert recorder.events == again.events == notes.events[1:] and again.gaps == notes.gaps
    assert (await again.add_event(event(7))).id > 4  # a number is never that of another event


async def test_an_event_that_cannot_be_written_is_an_error_and_a_gap_is_written_later(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    notes = await notes_of(directory)
    await notes.add_gap(RecordingGap(1, 2, "off"))
    with pytest.raises(OSError):
        await notes.add_event(event(5))
    assert notes.events == ()
    directory.mkdir()
    await notes.add_gap(RecordingGap(3, 4, "off"))
    assert (await notes_of(directory)).gaps == notes.gaps != ()


async def test_what_is_noted_at_once_is_all_written(tmp_path: Path) -> None:
    notes = await notes_of(tmp_path)
    found = await asyncio.gather(*(notes.add_event(event(n)) for n in range(20)))
    assert len({one.id for one in found}) == 20
    assert (await notes_of(tmp_path)).events == notes.events


async def test_a_pipe_in_their_place_keeps_nothing_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE_NAME)
    loading = asyncio.create_task(notes_of(tmp_path, read_only=True))
    try:
        done, _ = await asyncio.wait([loading], timeout=30)
        assert done and loading.result().events == ()
    finally:
        os.close(os.open(tmp_path / FILE_NAME, os.O_RDWR))  # lets go of what waits there
        await asyncio.wait([loading])


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """This process can open no file for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    held = list[int]()
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_what_is_kept_is_not_forgotten_while_no_file_can_be_opened(tmp_path: Path) -> None:
    notes = await notes_of(tmp_path)
    await notes.add_event(event(30, keep=True))
    reader = await notes_of(tmp_path, read_only=True)
    await notes.add_event(event(50, keep=True))
    again = Notes(tmp_path, LOGGER, read_only=False)
    with no_more_files():
        with pytest.raises(OSError, match="Too many open files"):
            await again.load()
        await reader.load()
        assert len(reader.events) == 1
    for one in (again, reader):
        await one.load()
        assert one.kept == [Range(25, 35), Range(45, 55)]
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


async def test_what_the_disk_does_not_give_is_left_as_it_is_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = await notes_of(tmp_path)
    await notes.add_gap(RecordingGap(1, 2, "off"))
    await notes.add_event(event(30, keep=True))
    await notes.close()
    before, failing = (tmp_path / FILE_NAME).read_bytes(), True

    def bad_sector(path: Path) -> Any:
        if failing:
            raise OSError(errno.EIO, "Input/output error")
        return open_regular(path)

    monkeypatch.setattr("videostore.storage.notes.open_regular", bad_sector)
    again = Notes(tmp_path, LOGGER, read_only=False, again_s=0.01)
    await again.load()
    assert again.events == () and [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    await again.add_gap(RecordingGap(5, 6, "later"))
    with pytest.raises(OSError):
        await again.add_event(event(50))
    assert (tmp_path / FILE_NAME).read_bytes() == before
    failing = False
    await until(lambda: again.kept == [Range(25, 35)])
    assert [one.from_us for one in again.gaps] == [1, 5]
    assert (await again.add_event(event(50))).id == 2
    await again.close()
    assert len((await notes_of(tmp_path)).gaps) == 2


async def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    notes = await notes_of(tmp_path)
    await notes.add_gap(RecordingGap(10, 20, "off"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))  # a disk that becomes full while it is written
    try:
        with pytest.raises(OSError):
            await notes.add_event(event(30))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (await notes_of(tmp_path)).gaps == notes.gaps
