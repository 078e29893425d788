"""The live window: follows a recording, and numbers its parts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import hls_rules
from tests.support.opened_files import no_file_can_be_opened
from tests.support.recording import LOGGER, Pulse, Stores, until
from tests.support.web_server import Piece, pieces_of
from videostore.store.store import VideoStore
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
