from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.support.amount import some, some_combinations
from tests.support.child_processes import kill_all
from tests.support.clapping import FPS, Clapping, Heard, clapping, described_until, hear, record_clapping, start_run
from tests.support.recording import LOGGER, START_US, US, Cutter, FixedClock, clips_of, until
from videostore import VideoStore
from videostore.clips.clip_sound import cut_sound
from videostore.clips.cutter import ClipCutter
from videostore.clips.workspace import WORK_DIRECTORY, Workspaces
from videostore.ffmpeg.process import BINARY_VARIABLE
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.packet import Packet
from videostore.media.segment import Segment, describe_fragments
from videostore.storage.archive import Archive
from videostore.storage.reconciler import Reconciler
from videostore.storage.retention_holds import RetentionHolds
from videostore.storage.segment_files import close_segment

AAC = clapping(10)
OPUS = clapping(10, codec="libopus", rate=48000)
B_FRAMES = clapping(10, rate=48000, gop_s=2, b_frames=2)
_Found = tuple[Segment, Path]
CAMERAS = {"aac": AAC, "opus": OPUS, "b-frames": B_FRAMES}


async def stored(directory: Path, binary: str, *cameras: Clapping) -> Cutter:
    """The clips of what these cameras sent, each in a run of its own."""
    for camera in cameras:
        run = await record_clapping(directory, camera, binary=binary)
        for path in sorted(directory.glob("*.open")):
            close_segment(path, finished_only=True, run=run)
    archive = await Archive.open(directory, LOGGER)
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)
    return Cutter(archive, clips_of(archive, binary))


async def heard(cutter: Cutter, from_s: float, to_s: float, container: str = "mp4") -> Heard:
    clip = await cutter.cut(START_US + round(from_s * US), START_US + round(to_s * US), container)
    return await asyncio.to_thread(hear, clip)


def check(one: Heard, camera: Clapping, name: str) -> None:
    """Each clap is heard when it is seen, and sound and picture begin and end together."""
    packet_ms = camera.sound_us / 1000
    shown = ", ".join(f"{error:+.1f}" for error in one.errors_ms)
    ends = one.sound_s - one.video_s
    print(f"{name}: click after flash in ms: {shown}; a packet is {packet_ms:.1f} ms; ends {1000 * ends:+.1f} ms")
    assert max(map(abs, one.errors_ms)) <= packet_ms
    assert abs(one.starts_s) <= camera.sound_us / US
    assert -camera.sound_us / US <= ends <= 0.001


@some_combinations(camera=list(CAMERAS.values()), container=["mp4", "fmp4"])
async def test_claps_are_heard_when_they_are_seen_at_both_ends_of_clips(
    tmp_path: Path, binary: str, camera: Clapping, container: str
) -> None:
    cutter = await stored(tmp_path, binary, camera)
    try:
        for from_s, to_s in ((0.0, 9.9), (1.0, 3.0), (0.47, 5.31), (3.21, 3.93), (4.02, 9.4)):
            one = await heard(cutter, from_s, to_s, container)
            assert len(one.flashes_s) == sum(
                from_s <= (clap - START_US) / US + 0.5 / FPS < to_s for clap in camera.claps_us
            )
            check(one, camera, f"{container} {from_s} to {to_s}")
    finally:
        await cutter.archive.close()


async def test_where_no_sound_was_recorded_a_clip_is_silent_and_stays_in_sync(tmp_path: Path, binary: str) -> None:
    first, second, third = AAC, AAC.silent().moved(15 * US), AAC.without_sound(3, 6.5).moved(30 * US)
    cutter = await stored(tmp_path, binary, first, second, third)
    try:
        one = await heard(cutter, 5.0, 40.0)
        assert len(one.flashes_s) > len(one.clicks_s) > 15
        for click_s in one.clicks_s:
            assert min(abs(click_s - flash_s) for flash_s in one.flashes_s) <= AAC.sound_us / US
        assert one.samples_s == pytest.approx(one.sound_s - one.starts_s, abs=0.001)  # no gap, which some players skip
        beyond = await heard(cutter, 16.0, 20.0)
        assert beyond.flashes_s and beyond.sound_s == 0
    finally:
        await cutter.archive.close()


async def test_the_room_for_a_clip_is_that_of_its_sound_too(tmp_path: Path, binary: str) -> None:
    """The sound is a file beside the clip."""
    for camera, least, most in ((AAC, 0.9, 1.2), (AAC.silent(), 0, 0)):
        cutter = await stored(tmp_path / str(least), binary, camera)
        try:
            async with cutter.clips.plan(START_US + US, START_US + 9 * US) as plan:
                taken = sum(path.stat().st_size for path in cut_sound(plan, tmp_path).files)
                assert least * taken <= plan.work_bytes <= most * taken
        finally:
            await cutter.archive.close()


