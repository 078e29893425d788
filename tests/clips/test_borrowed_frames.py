"""Clips of recordings in which segments begin with open GOPs: frames at the beginning of a file need the one before."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from PIL import Image

from scripts.fakes.painted_camera import read_clip, read_paint
from tests.support.foreign_recording import CODINGS, write_foreign_video
from tests.support.recording import START_US, US
from videostore.media.fmp4 import read_fragments
from videostore.storage.verify import verify_directory
from videostore.store.footage_import import import_file
from videostore.store.store import VideoStore

TIMES = [START_US + number * US for number in range(75)]
"""A frame each second, so that segments of 30 s have two keyframes."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a file of open GOPs becomes."""
    path = tmp_path_factory.mktemp("open-gop")

    async def make() -> None:
        coding = CODINGS["h265 open GOP"]
        await write_foreign_video(path / "input.mp4", TIMES, coding, framerate=1)
        done = await import_file(path / "input.mp4", path / "storage", start=START_US)
        assert (done.reencoded, done.shortfall, done.frames) == ("", "", len(TIMES))

    asyncio.run(make())
    return path / "storage"


def begins(directory: Path) -> list[int]:
    """The frames with which the files begin."""
    found = [read_fragments(path) for path in sorted(directory.glob("*.mp4"))]
    assert all(one.leading is not None for one in found[1:])
    return [(one.start_us - START_US) // US for one in found]


async def painted(store: VideoStore, first: int, last: int, path: Path) -> list[int]:
    """The frames that a player shows of a clip from one frame to another one."""
    end_us = TIMES[last] if last < len(TIMES) else TIMES[-1] + 1
    clip = await store.export(TIMES[first], end_us, path, overwrite=True)
    return [-1 if one is None else (one.captured_us - START_US) // US for _, one in read_clip(clip.path)]


async def test_clips_on_both_sides_of_an_open_gop_are_exact(directory: Path, tmp_path: Path) -> None:
    _, border, other = begins(directory)
    report = await verify_directory(directory, decode=True)
    assert not report.findings
    ranges = [
        (0, len(TIMES)),  # copied
        (border - 1, border),  # what the next file holds of the time before it
        (border - 3, border),
        (border - 1, border + 2),
        (border, border + 7),
        (border - 20, other + 2),
        (border + 2, other),
        (4, other + 8),
    ]
    async with VideoStore.open(directory) as store:
        for first, last in ranges:
            shown = await painted(store, first, last, tmp_path / "clip.mp4")
            assert shown == list(range(first, last)), (first, last)


async def test_a_long_stream_is_that_of_one_clip(directory: Path) -> None:
    async def taken(blocks: AsyncGenerator[bytes, None]) -> list[tuple[Any, Any, bytes]]:
        data = b"".join([block async for block in blocks])
        with av.open(io.BytesIO(data)) as container:
            packets = [one for one in container.demux(video=0) if one.size]
            return [(one.pts - packets[0].pts, one.dts - packets[0].dts, bytes(one)) for one in packets]

    async with VideoStore.open(directory) as store:
        for first in (0, begins(directory)[1]):
            end_us = TIMES[-1] + 1
            early = await taken(store._send_video(TIMES[first], end_us))
            assert early == await taken(store.stream(TIMES[first], end_us)) and len(early) == len(TIMES) - first


async def test_a_snapshot_shows_the_frame_that_the_next_file_holds(directory: Path) -> None:
    _, border, _ = begins(directory)
    async with VideoStore.open(directory) as store:
        for number in (border - 2, border - 1, border, border + 1):
            found = await store.snapshot(TIMES[number] + US // 2)
            paint = read_paint(numpy.asarray(Image.open(io.BytesIO(found.jpeg)).convert("L")))
            assert paint is not None and paint.captured_us == TIMES[number] == found.captured_us


async def test_without_the_segment_before_it_one_begins_with_its_keyframe(directory: Path, tmp_path: Path) -> None:
    _, border, _ = begins(directory)
    copy = tmp_path / "storage"
    copy.mkdir()
    for path in sorted(directory.glob("*.mp4"))[1:]:
        (copy / path.name).hardlink_to(path)
    async with VideoStore.open(copy) as store:
        for last in (border + 4, len(TIMES)):
            clip = await store.export(TIMES[0], TIMES[last - 1] + 1, tmp_path / "clip.mp4", overwrite=True)
            shown = [one and (one.captured_us - START_US) // US for _, one in read_clip(clip.path)]
            assert shown == list(range(border, last))
            assert clip.ranges is not None and clip.ranges[0].from_us == TIMES[border]
