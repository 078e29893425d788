"""What a camera sends is read by a process of its own: if that crashes, only this camera has a gap."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from viam.proto.app.robot import ComponentConfig
from viam.utils import dict_to_struct

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import some
from tests.support.child_processes import command_of, running_children
from tests.support.guarded_camera import RtspCamera
from tests.support.recording import until
from videostore.viam.camera import StorageCamera

_FRAMES = 40


class Recorded:
    """A camera and the resource that records its stream."""

    def __init__(self, directory: Path, name: str) -> None:
        self.camera = RtspCamera()
        self.directory = directory / name
        self._name = name
        self.resource: StorageCamera | None = None
        self.reader: psutil.Process | None = None
        """The ffmpeg that reads the camera."""

    async def start(self) -> None:
        await self.camera.start()
        before = _readers()
        places = {"storage_path": str(self.directory), "upload_path": f"{self.directory}-upload"}
        attributes: dict[str, Any] = {
            "source": self.camera.url,
            "sync": "data-manager",
            "storage": {"size_gb": 1, "segment_seconds": 1, **places},
        }
        config = ComponentConfig(name=self._name, attributes=dict_to_struct(attributes))
        self.resource = StorageCamera.new(config, {})
        await self.resource.start()
        await until(lambda: bool(_readers() - before))
        (self.reader,) = _readers() - before
        await self.recorded_since(0)

    async def recorded_since(self, count: int) -> None:
        """Wait until some frames are recorded behind the first so many."""
        assert self.resource is not None
        await until(lambda: len(self.camera.delivered) >= count + _FRAMES)
        while not await self._is_recording():  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(0.05)

    async def _is_recording(self) -> bool:
        assert self.resource is not None
        status = await self.resource.get_status()
        age_s = status.get("last_frame_age_s")
        return bool(status["recording"]) and isinstance(age_s, float) and age_s < 1

    async def stop(self) -> list[int]:
        """End it. Returns the times that are painted into what was recorded, in order."""
        if self.resource is not None:
            await self.resource.close()
        await self.camera.stop()
        paths = sorted(self.directory.glob("*.mp4"))
        shown = [frame for path in paths for _, frame in await asyncio.to_thread(read_clip, path)]
        return [frame.captured_us for frame in shown if frame]


def _readers() -> set[psutil.Process]:
    """The ffmpegs that read cameras: they write to a pipe."""
    return {one for one in running_children() if command_of(one)[-1:] == ["pipe:1"]}


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Recorded, Recorded]]:
    """Two cameras that one process records."""
    both = Recorded(tmp_path, "one"), Recorded(tmp_path, "other")
    try:
        for one in both:
            await one.start()
        yield both
    finally:
        for one in both:
            await one.stop()


@some("number", [signal.SIGKILL, signal.SIGSEGV], 1)
async def test_a_reader_that_crashes_takes_no_frame_of_another_camera_and_is_started_again(
    two: tuple[Recorded, Recorded], number: signal.Signals
) -> None:
    one, other = two
    assert one.reader is not None
    one.reader.send_signal(number)
    crashed_us = time.time_ns() // 1000
    await until(lambda: any(sent > crashed_us for sent in one.camera.delivered))  # it has connected again
    await asyncio.gather(*(each.recorded_since(len(each.camera.delivered)) for each in two))
    resumed, undisturbed = await one.stop(), await other.stop()
    assert undisturbed == other.camera.delivered[: len(undisturbed)]
    assert undisturbed[-1] > crashed_us and resumed[-1] > crashed_us
    assert set(resumed) <= set(one.camera.delivered) and resumed == sorted(resumed)
