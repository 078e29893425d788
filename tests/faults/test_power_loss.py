"""Power cuts: footage older than two seconds is on stable storage, and every file is complete.

A test cannot cut the power. Instead it stops a file system at once, as the developers of ext4 do in their tests: what
was not forced to the device is lost, nothing more reaches it, and the journal is replayed at the next mount.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import EXHAUSTIVE
from tests.support.disk import recording_now
from tests.support.inputs import Tap, open_input, store_of
from tests.support.lateness import watching_lateness
from tests.support.recording import US, Pulse, Stores, until
from tests.support.sent_stream import sending
from videostore.base.clock import SystemClock
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore

_SHUTDOWN = 0x8004587D
"""FS_IOC_SHUTDOWN of Linux."""
_WITHOUT_FLUSHING_THE_LOG = 2
STREAM_FPS = 30


@dataclass
class PoweredDisk:
    """A file system on its own loop device, whose power can be cut."""

    directory: Path
    image: Path

    def cut(self) -> None:
        """Stop the file system at once, with everything that waits to be written."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("=I", _WITHOUT_FLUSHING_THE_LOG))
        finally:
            os.close(descriptor)

    def mount(self) -> None:
        """The power is back."""
        subprocess.run(["mount", "-o", "loop", self.image, self.directory], check=True, capture_output=True)

    def unmount(self) -> None:
        """Unmount the file system and its loop device."""
        subprocess.run(["umount", self.directory], check=True, capture_output=True)


