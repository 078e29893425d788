"""Playlists that grow."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import hls_rules
from tests.support.opened_files import no_file_can_be_opened
from tests.support.recording import LOGGER, START_US, US, Pulse, Stores, until
from tests.support.web_server import Piece, pieces_of
from videostore.store.store import VideoStore
from videostore.store.viewing import ViewedSegment, Viewing
from videostore.web import growing_playlists, parts
from videostore.web.growing_playlists import Growing, GrowingPlaylists
from videostore.web.parts import PartTable, PartTables
from videostore.web.playlists import date_time


@pytest.fixture
async def viewing(recording: Path) -> AsyncIterator[Viewing]:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        yield store._viewing


def growing_of(leading: str) -> Growing:
    found = re.search(r"parts_us=(\d+)&wholes=(\d+)", leading)
    assert found
    return Growing(int(found[1]), int(found[2]))


async def test_what_the_quota_takes_is_counted(viewing: Viewing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_playlists, "FINE_US", US // 10)
    growing = growing_of(await GrowingPlaylists(viewing, PartTables()).lead(START_US, None))
    assert growing.wholes == 3
    gone = Growing(growing.parts_from_us, 5)
    text = await GrowingPlaylists(viewing, PartTables()).playlist(START_US, None, gone, ended=False)
    assert "#EXT-X-MEDIA-SEQUENCE:2\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n" in text


async def test_a_range_that_is_being_recorded_grows_and_no_number_changes_its_piece(stores: Stores) -> None:
    await stores.open(Pulse(), segment_seconds=2)
    await until(lambda: list(stores.storage.glob("*.mp4")))
    async with VideoStore.open(stores.storage, logger=LOGGER) as reader:
        viewing, grown = reader._viewing, GrowingPlaylists(reader._viewing, PartTables())
        first_us, newest_us = await viewing.extent_us()
        assert first_us and newest_us
        growing = growing_of(await grown.lead(first_us, None))
        seen: list[Piece] = []
        before = await grown.playlist(first_us, None, growing, ended=False)
        while len({one.uri for one in seen}) < 4:
            text = await grown.playlist(first_us, None, growing, ended=False)
            hls_rules.check_reload(before, text)
            before = text
            found = pieces_of(text)
            assert [one.address for one in found[: len(seen)]] == [one.address for one in seen]
            seen = found
            await asyncio.sleep(0.1)
        hls_rules.check_reload(before, await grown.playlist(first_us, None, growing, ended=True))


async def test_one_that_has_grown_too_long_goes_on_without_its_oldest_pieces(
    viewing: Viewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = Growing(0, 0)
    whole = await GrowingPlaylists(viewing, PartTables()).playlist(START_US, None, growing, ended=False)
    pieces = pieces_of(whole)
    for most in (len(pieces) - 1, 3):
        monkeypatch.setattr(growing_playlists, "_MOST_ENTRIES", most)
        text = await GrowingPlaylists(viewing, PartTables()).playlist(START_US, None, growing, ended=False)
        left = pieces[-most:]
        assert [one.address for one in pieces_of(text)] == [one.address for one in left]
        assert f"#EXT-X-MEDIA-SEQUENCE:{len(pieces) - most}\n" in text
        gone = whole.count("#EXT-X-DISCONTINUITY\n") - text.count("#EXT-X-DISCONTINUITY\n")
        assert (f"#EXT-X-DISCONTINUITY-SEQUENCE:{gone}\n" in text) == (gone > 0)


def number(text: str) -> int:
    found = re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)
    return int(found[1]) if found else 0


def addresses(text: str) -> list[str]:
    return [one.address for one in pieces_of(text)]


async def test_one_that_is_asked_for_from_far_back_begins_later_and_says_so(
    viewing: Viewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_playlists, "MOST_SEGMENTS", 3)
    monkeypatch.setattr(growing_playlists, "_SPARE_SEGMENTS", 1)
    grown = GrowingPlaylists(viewing, PartTables())
    leading = await grown.lead(START_US, None)
    segments = await viewing.segments(0)
    begin_us = segments[-2].key.start_us
    assert f"\n# Begins at {date_time(begin_us)} and not before: a playlist that grows has at most 3 seg" in leading
    assert f"index.m3u8?from_us={begin_us}&" in leading
    text = await grown.playlist(begin_us, None, growing_of(leading), ended=False)
    assert len({one.uri for one in pieces_of(text)}) == 2
    assert "# " not in await grown.lead(begin_us, None)


async def test_one_that_gets_too_many_segments_slides_and_keeps_its_numbers(
    viewing: Viewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown, growing = GrowingPlaylists(viewing, PartTables()), Growing(0, 0)
    whole = addresses(await grown.playlist(START_US, None, growing, ended=False))
    for name in ("MOST_SEGMENTS", "_MOST_DIVIDED"):
        monkeypatch.setattr(growing_playlists, name, 2)
        text = await grown.playlist(START_US, None, growing, ended=False)
        assert len({one.uri for one in pieces_of(text)}) == 2
        assert addresses(text) == whole[number(text) :]
        monkeypatch.setattr(growing_playlists, name, 100)
        again = await grown.playlist(START_US, None, growing, ended=False)
        assert (number(again), addresses(again)) == (number(text), addresses(text))  # nothing comes back


async def test_one_that_was_forgotten_and_is_too_long_has_higher_numbers(
    viewing: Viewing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_playlists, "MOST_SEGMENTS", 2)
    text = await GrowingPlaylists(viewing, PartTables()).playlist(START_US, None, Growing(0, 0), ended=False)
    assert number(text) > 1_000_000_000


async def test_what_comes_after_a_hole_keeps_its_numbers(recording: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(recording, tmp_path / "cam"))
    async with VideoStore.open(directory, logger=LOGGER) as store:
        grown, growing = GrowingPlaylists(store._viewing, PartTables()), Growing(0, 0)
        whole = addresses(await grown.playlist(START_US, None, growing, ended=False))
        second = (await store._viewing.segments(0))[1]
        second.path.unlink()
        await store._archive.forget([second.segment.file_name])
        text = await grown.playlist(START_US, None, growing, ended=False)
        assert number(text) > 0 and addresses(text) == whole[number(text) :]


class WaitingTables(PartTables):
    """The first table that is read after `hold` takes until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hold, self.waiting, self.go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def read_now(self, segment: ViewedSegment) -> PartTable | None:
        if self.hold.is_set() and not self.waiting.is_set():
            self.waiting.set()
            await self.go.wait()
        return await super().read_now(segment)


