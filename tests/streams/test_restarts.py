"""A camera that goes away while it is recorded, and comes back."""

from __future__ import annotations

import time
from pathlib import Path

from tests.streams.cameras import Camera, GstCameras, write_cameras
from tests.streams.recorder import Recorder
from tests.streams.stored import compare, stored_pictures
from tests.support.coded_stream import SIZE, Coding
from tests.support.ports import own_port
from tests.support.program import Program
from tests.support.recording import US

_OTHER_SIZE = (480, 272)
_ENOUGH = 15
"""Pictures: a second."""
_AWAY_S = 1.0
"""How long the camera is away. One that is back within 0.2 s leaves no gap that is told."""


async def test_a_camera_that_starts_again_is_recorded_again(tmp_path: Path, gstreamer: None) -> None:
    camera = Camera(Coding("h264"))
    await _record_two(tmp_path, camera, camera)
    assert {one.size for one in stored_pictures(tmp_path / "storage")} == {SIZE}


async def test_a_camera_that_comes_back_with_another_size_is_recorded_again(tmp_path: Path, gstreamer: None) -> None:
    await _record_two(tmp_path, Camera(Coding("h264")), Camera(Coding("hevc", size=_OTHER_SIZE), "aac"))
    assert {one.size for one in stored_pictures(tmp_path / "storage")} == {SIZE, _OTHER_SIZE}


async def _record_two(directory: Path, before: Camera, after: Camera) -> None:
    """Record a camera, whose process is killed and then started again, and check what is stored of both."""
    port = own_port()
    servers = [GstCameras(directory, write_cameras(directory, {"camera": before}), port=port)]
    recorder = Recorder(Program.create(directory), directory / "storage", servers[0].url("camera"))
    sent_before = 0

    def restart() -> bool:
        nonlocal sent_before
        if recorder.segments() == 0:
            return False
        servers[0].__exit__()
        time.sleep(_AWAY_S)
        sent_before = recorder.segments()
        servers.append(GstCameras(directory, write_cameras(directory, {"camera": after}), port=port))
        return True

    try:
        result = await recorder.run_until(restart, lambda: recorder.segments() >= sent_before + 3)
    finally:
        for one in servers:
            one.__exit__()
    assert result.code == 3, result.err  # the restart is a gap
    stored = stored_pictures(directory / "storage")
    # In between none was sent: how late pictures are dated does not matter.
    border_us = servers[1].sent("camera")[0].captured_us - round(_AWAY_S * US / 2)
    for after_restart, server in enumerate(servers):
        ours = [one for one in stored if (one.captured_us >= border_us) == bool(after_restart)]
        comparison = compare(ours, server.sent("camera"))
        assert comparison.exact and comparison.stored >= _ENOUGH, comparison
