"""The sound of long streams: in sync, and packet by packet that of the clip that is planned whole."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from tests.support.amount import at_most, cut_short, some, some_combinations
from tests.support.clapping import FPS as CLAPPING_FPS
from tests.support.clapping import Clapping, clapping, described_until, hear, record_clapping
from tests.support.opened_files import watched_opens
from tests.support.recording import START_US, US, Stores, take_over, until
from tests.support.streamed import taken
from videostore.base.ranges import Range
from videostore.ffmpeg.process import BINARY_VARIABLE
from videostore.media.packet import Packet
from videostore.media.segment_names import closed_name
from videostore.storage.index import FILE_NAME as INDEX_NAME
from videostore.storage.segment_files import close_segment
from videostore.store.store import VideoStore


async def recorded(stores: Stores, binary: str, *cameras: Clapping) -> VideoStore:
    for one in cameras:
        run = await record_clapping(stores.storage, one, binary=binary)
        for path in sorted(stores.storage.glob("*.open")):
            close_segment(path, finished_only=True, run=run)
    await take_over(stores.storage)
    return await stores.open(binary=binary)


async def with_sound(stores: Stores, binary: str) -> VideoStore:
    """8 s without sound, and from 12 s on 10 s with sound, in segments of 2 s."""
    camera = clapping(10)
    return await recorded(stores, binary, clapping(8).silent(), camera.moved(12 * US))


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
@some(("from_s", "to_s"), [(12.47, 21.3), (1.3, 21.3), (5.0, 14.5)], 1)
async def test_sound_is_heard_when_it_is_seen_also_where_it_comes_late(
    stores: Stores, binary: str, container: str, from_s: float, to_s: float
) -> None:
    store = await with_sound(stores, binary)
    from_us, to_us = START_US + round(from_s * US), START_US + round(to_s * US)
    heard = await asyncio.to_thread(hear, await taken(store._send_video(from_us, to_us, container=container)))
    packet_s = clapping(10).sound_us / US
    sounding = [flash for flash in heard.flashes_s if flash > heard.video_s - (to_s - max(from_s, 12.0))]
    assert len(sounding) > 3
    for flash_s in sounding:
        assert min(abs(click_s - flash_s) for click_s in heard.clicks_s) <= packet_s
    assert len(heard.clicks_s) == len(sounding)
    assert -packet_s <= heard.sound_s - heard.video_s <= 0.001 and abs(heard.starts_s) <= packet_s


async def test_what_is_followed_has_its_sound(stores: Stores, binary: str) -> None:
    store = await with_sound(stores, binary)
    from_us, to_us = START_US + 5 * US, START_US + 21 * US
    followed, expected = (
        hear(await taken(store._send_video(from_us, to_us, follow=True))),
        hear(await taken(store.stream(from_us, to_us))),
    )
    assert followed.flashes_s == pytest.approx(expected.flashes_s, abs=0.001)
    assert followed.clicks_s == pytest.approx(expected.clicks_s, abs=0.001)
    assert followed.video_s == pytest.approx(expected.video_s, abs=0.001)


def sounds_of(clip: bytes) -> list[tuple[int | None, bytes]]:
    with av.open(io.BytesIO(clip)) as container:
        return [(one.pts, bytes(one)) for one in container.demux(audio=0) if one.size]


CAMERAS: dict[str, dict[str, Any]] = {
    "b-frames": {"rate": 48000, "gop_s": 2, "b_frames": 2},
    "aac": {},
    "aac 44.1 kHz": {"rate": 44100},
    "opus": {"codec": "libopus", "rate": 48000},
}


@cut_short
@some("name", list(CAMERAS), 2)
async def test_over_all_borders_of_windows_its_sound_is_that_of_the_clip_that_is_planned_whole(
    stores: Stores, binary: str, name: str
) -> None:
    """Packet by packet: nothing is missing, doubled or silent at a border, over a gap, or behind a restart."""
    camera = clapping(14, **CAMERAS[name])
    cameras = camera, camera.moved(14 * US + 200_000), camera.without_sound(3, 6.2).moved(35 * US)
    store = await recorded(stores, binary, *cameras)
    for from_s, to_s in ((0, 60), (13.2, 48.2), (1.31, 27.77))[: at_most(3, 2)]:
        from_us, to_us = START_US + round(from_s * US), START_US + round(to_s * US)
        early, whole = await taken(store._send_video(from_us, to_us)), await taken(store.stream(from_us, to_us))
        assert b"mfra" in whole and b"mfra" not in early
        sounds, expected = sounds_of(early), sounds_of(whole)
        assert [data for _, data in sounds[: len(expected)]] == [data for _, data in expected]
        filled = [data for _, data in sounds[len(expected) :]]
        assert len(filled) <= 3 and len(set(filled)) <= 1, "its end may be filled with silence"
        times, wanted = [time or 0 for time, _ in sounds], [time or 0 for time, _ in expected]
        assert [b - a for a, b in pairwise(times[: len(wanted)])] == [b - a for a, b in pairwise(wanted)]
        format = camera.packets[0].format.sound
        assert format is not None and abs(times[0] - wanted[0]) < format.rate / 1000


SOUNDS = [("aac", "opus"), ("opus", "aac 44.1 kHz"), ("aac 44.1 kHz", "aac", "opus")]


@some_combinations(names=SOUNDS, follow=[False, True])
async def test_sound_of_several_formats_is_heard_in_the_first_of_them(
    stores: Stores, binary: str, names: tuple[str, ...], follow: bool
) -> None:
    cameras = [clapping(9, **CAMERAS[name]).moved(number * 10 * US) for number, name in enumerate(names)]
    store = await recorded(stores, binary, *cameras)
    to_us = START_US + len(names) * 10 * US - 2 * US
    data = await taken(store._send_video(START_US + 5 * US, to_us, follow=follow))
    assert b"mfra" not in data, "it was not made window by window"
    heard = await asyncio.to_thread(hear, data)
    assert len(heard.clicks_s) == len(heard.flashes_s) > 20
    packet_ms = max(camera.sound_us for camera in cameras) / 1000
    assert max(map(abs, heard.errors_ms)) <= packet_ms
    assert heard.samples_s == pytest.approx(heard.video_s, abs=2 * packet_ms / 1000)
    with av.open(io.BytesIO(data)) as container:
        audio = container.streams.audio[0].codec_context
        expected = cameras[0].packets[0].format.sound
        assert expected is not None and (audio.name, audio.sample_rate) == (expected.codec, expected.rate)


@pytest.mark.parametrize("frames", [0, 7])
async def test_no_packet_is_doubled_where_a_window_of_several_formats_ends(
    stores: Stores, binary: str, frames: int
) -> None:
    """Where packets lie up to half of their length behind the place that they are put at."""
    cameras = clapping(9, **CAMERAS["opus"]), clapping(9, **CAMERAS["aac 44.1 kHz"]).moved(10 * US)
    store = await recorded(stores, binary, *cameras)
    from_us = START_US + 4 * US + frames * US // CLAPPING_FPS
    heard = await asyncio.to_thread(hear, await taken(store._send_video(from_us, START_US + 18 * US)))
    assert max(map(abs, heard.errors_ms)) <= cameras[1].sound_us / 1000


async def test_before_the_first_bytes_a_bounded_number_of_files_is_read_of_any_range(
    stores: Stores, binary: str
) -> None:
    """Also where many kinds of pictures and of sound follow."""
    cameras = [
        clapping(3, **CAMERAS["opus"]),
        clapping(3, size=(320, 192)).moved(5 * US),
        clapping(3, **CAMERAS["aac 44.1 kHz"]).silent().moved(10 * US),
    ]
    await (await recorded(stores, binary, *cameras)).close()
    read = []
    for kinds in (60, 600):
        repeat_with_other_setups(stores.storage, kinds)
        store = await stores.open(binary=binary)
        with watched_opens(stores.storage) as opened:
            async with contextlib.aclosing(store._send_video(START_US + US, START_US + 20_000 * US)) as blocks:
                async for _ in blocks:
                    break
        await store.close()
        read.append(len(opened))
    assert read[0] < 60 and read[1] <= read[0] + 3, read


def repeat_with_other_setups(storage: Path, kinds: int) -> None:
    """Make as many segments as there are to be kinds, each of a run of its own, of those that are there."""
    with contextlib.closing(sqlite3.connect(storage / INDEX_NAME)) as database, database:
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM files ORDER BY start_us")]
        for number in range(len(rows), kinds):
            like, later_us = rows[number % 6], number * 20 * US
            name = closed_name(like["start_us"] + later_us)
            os.link(storage / like["file_name"], storage / name)
            later = {one: like[one] + later_us for one in ("start_us", "end_us", "run_us")}
            row = {
                **like,
                **later,
                "file_name": name,
                "setup": f"setup {number}",
                "start_time_unix": name.split(".")[0],
            }
            del row["id"]
            database.execute(
                f"INSERT INTO files ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
            )


async def test_a_recorder_is_followed_with_its_sound_in_sync(
    tmp_path: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BINARY_VARIABLE, binary)
    later_us = time.time_ns() // 1000 + 1000 * US - START_US
    camera, storage = clapping(14).moved(later_us), tmp_path / "storage"
    came = asyncio.Event()

    async def packets() -> AsyncIterator[Packet]:
        for number, one in enumerate(camera.packets):
            if number >= 6 * CLAPPING_FPS and number % CLAPPING_FPS == 0:
                await until(lambda so_far=one.captured_us: described_until(storage) >= so_far - 4 * US)  # type: ignore[misc]
            if number == 6 * CLAPPING_FPS:
                await asyncio.wait_for(came.wait(), 150)
            yield one

    data = b""
    async with VideoStore.record(storage, packets(), size_gb=1, segment_seconds=4, codec="copy", live=False) as store:
        asked = Range(camera.packets[7].captured_us, camera.packets[-30].captured_us)
        async with contextlib.aclosing(store._delivery.video(asked, "fmp4", follow=True)) as blocks:
            async for block in blocks:
                data += block
                came.set()
        await asyncio.wait_for(store.ended(), 150)
    heard, sounds = await asyncio.to_thread(hear, data), [len(one) for _, one in sounds_of(data)]
    packet_ms = camera.sound_us / 1000
    assert len(heard.clicks_s) > 18 and max(map(abs, heard.errors_ms)) <= packet_ms
    assert abs(heard.sound_s - heard.video_s) <= packet_ms / 1000 and abs(heard.starts_s) <= packet_ms / 1000
    recorded = [len(sound.data) for one in camera.packets for sound in one.sound]
    begin = next(n for n in range(20) if recorded[n : n + 5] == sounds[:5])
    assert recorded[begin : begin + len(sounds)] == sounds, "nothing is missing, doubled or silent"
