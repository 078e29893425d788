"""Power cuts: what was recorded more than two seconds before lies on stable storage, and what is there is whole.

The plug cannot be pulled in a test. A file system of its own is stopped at once instead, as its makers do to test it:
what was not forced to the device is lost, nothing more reaches it, and the journal is replayed at the next mount.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.disk import recording_now
from tests.support.recording import US, Pulse, Stores, until
from videostore.base.clock import SystemClock
from videostore.media.fmp4 import NotOursError, read_fragments
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore

_SHUTDOWN = 0x8004587D
"""FS_IOC_SHUTDOWN of Linux."""
_WITHOUT_FLUSHING_THE_LOG = 2


@dataclass
class Plug:
    """A file system on a device of its own, whose power can be cut."""

    directory: Path
    image: Path

    def cut(self) -> None:
        """Stop it at once, with all that waits to be written."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("=I", _WITHOUT_FLUSHING_THE_LOG))
        finally:
            os.close(descriptor)

    def mount(self) -> None:
        """Power comes back."""
        subprocess.run(["mount", "-o", "loop", self.image, self.directory], check=True, capture_output=True)

    def unmount(self) -> None:
        """The loop device goes with it."""
        subprocess.run(["umount", self.directory], check=True, capture_output=True)


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    """An ext4 of the test's own; where it can be had, which takes root and a loop device."""
    plug = Plug(tmp_path / "disk", tmp_path / "image")
    plug.directory.mkdir()
    with plug.image.open("wb") as image:
        image.truncate(64 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", plug.image], check=True, capture_output=True)
        plug.mount()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system can be made and mounted by root alone, where there are loop devices")
    yield plug
    if plug.directory.is_mount():
        subprocess.run(["umount", "-l", plug.directory], check=True)


@pytest.fixture
async def cut_off(plug: Plug) -> AsyncIterator[Stores]:
    """Stores on that file system."""
    stores = Stores(plug.directory)
    yield stores
    await stores.close()


async def cut_power(plug: Plug, stores: Stores, pulse: Pulse | None = None) -> int:
    """Cut it, end the module, let the power come back; tell when it was cut."""
    cut_us = time.time_ns() // 1000
    plug.cut()
    if pulse is not None:
        pulse.stopped = True
    await stores.close()
    plug.unmount()
    plug.mount()
    return cut_us


async def delivered_since(pulse: Pulse, from_us: int, seconds: float) -> None:
    await until(lambda: pulse.delivered and pulse.delivered[-1] - from_us > seconds * US, 40)


async def reconciled(store: VideoStore) -> None:
    await until(store._archive.reconciled.is_set)


async def test_every_frame_is_forced_to_stable_storage_within_two_seconds(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watched at the call that does so: which file, how much of it was written by then, and when it was done."""
    forced: list[tuple[int, int, int]] = []
    fdatasync = os.fdatasync

    def force(descriptor: int) -> None:
        status = os.fstat(descriptor)
        fdatasync(descriptor)
        forced.append((status.st_ino, status.st_size, time.time_ns() // 1000))

    monkeypatch.setattr("os.fdatasync", force)
    pulse = Pulse(0.1)
    await stores.open(pulse, segment_seconds=4)
    await delivered_since(pulse, time.time_ns() // 1000, 9)
    pulse.stopped = True
    await stores.close()
    waited: dict[int, float] = {}
    for path in stores.storage.glob("*.mp4"):
        inode = path.stat().st_ino
        for fragment in read_fragments(path).fragments:
            done_us = min(done for file, size, done in forced if file == inode and size >= fragment.end_byte)
            waited |= {captured_us: (done_us - captured_us) / US for captured_us in fragment.times_us}
    assert sorted(waited) == pulse.delivered
    assert max(waited.values()) <= 2, [round(waited[captured_us], 3) for captured_us in pulse.delivered]


async def test_what_was_recorded_two_seconds_before_a_power_cut_can_be_fetched_after_it(
    plug: Plug, cut_off: Stores
) -> None:
    """Again and again, at other moments between two keyframes and between two segments."""
    pulse = Pulse(0.05)
    for seconds in (3.3, 4.7):
        began = len(pulse.delivered)
        pulse.stopped = False
        store = await cut_off.open(pulse, segment_seconds=3)
        await until(lambda began=began: len(pulse.delivered) > began)  # type: ignore[misc]
        from_us = pulse.delivered[began]
        await delivered_since(pulse, from_us, seconds)
        (plug.directory / "unforced").write_bytes(b"what nobody forced to the device")
        cut_us = await cut_power(plug, cut_off, pulse)
        assert not (plug.directory / "unforced").exists()  # else it was no power cut
        store = await cut_off.open(clock=SystemClock())
        await reconciled(store)
        clip = await store.fetch(from_us, cut_us - 2 * US)
        check = check_clip(read_clip(clip.data), pulse.delivered, from_us, cut_us - 2 * US)
        assert check.flawless and check.drift_ms < 5 and clip.ranges is None, check
        await cut_off.close()


async def test_a_clip_that_had_appeared_before_a_power_cut_is_whole_after_it(
    plug: Plug, cut_off: Stores, recording: Path, times: list[int]
) -> None:
    store = await cut_off.over(recording)
    os.sync()
    clip = await store.save(times[3], times[60], tags=["a"])
    await cut_power(plug, cut_off)
    assert check_clip(read_clip(clip.path), times, times[3], times[60]).flawless
    assert [path.name for path in cut_off.upload.rglob("*") if path.is_file()] == [clip.file_name]


async def test_a_promised_save_outlives_a_power_cut(
    plug: Plug, cut_off: Stores, recording: Path, times: list[int], binary: str, tmp_path: Path
) -> None:
    script = tmp_path / "ffmpeg"  # cuts nothing
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    store = await cut_off.over(recording, binary=str(script))
    os.sync()
    clip = await store.save(times[3], times[60], wait=False)
    await cut_power(plug, cut_off)
    store = await cut_off.open(binary=binary)
    await until(lambda: store.health().pending_saves == 0)
    assert (await store.save_status(clip.file_name)).status.value == "done"
    assert check_clip(read_clip(clip.path), times, times[3], times[60]).flawless


async def test_a_power_cut_while_segments_close_loses_none_and_doubles_none(plug: Plug, cut_off: Stores) -> None:
    """Names, rows and the quota's sums are what the files say afterwards."""
    pulse = Pulse(0.05)
    store = await cut_off.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 3 and recording_now(store))
    cut_us = await cut_power(plug, cut_off, pulse)
    store = await cut_off.open()
    await reconciled(store)
    paths = sorted(cut_off.storage.glob("*.mp4"))
    frames = [time_us for path in paths for time_us in read_fragments(path).times_us]
    assert frames == pulse.delivered[: len(frames)] and pulse.delivered[len(frames)] > cut_us - 2 * US
    assert store.health().segments == len(paths)
    for path in cut_off.storage.glob("*.open"):  # as young as it is, somebody might be writing it
        with pytest.raises(NotOursError):
            read_fragments(path)
    assert (await store.state()).used_bytes == sum(path.stat().st_size for path in paths)
    assert store.health().index_trouble is None and not list(cut_off.storage.glob(FILE_NAME + ".damaged*"))
