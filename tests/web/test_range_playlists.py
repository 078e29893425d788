"""Playlists of a range, complete and growing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US, US, Pulse, Stores, until
from tests.support.web_server import Piece, pieces_of
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.store.store import VideoStore
from videostore.store.viewing import Viewing
from videostore.web import range_playlists
from videostore.web.parts import PartTables
from videostore.web.range_playlists import Growing, growing_playlist, lead_to_growing, whole_playlist

WHOLE = Range(START_US, START_US + 7 * US)


@pytest.fixture
async def viewing(recording: Path) -> AsyncIterator[Viewing]:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        yield store._viewing


def growing_of(leading: str) -> Growing:
    found = re.search(r"parts_us=(\d+)&wholes=(\d+)", leading)
    assert found
    return Growing(int(found[1]), int(found[2]))


async def test_the_segments_near_the_beginning_have_their_parts(
    viewing: Viewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_playlists, "_TABLES_READ", 1)
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
    with pytest.raises(RequestError, match="more than 3 segments"):
        await lead_to_growing(viewing, START_US, None)


async def test_what_the_quota_takes_is_counted(viewing: Viewing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_playlists, "_FINE_US", US // 10)
    growing = growing_of(await lead_to_growing(viewing, START_US, None))
    assert growing.wholes == 3
    gone = Growing(growing.parts_from_us, 5)
    text = await growing_playlist(viewing, PartTables(), START_US, None, gone, ended=False)
    assert "#EXT-X-MEDIA-SEQUENCE:2\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n" in text


async def test_a_range_that_is_being_recorded_grows_and_no_number_changes_its_piece(stores: Stores) -> None:
    await stores.open(Pulse(), segment_seconds=2)
    await until(lambda: list(stores.storage.glob("*.mp4")))
    async with VideoStore.open(stores.storage, logger=LOGGER) as reader:
        viewing, tables = reader._viewing, PartTables()
        first_us, newest_us = await viewing.extent_us()
        assert first_us and newest_us
        growing = growing_of(await lead_to_growing(viewing, first_us, None))
        seen: list[Piece] = []
        while len({one.uri for one in seen}) < 4:
            found = pieces_of(await growing_playlist(viewing, tables, first_us, None, growing, ended=False))
            assert [one.address for one in found[: len(seen)]] == [one.address for one in seen]
            seen = found
            await asyncio.sleep(0.1)


async def test_one_that_has_grown_too_long_goes_on_without_its_oldest_pieces(
    viewing: Viewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, growing = PartTables(), Growing(0, 0)
    whole = await growing_playlist(viewing, tables, START_US, None, growing, ended=False)
    pieces = pieces_of(whole)
    for most in (len(pieces) - 1, 3):
        monkeypatch.setattr(range_playlists, "_MOST_ENTRIES", most)
        text = await growing_playlist(viewing, tables, START_US, None, growing, ended=False)
        left = pieces[-most:]
        assert [one.address for one in pieces_of(text)] == [one.address for one in left]
        assert f"#EXT-X-MEDIA-SEQUENCE:{len(pieces) - most}\n" in text
        gone = whole.count("#EXT-X-DISCONTINUITY\n") - text.count("#EXT-X-DISCONTINUITY\n")
        assert (f"#EXT-X-DISCONTINUITY-SEQUENCE:{gone}\n" in text) == (gone > 0)