async def test_two_viewers_at_once_get_the_numbers_of_one(recording: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(recording, tmp_path / "cam"))
    async with VideoStore.open(directory, logger=LOGGER) as store:
        tables = WaitingTables()
        grown, growing = GrowingPlaylists(store._viewing, tables), Growing(0, 0)
        whole = addresses(await grown.playlist(START_US, None, growing, ended=False))
        tables.hold.set()
        first = asyncio.create_task(grown.playlist(START_US, None, growing, ended=False))
        await tables.waiting.wait()
        oldest = (await store._viewing.segments(0))[0]
        oldest.path.unlink()
        await store._archive.forget([oldest.segment.file_name])
        second = asyncio.create_task(grown.playlist(START_US, None, growing, ended=False))
        await asyncio.wait({second}, timeout=0.5)  # it must wait for the first one, or know what that does not
        tables.go.set()
        for text in (await first, await second, await grown.playlist(START_US, None, growing, ended=False)):
            assert addresses(text) == whole[number(text) :]


async def test_what_cannot_be_read_for_a_moment_changes_no_number(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        tables = PartTables()
        grown, growing = GrowingPlaylists(store._viewing, tables), Growing(0, 0)
        with no_file_can_be_opened():
            text = await grown.playlist(START_US, None, growing, ended=True)
        assert not addresses(text) and "ENDLIST" not in text, "it waits for the first one"
        whole = addresses(await grown.playlist(START_US, None, growing, ended=False))
        assert len(whole) > len({one.partition("?")[0] for one in whole}) > 2
        tables._known.popitem(last=False)  # as it goes with many viewers: that of an old segment is forgotten
        with no_file_can_be_opened():
            text = await grown.playlist(START_US, None, growing, ended=False)
        assert number(text) > 0 and addresses(text) == whole[number(text) :]
        hls_rules.check_reload(text, await grown.playlist(START_US, None, growing, ended=True))
        monkeypatch.setattr(parts, "_PATIENCE_S", 0.0)
        lasting = GrowingPlaylists(store._viewing, PartTables())
        with no_file_can_be_opened():
            text = await lasting.playlist(START_US, None, growing, ended=True)
        assert len(addresses(text)) == len({one.partition("?")[0] for one in whole}) and text.endswith("ENDLIST\n")
        again = await lasting.playlist(START_US, None, growing, ended=True)
        assert addresses(again) == addresses(text), "what was one piece stays one"


async def test_an_open_segment_that_cannot_be_read_for_a_moment_stays_in_the_playlist(stores: Stores) -> None:
    await stores.open(Pulse(), segment_seconds=30)
    await until(lambda: list(stores.storage.glob("*.open")))
    async with VideoStore.open(stores.storage, logger=LOGGER) as reader:
        grown = GrowingPlaylists(reader._viewing, PartTables())
        before = await grown.playlist(START_US, None, Growing(0, 0), ended=False)
        while len(addresses(before)) < 2:
            await asyncio.sleep(0.1)
            before = await grown.playlist(START_US, None, Growing(0, 0), ended=False)
        hidden = [one.rename(one.with_suffix(".away")) for one in stores.storage.glob("*.open")]
        text = await grown.playlist(START_US, None, Growing(0, 0), ended=False)
        for one in hidden:
            one.rename(one.with_suffix(".open"))
        assert addresses(text) == addresses(before) and number(text) == number(before)
        while len(addresses(text)) <= len(addresses(before)):
            await asyncio.sleep(0.1)
            text = await grown.playlist(START_US, None, Growing(0, 0), ended=False)
        hls_rules.check_reload(before, text)