async def check_around_kill(cutter: Cutter, camera: Clapping, name: str) -> None:
    """Sound and picture are in sync at both ends of clips before, across and behind 5 s, where all was killed."""
    for from_s, to_s in ((0.6, 3.2), (6.1, 9.4)):
        check(await heard(cutter, from_s, to_s), camera, f"{name} {from_s} to {to_s}")
    across = await heard(cutter, 1.2, 8.8)
    errors_ms = [min((1000 * (click_s - one) for one in across.flashes_s), key=abs) for click_s in across.clicks_s]
    print(f"{name}, across: click after flash in ms: {', '.join(f'{one:+.1f}' for one in errors_ms)}")
    assert len(errors_ms) > 8 and max(map(abs, errors_ms)) <= camera.sound_us / 1000
    assert abs(across.starts_s) <= camera.sound_us / US
    assert -0.001 - camera.sound_us / US <= across.sound_s - across.video_s <= 0.001


def restarts(store: VideoStore) -> int:
    recorder = store.health().recorder
    assert recorder is not None
    return recorder.ffmpeg_restarts


@some("camera", [B_FRAMES, AAC, OPUS], 1)
async def test_claps_are_in_sync_after_the_recorder_and_its_ffmpeg_were_killed(
    tmp_path: Path, binary: str, camera: Clapping
) -> None:
    sent, rest = camera.packets[: 5 * FPS], list(camera.packets[5 * FPS :])
    run = await start_run(tmp_path, sent[0], segment_seconds=2, binary=binary)
    for one in sent:
        await run.write(one)
    await until(lambda: described_until(tmp_path) >= START_US + 4 * US - 1000)
    await run.kill()
    for path in sorted(tmp_path.glob("*.open")):
        try:
            close_segment(path, finished_only=False)  # as the next recorder does it, which knows nothing of the run
        except NotOursError:  # it has no whole fragment
            path.unlink()
    while not rest[0].keyframe:
        rest.pop(0)
    cutter = await stored(tmp_path, binary, replace(camera, packets=tuple(rest)))
    try:
        await check_around_kill(cutter, camera, "recorder killed")
    finally:
        await cutter.archive.close()


@some("camera", [OPUS, AAC, B_FRAMES], 1)
async def test_claps_are_in_sync_after_ffmpeg_was_killed(
    tmp_path: Path, binary: str, camera: Clapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BINARY_VARIABLE, binary)
    directory = tmp_path / "storage"

    async def packets() -> AsyncIterator[Packet]:
        for one in camera.packets:
            if one is camera.packets[5 * FPS]:
                await until(lambda: described_until(directory) > START_US + 3 * US)
                kill_all(psutil.Process().children())
            yield one
            if one is camera.packets[5 * FPS]:
                await until(lambda: restarts(store))

    async with VideoStore.record(directory, packets(), size_gb=1, segment_seconds=2, codec="copy", live=False) as store:
        await asyncio.wait_for(store.ended(), 150)
        assert restarts(store) == 1
    archive = await Archive.open(directory, LOGGER)
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)
    try:
        await check_around_kill(Cutter(archive, clips_of(archive, binary)), camera, "ffmpeg killed")
    finally:
        await archive.close()


async def test_sound_of_different_formats_is_in_one_clip(tmp_path: Path, binary: str) -> None:
    other = clapping(10, codec="libopus", rate=48000).moved(12 * US)
    cutter = await stored(tmp_path, binary, AAC, other)
    try:
        one = await heard(cutter, 6.0, 20.0)
        check(one, AAC, "AAC and Opus")
        assert len(one.clicks_s) > 20
    finally:
        await cutter.archive.close()


async def test_around_damage_sound_stays_with_its_picture(tmp_path: Path, binary: str) -> None:
    run = await record_clapping(tmp_path, AAC, segment_seconds=20, binary=binary)
    (path,) = tmp_path.glob("*.open")
    assert close_segment(path, finished_only=True, run=run) is not None
    (path,) = tmp_path.glob("*.mp4")
    third = read_fragments(path).fragments[2]
    data = bytearray(path.read_bytes())
    data[third.begin_byte + 32 + 4] ^= 1  # the name of its `moof`
    path.write_bytes(data)
    archive = await Archive.open(tmp_path, LOGGER)
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)
    try:
        one = await heard(Cutter(archive, clips_of(archive, binary)), 0.5, 8.5)
        assert 12 <= len(one.flashes_s) <= 14  # one second is missing
        check(one, AAC, "damaged")
    finally:
        await archive.close()


async def test_an_open_segment_is_heard_too(tmp_path: Path, binary: str) -> None:
    for camera in (AAC, B_FRAMES):
        directory = tmp_path / str(camera.sound_us)
        await record_clapping(directory, camera, segment_seconds=20, binary=binary)
        archive = await Archive.open(directory, LOGGER)
        await Reconciler(archive, LOGGER).reconcile(lambda _: True)
        try:
            opened = [(describe_fragments(one.name, read_fragments(one)), one) for one in directory.glob("*.open")]

            async def find(_from_us: int, _to_us: int, found: list[_Found] = opened) -> list[_Found]:
                return found

            spaces = Workspaces(directory / WORK_DIRECTORY)
            cutter = ClipCutter(archive, RetentionHolds(FixedClock()), spaces, binary, LOGGER, find, "cam")
            check(await heard(Cutter(archive, cutter), 1.3, 7.1), camera, "open")
        finally:
            await archive.close()
