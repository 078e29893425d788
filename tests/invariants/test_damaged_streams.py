"""What comes damaged from a camera is stored, marked and told, and no clip leaves it out."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.coding import coded_packets, record_coded
from tests.support.marked import LOST, cut_off_slice, marked
from tests.support.recording import US, capture_times, take_over
from videostore.base.ranges import DamagedRange, Range
from videostore.media.damage_mark import parse_mark
from videostore.media.packet import Packet
from videostore.storage.index import FILE_NAME
from videostore.storage.verify import verify_directory
from videostore.store.store import VideoStore

GOP = 10
FIRST, LAST = 24, 29
"""The damaged frames: the next one is a keyframe."""


def packets_of(codec: str, b_frames: int = 0) -> list[Packet]:
    packets = coded_packets(capture_times(6), codec, gop=GOP, b_frames=b_frames)
    assert packets[LAST + 1].keyframe
    damaged = marked(packets, FIRST, LAST)
    damaged[FIRST + 1] = cut_off_slice(damaged[FIRST + 1])
    return damaged


def stretch(packets: list[Packet]) -> DamagedRange:
    begin_us = min(one.captured_us for one in packets[FIRST : LAST + 1])
    return DamagedRange(begin_us, packets[LAST + 1].captured_us, LOST)


def coded_frames(clip: bytes) -> list[bytes]:
    with av.open(io.BytesIO(clip)) as container:
        return [bytes(one) for one in container.demux(video=0) if one.size]


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("hevc", 0)])
async def test_a_clip_holds_a_damaged_stretch_and_tells_of_it(
    tmp_path: Path, codec: str, b_frames: int, container: str
) -> None:
    packets = packets_of(codec, b_frames)
    times = sorted(one.captured_us for one in packets)
    await record_coded(tmp_path / "storage", packets)
    await take_over(tmp_path / "storage")
    async with VideoStore.open(tmp_path / "storage") as store:
        assert (await store.state()).damaged == (stretch(packets),)
        clip = await store.fetch(times[0], times[-1], container=container)
        assert clip.ranges is None
        assert clip.damaged == (stretch(packets),)
        frames = coded_frames(clip.data)
        assert len(frames) == len(times) - 1
        marks = [parse_mark(codec, unit) for frame in frames for unit in _units(frame)]
        assert len([one for one in marks if one is not None]) == LAST - FIRST + 1
        before = await store.fetch(times[0], stretch(packets).from_us, container=container)
        assert (before.ranges, before.damaged) == (None, ())


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("first", [FIRST, FIRST + 1, FIRST + 2])
async def test_a_clip_may_begin_in_a_damaged_stretch(tmp_path: Path, codec: str, first: int) -> None:
    packets = packets_of(codec)
    times = [one.captured_us for one in packets]
    await record_coded(tmp_path / "storage", packets)
    await take_over(tmp_path / "storage")
    async with VideoStore.open(tmp_path / "storage") as store:
        clip = await store.fetch(times[first], times[-1])
    assert DamagedRange(times[first], times[LAST + 1], LOST) in clip.damaged
    shown = [frame.captured_us if frame else None for _, frame in read_clip(clip.data)]
    whole = times[LAST + 1 : -1]
    assert shown[-len(whole) :] == whole
    # What is shown before may be wrong. Where a decoder makes nothing of it, it is missing, and that is told.
    if clip.ranges is None:
        assert len(shown) == len(times) - 1 - first
    else:
        assert (shown, clip.ranges[0].from_us) == (whole, times[LAST + 1])
        assert [one.reason for one in clip.damaged if one.reason != LOST] == ["unreadable"]


async def test_the_files_know_it_without_the_index_and_after_a_kill(tmp_path: Path) -> None:
    packets, storage = packets_of("h264"), tmp_path / "storage"
    await record_coded(storage, packets, segment_seconds=60)
    (path,) = storage.glob("*.open")
    path.write_bytes(path.read_bytes()[:-40])  # its end is not written, as after a kill
    async with VideoStore.open(storage) as store:
        assert (await store.state()).damaged == (stretch(packets),)
    await take_over(storage)
    for _ in range(2):
        async with VideoStore.open(storage) as store:
            assert (await store.state()).damaged == (stretch(packets),)
        (storage / FILE_NAME).unlink(missing_ok=True)


async def test_verify_tells_of_it_and_finds_nothing_wrong_with_the_files(tmp_path: Path) -> None:
    packets, storage = packets_of("h264"), tmp_path / "storage"
    await record_coded(storage, packets)
    await take_over(storage)
    report = await verify_directory(storage)
    assert report.findings == ()
    assert report.damaged == (stretch(packets),)


async def test_what_the_disk_damaged_is_left_out_and_told_in_the_same_form(tmp_path: Path) -> None:
    packets, storage = coded_packets(capture_times(6), "h264", gop=GOP), tmp_path / "storage"
    times = [one.captured_us for one in packets]
    await record_coded(storage, packets, segment_seconds=60)
    (segment,) = await take_over(storage)
    path = storage / segment.file_name
    data = bytearray(path.read_bytes())
    at = data.find(packets[GOP + 5].data.rpartition(b"\0\0\1")[2][:40])
    assert at > 0
    data[at] |= 0x80
    path.write_bytes(data)
    async with VideoStore.open(storage) as store:
        clip = await store.fetch(times[0], times[-1])
    (lost,) = clip.damaged
    assert lost.reason == "unreadable" and lost.from_us <= times[GOP + 5] < lost.to_us
    assert clip.ranges is not None
    assert [one for one in clip.ranges if one.from_us < lost.to_us and one.to_us > lost.from_us] == []
    assert Range(lost.from_us, lost.to_us).to_us - lost.from_us <= 2 * US


def _units(sample: bytes) -> list[bytes]:
    units = []
    while len(sample) > 4:
        length = int.from_bytes(sample[:4], "big")
        units.append(sample[4 : 4 + length])
        sample = sample[4 + length :]
    return units
