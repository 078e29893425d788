"""What VLC shows of playlists: it is no browser and is not built on ffmpeg, and needs playlists of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest

from tests.players.vlc import ROUNDS, Vlc, play_address
from tests.support.recording import SMALL, START_US, US, Pulse, Stores, capture_times, record, take_over, until
from tests.support.web_server import run_web
from videostore.store.viewing import SegmentKey

_LOST = 4
"""So many pictures in a row are no longer single ones that came late: without a segment's end, a second is missing."""
_SEGMENTS = 4
_END_US = 3 * US // 2
"""VLC shows each picture of a run but for its last second."""


@pytest.fixture(autouse=True)
def vlc() -> None:
    if reason := Vlc().missing():
        pytest.skip(reason)


def lost(shown: Sequence[int], delivered: Sequence[int]) -> list[int]:
    """How many pictures in a row were not shown, wherever that is, of those between the first and the last shown."""
    between = [one for one in delivered if shown[0] <= one <= shown[-1]]
    return [len(list(group)) for is_shown, group in groupby(between, set(shown).__contains__) if not is_shown]


async def test_vlc_follows_a_recording_over_its_segments(stores: Stores, tmp_path: Path) -> None:
    camera = Pulse()
    store = await stores.open(camera, segment_seconds=2)
    await until(lambda: list(stores.storage.glob("*.mp4")))
    plays: list[list[int]] = []
    with run_web([stores.storage]) as web:
        address = f"{web.url}hls/storage/index.m3u8"
        for _ in range(ROUNDS):
            shown = await asyncio.to_thread(play_address, address, SMALL, 200, tmp_path)
            assert set(shown) <= set(camera.delivered) and shown == sorted(shown)
            begun = [SegmentKey.of(one.segment).start_us for one in await store._viewing.segments(shown[0], shown[-1])]
            assert len(begun) >= _SEGMENTS
            plays.append(lost(shown, camera.delivered))
            if max(plays[-1], default=0) < _LOST:
                break
    assert min(max(one, default=0) for one in plays) < _LOST, plays


async def test_vlc_shows_a_range_over_segments_and_gaps(tmp_path: Path) -> None:
    directory = tmp_path / "cam"
    runs = [capture_times(7), capture_times(5, START_US + 60 * US)]
    for times in runs:
        await record(directory, times, size=SMALL)
    await take_over(directory)
    recorded = {one for times in runs for one in times}
    due = {one for times in runs for one in times if one < times[-1] - _END_US}
    shown: set[int] = set()
    with run_web([directory]) as web:
        address = f"{web.url}hls/cam/index.m3u8?from_us={START_US}&to_us={START_US + 90 * US}"
        for _ in range(ROUNDS):
            play = await asyncio.to_thread(play_address, address, SMALL, None, tmp_path)
            assert set(play) <= recorded and play == sorted(play)
            shown.update(play)
            if due <= shown:
                break
    assert sorted(due - shown) == []
