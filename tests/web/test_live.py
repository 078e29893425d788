"""The live window: follows a recording, and numbers its parts."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import hls_rules
from tests.support.opened_files import no_file_can_be_opened
from tests.support.recording import LOGGER, US, Pulse, Stores, capture_times, record, take_over, until
from tests.support.web_server import Piece, pieces_of
from videostore.store.store import VideoStore
from videostore.store.viewing import SegmentKey
from videostore.web.live import LiveWindow
from videostore.web.parts import PartTables


@pytest.fixture
async def reader(stores: Stores) -> AsyncIterator[VideoStore]:
    """A reader of a directory that is recorded to."""
    await stores.open(Pulse(), segment_seconds=2)
    await until(lambda: list(stores.storage.glob("*.open")))
    async with VideoStore.open(stores.storage, logger=LOGGER) as reader:
        yield reader


def first_number(text: str) -> int:
    found = re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)
    return int(found[1]) if found else 0


async def test_a_live_playlist_goes_on_with_the_recording(reader: VideoStore) -> None:
    window = LiveWindow(reader._viewing, PartTables())
    numbered: dict[int, Piece] = {}
    segments: set[str] = set()
    before = await window.playlist()
    while len(segments) < 3:
        text = await window.playlist()
        hls_rules.check_reload(before, text)
        before = text
        assert "ENDLIST" not in text
        for number, piece in enumerate(pieces_of(text), first_number(text)):
            assert numbered.setdefault(number, piece) == piece  # a number is never another piece
            segments.add(piece.uri)
        await asyncio.sleep(0.1)
    assert sorted(numbered) == list(range(min(numbered), max(numbered) + 1))
    dates = [numbered[one].date for one in sorted(numbered)]
    assert dates == sorted(set(dates))


async def test_an_address_stays_valid_when_its_segment_is_closed(reader: VideoStore, stores: Stores) -> None:
    viewing = reader._viewing
    opened = None
    while opened is None:
        opened = next((one for one in await viewing.segments(0) if one.is_open), None)
        await asyncio.sleep(0.05)
    seen: set[str] = set()
    while ".mp4" not in seen:
        path = await viewing.path_of(opened.key)
        assert path is not None
        seen.add(path.suffix)
    assert ".open" in seen or opened.path.suffix == ".open"


async def test_what_was_forgotten_is_counted(recording: Path) -> None:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        window = LiveWindow(store._viewing, PartTables())
        text = await window.playlist()
        number = first_number(text)
        assert number > 0
        window._clear()
        window._made = 0
        again = await window.playlist()
        assert first_number(again) == number + len(pieces_of(text))


async def test_what_cannot_be_read_for_a_moment_is_not_passed_over(recording: Path) -> None:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        tables = PartTables()
        due = pieces_of(await LiveWindow(store._viewing, tables).playlist())
        window = LiveWindow(store._viewing, tables)
        tables._known.popitem(last=False)  # of the first one
        with no_file_can_be_opened():
            text = await window.playlist()
        assert pieces_of(text) == []
        window._made = 0
        assert pieces_of(await window.playlist()) == due


@pytest.mark.parametrize(("begins_s", "lasts_s"), [(3600, 5), (-20, 200)], ids=["far ahead", "over the present"])
async def test_live_follows_the_recording_after_the_clock_was_set_back(
    stores: Stores, begins_s: int, lasts_s: int
) -> None:
    before_us = time.time_ns() // 1000 + begins_s * US
    await record(stores.storage, capture_times(lasts_s, before_us, fps=1), segment_seconds=10)
    recorded = await take_over(stores.storage)
    store = await stores.open(Pulse(), segment_seconds=2)
    await until(lambda: store.health().segments > len(recorded))
    [began_us] = {int(path.name.partition("-")[0]) for path in stores.storage.glob("*.open")}
    earlier = [str(SegmentKey.of(one)) for one in recorded if one.end_us > began_us + US]
    assert earlier
    async with VideoStore.open(stores.storage, logger=LOGGER) as reader:
        window, seen = LiveWindow(reader._viewing, PartTables()), set[str]()
        before = await window.playlist()
        while len(seen) < 4:
            text = await window.playlist()
            hls_rules.check_reload(before, text)
            before = text
            found = {piece.uri for piece in pieces_of(text)}
            assert not any(key in uri for key in earlier for uri in found), found
            seen |= found
            await asyncio.sleep(0.1)


async def test_what_was_recorded_before_the_clock_was_set_back_is_not_the_newest(stores: Stores) -> None:
    now_us = time.time_ns() // 1000
    await record(stores.storage, capture_times(3, now_us + 3600 * US))
    await take_over(stores.storage)
    async with VideoStore.open(stores.storage, logger=LOGGER) as reader:
        newest_us = await reader.newest_us()
        assert newest_us is not None and newest_us > now_us + 3600 * US  # there is nothing else
    store = await stores.open(Pulse(), segment_seconds=2)
    await until(lambda: store.health().segments > 2)
    await stores.close()
    async with VideoStore.open(stores.storage, logger=LOGGER) as reader:
        for newest_us in (await reader.newest_us(), await reader._viewing.newest_us()):
            assert newest_us is not None and now_us < newest_us < time.time_ns() // 1000 + 5 * US