@pytest.fixture
def powered_disk(tmp_path: Path) -> Iterator[PoweredDisk]:
    """An ext4 file system for this test. It needs root and a loop device."""
    disk = PoweredDisk(tmp_path / "disk", tmp_path / "image")
    disk.directory.mkdir()
    with disk.image.open("wb") as image:
        image.truncate(64 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", disk.image], check=True, capture_output=True)
        disk.mount()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a file system, and it needs a loop device")
    yield disk
    if disk.directory.is_mount():
        subprocess.run(["umount", "-l", disk.directory], check=True)


@pytest.fixture
async def on_disk(powered_disk: PoweredDisk) -> AsyncIterator[Stores]:
    """Stores on the powered disk."""
    stores = Stores(powered_disk.directory)
    yield stores
    await stores.close()


async def cut_power(powered_disk: PoweredDisk, stores: Stores, pulse: Pulse | None = None) -> int:
    """Cut the power, close the stores and let the power come back. Returns the time of the cut."""
    cut_us = time.time_ns() // 1000
    powered_disk.cut()
    if pulse is not None:
        pulse.stopped = True
    await stores.close()
    powered_disk.unmount()
    powered_disk.mount()
    return cut_us


async def delivered_since(pulse: Pulse, from_us: int, seconds: float) -> None:
    await until(lambda: pulse.delivered and pulse.delivered[-1] - from_us > seconds * US)


async def wait_until_reconciled(store: VideoStore) -> None:
    await until(store._archive.reconciled.is_set)


async def test_every_fragment_is_forced_to_stable_storage_before_two_more_are_written(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fragment lasts a second. Watches `fdatasync`: which file it is, and how much of it was written by then."""
    forced: list[tuple[int, int]] = []
    fdatasync = os.fdatasync

    def force(descriptor: int) -> None:
        status = os.fstat(descriptor)
        fdatasync(descriptor)
        forced.append((status.st_ino, status.st_size))

    monkeypatch.setattr("os.fdatasync", force)
    pulse = Pulse(0.1)
    await stores.open(pulse, segment_seconds=4)
    await delivered_since(pulse, time.time_ns() // 1000, 9)
    await pulse.stop()
    await stores.close()
    stored: list[int] = []
    for path in sorted(stores.storage.glob("*.mp4")):
        inode, fragments = path.stat().st_ino, read_fragments(path).fragments
        for fragment, after_next in zip_longest(fragments, fragments[2:]):
            written = next(size for file, size in forced if file == inode and size >= fragment.end_byte)
            assert after_next is None or written < after_next.end_byte
            stored += fragment.times_us
    assert stored == pulse.delivered


async def test_footage_older_than_two_seconds_can_be_fetched_after_a_power_cut(
    powered_disk: PoweredDisk, on_disk: Stores
) -> None:
    """Twice, at other times between two keyframes and between two segments."""
    pulse = Pulse(0.05)
    for seconds in (3.3, 4.7):
        began = len(pulse.delivered)
        pulse.stopped = False
        store = await on_disk.open(pulse, segment_seconds=3)
        async with watching_lateness() as late:
            await until(lambda began=began: len(pulse.delivered) > began)  # type: ignore[misc]
            from_us = pulse.delivered[began]
            # A frame passes three threads and ffmpeg before it is forced to the device.
            await until(lambda: pulse.delivered[-1] - from_us > seconds * US + 4 * late.us)  # noqa: B023
            (powered_disk.directory / "unforced").write_bytes(b"never forced to the device")
            late_us = 4 * late.us
            cut_us = await cut_power(powered_disk, on_disk, pulse)
        assert not (powered_disk.directory / "unforced").exists()  # otherwise this was no power cut
        store = await on_disk.open(clock=SystemClock())
        await wait_until_reconciled(store)
        to_us = cut_us - 2 * US - late_us
        clip = await store.fetch(from_us, to_us)
        check = check_clip(read_clip(clip.data), pulse.delivered, from_us, to_us)
        assert check.flawless and check.drift_ms < 5 and clip.ranges is None, check
        await on_disk.close()


async def test_a_clip_that_appeared_before_a_power_cut_is_complete_after_it(
    powered_disk: PoweredDisk, on_disk: Stores, recording: Path, times: list[int]
) -> None:
    store = await on_disk.over(recording)
    os.sync()
    clip = await store.save(times[3], times[60], tags=["a"])
    await cut_power(powered_disk, on_disk)
    assert check_clip(read_clip(clip.path), times, times[3], times[60]).flawless
    assert [path.name for path in on_disk.upload.rglob("*") if path.is_file()] == [clip.file_name]


async def test_an_asynchronous_save_is_made_after_a_power_cut(
    powered_disk: PoweredDisk, on_disk: Stores, recording: Path, times: list[int], binary: str, tmp_path: Path
) -> None:
    script = tmp_path / "ffmpeg"  # it never cuts anything
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    store = await on_disk.over(recording, binary=str(script))
    os.sync()
    clip = await store.save(times[3], times[60], wait=False)
    await cut_power(powered_disk, on_disk)
    store = await on_disk.open(binary=binary)
    await until(lambda: store.health().pending_saves == 0)
    assert (await store.save_status(clip.file_name)).status.value == "done"
    assert check_clip(read_clip(clip.path), times, times[3], times[60]).flawless


async def test_a_power_cut_while_segments_are_closed_loses_none_and_repeats_none(
    powered_disk: PoweredDisk, on_disk: Stores
) -> None:
    """Names, rows of the index and sums of the quota agree with the files afterwards."""
    pulse = Pulse(0.05)
    store = await on_disk.open(pulse, segment_seconds=1)
    async with watching_lateness() as late:
        await until(lambda: store.health().segments >= 3 and recording_now(store))
    cut_us = await cut_power(powered_disk, on_disk, pulse)
    store = await on_disk.open()
    await wait_until_reconciled(store)
    paths = sorted(on_disk.storage.glob("*.mp4"))
    frames = [time_us for path in paths for time_us in read_fragments(path).times_us]
    assert frames == pulse.delivered[: len(frames)] and pulse.delivered[len(frames)] > cut_us - 2 * US - 4 * late.us
    assert store.health().segments == len(paths)
    for path in on_disk.storage.glob("*.open"):  # new enough that a process may still write it
        with pytest.raises(NotOursError):
            read_fragments(path)
    assert (await store.state()).used_bytes == sum(path.stat().st_size for path in paths)
    assert store.health().index_trouble is None and not list(on_disk.storage.glob(FILE_NAME + ".damaged*"))


@dataclass(frozen=True)
class Stream:
    """What a camera sends that codes by itself, 30 pictures a second."""

    gop_s: int
    b_frames: int
    sound: bool

    async def write(self, path: Path) -> None:
        """Code half a minute of it."""
        video = ["-f", "lavfi", "-i", f"testsrc2=size=320x240:rate={STREAM_FPS}:duration=30"]
        coding = ["-c:v", "libx264", "-preset", "veryfast", "-bf", str(self.b_frames), "-sc_threshold", "0"]
        coding += ["-g", str(self.gop_s * STREAM_FPS), "-x264-params", "b-adapt=0"]
        sound = ["-f", "lavfi", "-i", "sine=duration=30:sample_rate=48000"] if self.sound else []
        await run_ffmpeg([find_ffmpeg(), "-v", "error", *video, *sound, *coding, "-c:a", "aac", str(path)])


def newest_us(directory: Path) -> int:
    """Capture time of the newest frame that is stored."""
    found = []
    for path in [*directory.glob("*.mp4"), *directory.glob("*.open")]:
        with contextlib.suppress(NotOursError):
            found += read_fragments(path).times_us
    return max(found)


STREAMS = [Stream(gop_s, b_frames, sound) for gop_s in (10, 1) for b_frames in (2, 0) for sound in (True, False)]


@pytest.mark.skipif(not EXHAUSTIVE, reason="it measures seconds, on a machine that is not busy: make test-exhaustive")
async def test_a_power_cut_costs_a_stream_two_seconds_however_far_apart_its_keyframes_are(
    powered_disk: PoweredDisk, tmp_path: Path, binary: str, record_property: Callable[[str, object], None]
) -> None:
    """All streams at once, cut at some moments between two fragments."""
    streams = STREAMS
    for seconds in (3.2, 3.9, 4.6, 5.3):
        async with contextlib.AsyncExitStack() as stack:
            taps, stores = [], []
            for number, stream in enumerate(streams):
                path = tmp_path / f"{number}.ts"
                if not path.exists():
                    await stream.write(path)
                url = await stack.enter_async_context(sending(path))
                source = open_input(url, binary, format="mpegts", sound=stream.sound)
                taps.append(Tap(source))
                stores.append(store_of(taps[-1], powered_disk.directory / f"{seconds}-{number}", binary, live=True))
            for store in stores:
                await store.start()
            await until(lambda: all(tap.packets_seen for tap in taps))  # noqa: B023
            begun_us = max(tap.times_us[0] for tap in taps)
            await until(lambda: all(tap.times_us[-1] - begun_us > seconds * US for tap in taps))  # noqa: B023
            cut_us = time.time_ns() // 1000
            powered_disk.cut()
            came_us = [tap.times_us[-1] for tap in taps]
            await asyncio.gather(*(store.close() for store in stores))
        powered_disk.unmount()
        powered_disk.mount()
        for number, (stream, tap) in enumerate(zip(streams, taps, strict=True)):
            assert not tap.gaps
            kept_us = newest_us(powered_disk.directory / f"{seconds}-{number}" / "storage")
            assert kept_us in tap.times_us
            lost_s = (cut_us - kept_us) / US
            record_property(str(stream), f"{lost_s:.2f} s, of what was read {(came_us[number] - kept_us) / US:.2f} s")
            assert lost_s < 2, stream
