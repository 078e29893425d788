"""What VLC shows of playlists: it is no browser and is not built on ffmpeg, and needs playlists of its own."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.players.vlc import Vlc, play_address
from tests.support.recording import SMALL, START_US, US, Pulse, Stores, capture_times, record, take_over, until
from tests.support.web_server import run_web
from videostore.store.viewing import SegmentKey

_HOLE_US = US // 2
"""Single pictures that come late on a busy machine are not shown; without a segment's end, a second is missing."""


@pytest.fixture(autouse=True)
def vlc() -> None:
    if reason := Vlc().missing():
        pytest.skip(reason)


def holes(shown: list[int]) -> list[tuple[int, int]]:
    return [(one, other) for one, other in itertools.pairwise(shown) if other - one > _HOLE_US]


async def test_vlc_follows_a_recording_over_its_segments(stores: Stores, tmp_path: Path) -> None:
    store = await stores.open(Pulse(), segment_seconds=2)
    await until(lambda: list(stores.storage.glob("*.mp4")))
    with run_web([stores.storage]) as web:
        address = f"{web.url}hls/storage/index.m3u8"
        shown = await asyncio.to_thread(play_address, address, SMALL, 200, tmp_path)
    begun = [SegmentKey.of(one.segment).start_us for one in await store._viewing.segments(shown[0], shown[-1])]
    assert len(begun) >= 4
    assert shown == sorted(shown)
    assert holes(shown) == []


async def test_vlc_shows_a_range_over_segments_and_gaps(tmp_path: Path) -> None:
    directory = tmp_path / "cam"
    before, after = capture_times(7), capture_times(5, START_US + 60 * US)
    for times in (before, after):
        await record(directory, times, size=SMALL)
    await take_over(directory)
    with run_web([directory]) as web:
        address = f"{web.url}hls/cam/index.m3u8?from_us={START_US}&to_us={START_US + 90 * US}"
        shown = await asyncio.to_thread(play_address, address, SMALL, None, tmp_path)
    assert set(shown) <= {*before, *after}
    assert shown == sorted(shown)
    (gap,) = holes(shown)
    assert gap[0] >= before[-1] - 1.5 * US and gap[1] == after[0]
    assert shown[0] == before[0] and shown[-1] >= after[-1] - 1.5 * US
