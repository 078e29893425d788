"""docs/reference/video-service.md: its example, run as a program of its own against a machine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from scripts.fakes.machine import MachineServer
from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.attributes import valid_attributes
from tests.support.checkout import ROOT
from tests.support.documents import blocks, page
from tests.support.recording import START_US, US, Stores
from videostore.config import parse_config
from videostore.viam import video_api
from videostore.viam.camera import StorageCamera
from videostore.viam.video_service import VideoStorage

RECORDER, SERVICE = "front-door-recorder", "front-door-video"
LOCAL = {
    'RobotClient.Options.with_api_key(api_key="<API KEY>", api_key_id="<API KEY ID>")': (
        "RobotClient.Options(dial_options=DialOptions(insecure=True, disable_webrtc=True))"
    ),
    "from viam.robot.client import RobotClient\n": (
        "from viam.robot.client import RobotClient\nfrom viam.rpc.dial import DialOptions\n"
    ),
    "datetime(2026, 11, 22, 16, 39, 20,": "datetime(2024, 8, 30, 6, 40, 2,",
    "datetime(2026, 11, 22, 16, 49, 20,": "datetime(2024, 8, 30, 6, 40, 5,",
}
"""What a machine of the test has instead: no key, and other footage."""


async def test_the_example_writes_a_clip_of_its_range(
    stores: Stores, recording: Path, times: list[int], tmp_path: Path
) -> None:
    recorder = StorageCamera(parse_config(RECORDER, valid_attributes())[0], None)
    recorder._store = await stores.over(recording)
    service = VideoStorage(SERVICE, RECORDER)
    service.introduce(lambda name: recorder if name == RECORDER else None)
    video_api.register()
    (example,) = blocks(page("reference/video-service"), "python")
    async with MachineServer([recorder], videos=[service]) as server:
        for text, local in {**LOCAL, "<MACHINE ADDRESS>": server.address}.items():
            assert text in example
            example = example.replace(text, local)
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", example),
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await program.communicate()
    assert program.returncode == 0, said.decode()
    from_us, to_us = (START_US // (60 * US) * 60 * US + seconds * US for seconds in (2, 5))
    assert check_clip(read_clip(tmp_path / "clip.mp4"), times, from_us, to_us).flawless
