"""Damaged bytes inside a whole fragment: clips hold the rest, exactly, and the answer names what is missing."""

from __future__ import annotations

import contextlib
import logging
import random
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import av
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import each_value, some, some_combinations
from tests.support.coding import coded_packets, record_coded, write_video
from tests.support.damaged_frames import (
    HEADER,
    LENGTH,
    SLICE,
    damage_frame,
    dated_frames,
    flip_bits,
    frame_places,
)
from tests.support.recording import (
    H264,
    H265,
    LOGGER,
    SIZE,
    SMALL,
    START_US,
    US,
    Stores,
    capture_times,
    record,
    take_over,
    until,
)
from videostore import repair_directory, verify_directory
from videostore.base.errors import UnreadableRangeError
from videostore.base.ranges import Range
from videostore.base.time_format import format_utc_exact
from videostore.media.fmp4 import read_fragments
from videostore.storage.findings import Problem
from videostore.store.store import VideoStore

TIMES = capture_times(8)
FROM_US, TO_US = TIMES[0], TIMES[-1] + 1000
KINDS = ["h264", "h265", "copied h264", "copied h265"]
REORDERED = ["copied h264 with B frames", "copied h265 with B frames"]
Ranges = Sequence[Range] | None


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each kind is recorded when it is needed."""
    directory = tmp_path_factory.mktemp("recordings")
    return {kind: directory / kind.replace(" ", "-") for kind in (*KINDS, *REORDERED)}


@pytest.fixture
async def segment(recordings: dict[str, Path], kind: str, stores: Stores) -> Path:
    """The only segment of a storage directory: eight seconds of one kind. A copied stream has keyframes 2 s apart."""
    recorded = recordings[kind]
    if not recorded.exists():
        codec = "hevc" if "h265" in kind else "h264"
        if kind.startswith("copied"):
            packets = coded_packets(TIMES, codec, gop=20, b_frames=2 if kind in REORDERED else 0)
            await record_coded(recorded, packets, segment_seconds=30)
        else:
            await record(recorded, TIMES, encoder=H265 if codec == "hevc" else H264, segment_seconds=30)
        await take_over(recorded)
    shutil.copytree(recorded, stores.storage)
    return stores.storage / f"{START_US // US}.mp4"


async def fetch(store: VideoStore, path: Path, from_us: int, to_us: int) -> Ranges:
    clip = await store.fetch(from_us, to_us)
    path.write_bytes(clip.data)
    return clip.ranges


async def save(store: VideoStore, path: Path, from_us: int, to_us: int) -> Ranges:
    clip = await store.save(from_us, to_us)
    shutil.copy(clip.path, path)
    return clip.ranges


async def stream(store: VideoStore, path: Path, from_us: int, to_us: int) -> Ranges:
    told: list[Ranges] = []
    async with contextlib.aclosing(store.stream(from_us, to_us, on_ranges=told.append)) as blocks:
        path.write_bytes(b"".join([block async for block in blocks]))
    (ranges,) = told
    return ranges


async def export(store: VideoStore, path: Path, from_us: int, to_us: int) -> Ranges:
    return (await store.export(from_us, to_us, path)).ranges


WAYS = [fetch, save, stream, export]


def lost_with(path: Path, fragment: int) -> Range:
    """What cannot be shown if a fragment is damaged: up to the next keyframe."""
    fragments = read_fragments(path).fragments
    keyed = [one.times_us[0] for one in fragments[fragment + 1 :] if one.is_keyed]
    return Range(fragments[fragment].times_us[0], keyed[0] if keyed else fragments[-1].end_us)


def check(clip: Path, ranges: Ranges, lost: Range | None, from_us: int = FROM_US) -> None:
    """Check that a clip holds every frame outside what is lost, at its time, and that the ranges say so."""
    held = [one for one in TIMES if one >= from_us and (lost is None or not lost.from_us <= one < lost.to_us)]
    found = dated_frames(clip)
    assert [painted for _, painted in found] == held
    assert all(abs(told - time_us) <= 24 for (told, _), time_us in zip(found, held, strict=True))
    covered = [one for one in TIMES if any(span.from_us <= one < span.to_us for span in ranges or ())]
    assert covered == held if lost is not None else ranges is None


@some_combinations(damage=[LENGTH, HEADER], kind=KINDS)
async def test_a_clip_over_damaged_frames_holds_all_before_and_behind_them_and_names_the_hole(
    segment: Path, stores: Stores, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    lost = lost_with(segment, 3)
    damage_frame(segment, 3, 1, damage)
    store = await stores.open()
    for way in WAYS:
        clip = tmp_path / f"{way.__name__}.mp4"
        with caplog.at_level(logging.WARNING, LOGGER.name):
            caplog.clear()
            ranges = await way(store, clip, FROM_US, TO_US)
        check(clip, ranges, lost)
        assert f"Segment {segment.name} is damaged from" in caplog.text


async def test_a_save_that_is_written_later_leaves_out_what_is_damaged(
    recording: Path, times: list[int], stores: Stores
) -> None:
    store = await stores.over(recording)
    path = sorted(stores.storage.glob("*.mp4"))[1]
    lost = damage_frame(path, 0, 2, LENGTH).times_us
    clip = await store.save(times[0], times[-1] + 1, wait=False)
    await until(clip.path.exists)
    left = [one for one in times if one not in lost]
    assert check_clip(read_clip(clip.path), left, times[0], times[-1] + 1).flawless


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fragment", [0, -1])
async def test_damage_at_the_start_and_at_the_end_of_a_segment_leaves_the_rest(
    segment: Path, stores: Stores, tmp_path: Path, fragment: int
) -> None:
    number = range(len(read_fragments(segment).fragments))[fragment]
    lost = lost_with(segment, number)
    damage_frame(segment, number, 0, LENGTH)
    store = await stores.open()
    clip = tmp_path / "clip.mp4"
    check(clip, await fetch(store, clip, FROM_US, TO_US), lost)


@pytest.mark.parametrize("kind", REORDERED)
async def test_damage_at_the_start_of_a_segment_with_b_frames_leaves_the_rest(
    segment: Path, stores: Stores, tmp_path: Path
) -> None:
    lost = lost_with(segment, 0)
    damage_frame(segment, 0, 0, LENGTH)
    store = await stores.open()
    for way in WAYS:
        clip = tmp_path / f"{way.__name__}.mp4"
        check(clip, await way(store, clip, FROM_US, TO_US), lost)


@pytest.mark.parametrize("kind", ["h264", "h265"])
async def test_a_segment_of_which_every_fragment_is_damaged_is_refused_as_unreadable(
    segment: Path, stores: Stores, tmp_path: Path
) -> None:
    for number in range(len(read_fragments(segment).fragments)):
        damage_frame(segment, number, 0, LENGTH)
    store = await stores.open()
    for way in WAYS:
        with pytest.raises(UnreadableRangeError):
            await way(store, tmp_path / "clip.mp4", FROM_US, TO_US)
    assert segment.exists()


@each_value(way=WAYS, kind=["h264", "copied h264"])
async def test_a_head_whose_frames_do_not_decode_is_left_out_and_no_guess_is_shown(
    segment: Path, stores: Stores, tmp_path: Path, way: Callable[[VideoStore, Path, int, int], Awaitable[Ranges]]
) -> None:
    lost = lost_with(segment, 3)
    times_us = damage_frame(segment, 3, 4, SLICE).times_us
    store = await stores.open()
    clip = tmp_path / "clip.mp4"
    ranges = await way(store, clip, times_us[1], TO_US)
    check(clip, ranges, lost, times_us[1])
    # The reason was the damage, not the recording: the next clip with a head copies the rest.
    begin, size = frame_places(read_fragments(segment).fragments[-1])[1]
    await fetch(store, clip, TIMES[5], TO_US)
    assert segment.read_bytes()[begin : begin + size] in clip.read_bytes()


async def test_parts_of_different_size_are_encoded_again_without_what_does_not_decode(
    stores: Stores, tmp_path: Path
) -> None:
    later = capture_times(3, TIMES[-1] + 5 * US)
    await record(stores.storage, TIMES, segment_seconds=30)
    await record(stores.storage, later, segment_seconds=30, size=SMALL)
    await take_over(stores.storage)
    lost = damage_frame(min(stores.storage.glob("*.mp4")), 4, 2, SLICE).times_us
    store = await stores.open()
    clip = await store.fetch(TIMES[0], later[-1] + 1)
    left = [one for one in (*TIMES, *later) if one not in lost]
    shown = read_clip(clip.data, [SMALL])
    assert check_clip(shown, left, TIMES[0], later[-1] + 1).shown == len(left)
    assert len(clip.ranges or ()) == 3


@pytest.mark.parametrize("kind", KINDS)
@some("seed", range(4), 1)
async def test_any_bit_of_the_frames_may_be_wrong(segment: Path, stores: Stores, tmp_path: Path, seed: int) -> None:
    """What still decodes cannot be seen, so that the frames of that second may be shown as they are."""
    dice = random.Random(seed)
    content = segment.read_bytes()
    fragments = read_fragments(segment).fragments
    store = await stores.open()
    for _ in range(5):
        number = dice.randrange(len(fragments))
        begin, size = dice.choice(frame_places(fragments[number]))
        # Half of them where the structure is.
        at = begin + (dice.randrange(size) if dice.random() < 0.5 else dice.randrange(6))
        flip_bits(segment, at, bits=1 << dice.randrange(8))
        touched = lost_with(segment, number)
        from_us = dice.choice(TIMES[:-20])
        clip = tmp_path / "clip.mp4"
        way = dice.choice(WAYS)
        ranges = await way(store, clip, from_us, TO_US)
        held = [
            one
            for one in TIMES
            if one >= from_us and (ranges is None or any(span.from_us <= one < span.to_us for span in ranges))
        ]
        assert {one for one in TIMES if one >= from_us} - set(held) <= {
            one for one in TIMES if touched.from_us <= one < touched.to_us
        }
        found = dated_frames(clip)
        assert all(abs(told - time_us) <= 24 for (told, _), time_us in zip(found, held, strict=True))
        for (_, painted), time_us in zip(found, held, strict=True):
            assert painted == time_us or touched.from_us <= time_us < touched.to_us
        segment.write_bytes(content)
        clip.unlink()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("b_frames", [0, 2])
async def test_of_another_programs_file_all_but_the_damaged_second_is_shown(
    stores: Stores, tmp_path: Path, codec: str, b_frames: int
) -> None:
    stores.storage.mkdir()
    start_us = START_US // US * US
    times = [start_us + number * US // 20 for number in range(120)]
    path = stores.storage / f"{start_us // US}.mp4"
    write_video(path, codec, times, gop=20, b_frames=b_frames if codec == "h264" else 0)
    with av.open(str(path)) as container:
        packets = [(one.pos, one.is_keyframe) for one in container.demux(video=0) if one.size]
    keyed = [number for number, (_, keyframe) in enumerate(packets) if keyframe]
    flip_bits(path, packets[keyed[2] + 3][0], bits=0x80)
    store = await stores.open()
    await until(lambda: store.health().segments == 1)
    clip = await store.fetch(times[4], times[-1] + 1000)
    (before, behind) = clip.ranges or ()
    left = [one for one in times if before.from_us <= one < before.to_us or behind.from_us <= one < behind.to_us]
    assert check_clip(read_clip(clip.data), left, times[4], times[-1] + 1000).flawless
    assert len(times[4:]) - len(left) == 20


@pytest.mark.parametrize("b_frames", [0, 2])
async def test_a_head_in_another_programs_file_that_does_not_decode_is_left_out(
    stores: Stores, tmp_path: Path, b_frames: int
) -> None:
    stores.storage.mkdir()
    start_us = START_US // US * US
    times = [start_us + number * US // 20 for number in range(120)]
    path = stores.storage / f"{start_us // US}.mp4"
    write_video(path, "h264", times, gop=20, b_frames=b_frames, size=SIZE)
    with av.open(str(path)) as container:
        packets = [(one.pos, one.size) for one in container.demux(video=0) if one.size]
    begin, size = packets[44]
    flip_bits(path, *(begin + size * part // 8 for part in range(3, 8)), bits=0xFF)
    store = await stores.open()
    await until(lambda: store.health().segments == 1)
    clip = await store.fetch(times[42], times[-1] + 1000)
    assert check_clip(read_clip(clip.data), times[60:], times[60], times[-1] + 1000).flawless
    assert clip.ranges is not None and clip.ranges[0].from_us == times[60]


@pytest.mark.parametrize("kind", ["h264", "h265"])
@pytest.mark.parametrize("decode", [True, False])
async def test_verify_says_from_when_to_when_a_segment_is_damaged_and_repair_keeps_it(
    segment: Path, stores: Stores, decode: bool
) -> None:
    lost = damage_frame(segment, 3, 1, LENGTH)
    content = segment.read_bytes()
    report = await verify_directory(stores.storage, decode=decode)
    (found,) = [one for one in report.findings if one.problem is Problem.DAMAGED]
    span = f"from {format_utc_exact(lost.times_us[0])} to {format_utc_exact(lost.end_us)}"
    assert (found.file_name, found.missing) == (segment.name, (Range(lost.times_us[0], lost.end_us),))
    assert found.frames == len(lost.times_us) and f"{span}: " in found.told and f", {found.frames} frames" in found.told
    await repair_directory(stores.storage, report.findings)
    assert segment.read_bytes() == content
    assert found in (await verify_directory(stores.storage, decode=False)).findings
