"""Playlists of a range of which all is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US, US
from tests.support.web_server import pieces_of
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.store.store import VideoStore
from videostore.store.viewing import Viewing
from videostore.web import range_playlists
from videostore.web.parts import PartTables
from videostore.web.range_playlists import whole_playlist

WHOLE = Range(START_US, START_US + 7 * US)


@pytest.fixture
async def viewing(recording: Path) -> AsyncIterator[Viewing]:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        yield store._viewing


async def test_the_segments_near_the_beginning_have_their_parts(
    viewing: Viewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_playlists, "TABLES_READ", 1)
    text = await whole_playlist(viewing, PartTables(), WHOLE, START_US + 5 * US)
    assert [bool(one.bytes) for one in pieces_of(text)] == [False, False, True, True, False]
    tables = PartTables()
    for at_us in (START_US, START_US + 3 * US, START_US + 5 * US, START_US + 7 * US):
        text = await whole_playlist(viewing, tables, WHOLE, at_us)
    assert all(one.bytes for one in pieces_of(text))  # what was read once is known


async def test_a_playlist_has_a_bound(viewing: Viewing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_playlists, "MOST_SEGMENTS", 3)
    with pytest.raises(RequestError, match="more than 3 segments"):
        await whole_playlist(viewing, PartTables(), WHOLE, START_US)


async def test_a_range_in_which_nothing_is_recorded_has_an_empty_playlist(viewing: Viewing) -> None:
    before = Range(WHOLE.from_us - 20 * US, WHOLE.from_us - 10 * US)
    for asked in (before, Range(WHOLE.to_us + US, WHOLE.to_us + 9 * US)):
        text = await whole_playlist(viewing, PartTables(), asked, asked.from_us)
        assert "#EXTINF" not in text and text.endswith("#EXT-X-ENDLIST\n")
