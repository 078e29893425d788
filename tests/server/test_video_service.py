"""A video service under a real viam-server: GetVideo through it, with the stub of the SDK."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.client import Channel
from viam.proto.service.video import GetVideoRequest, VideoServiceStub
from viam.utils import dict_to_struct

from scripts.fakes.clip_check import check_clip, read_clip
from tests.server.served_machine import RECORDER, VIDEO, ServedMachine
from tests.support.machine import US, now_us
from videostore.ffmpeg.process import find_ffmpeg
from videostore.remote.client import Machine as RemoteMachine


@pytest.fixture
async def stub(served: ServedMachine) -> Any:
    """A client of the service, while viam-server runs and the recorder records."""
    served.add_painted_camera()
    served.add_video_service()
    await served.start()
    await served.until_recording()
    recorder: Any = await served.recorder()
    return VideoServiceStub(recorder.channel)


def request(from_us: int, to_us: int | None, *, extra: Any = None, **fields: Any) -> GetVideoRequest:
    times = [None if one is None else Timestamp(seconds=one // US, nanos=one % US * 1000) for one in (from_us, to_us)]
    return GetVideoRequest(
        name=VIDEO, start_timestamp=times[0], end_timestamp=times[1], extra=dict_to_struct(extra or {}), **fields
    )


async def clip(stub: Any, asked: GetVideoRequest) -> bytes:
    messages = await stub.GetVideo(asked, timeout=60)
    assert all(0 < len(one.video_data) <= 1 << 16 and one.request_id == asked.request_id for one in messages)
    return b"".join(one.video_data for one in messages)


async def test_video_comes_through_viam_server_exactly(served: ServedMachine, stub: Any) -> None:
    from_us, to_us = await served.recorded_from_now(6.0)
    for container in ("", "mp4", "fmp4"):
        data = await clip(stub, request(from_us, to_us, video_container=container, request_id="one"))
        shown = await asyncio.to_thread(read_clip, data)
        assert check_clip(shown, served.delivered(), from_us, to_us).flawless
    # viam-server passes on no error of a video: it logs it, and ends the video, which is empty then.
    assert await clip(stub, request(from_us, to_us, video_container="mkv")) == b""
    await served.until(lambda: "video_container" in served.log_text())


async def test_what_is_followed_comes_while_it_is_recorded_and_a_client_may_leave(
    served: ServedMachine, stub: Any
) -> None:
    from_us, _ = await served.recorded_from_now(1.0)
    to_us = now_us() + 5 * US
    data = await clip(stub, request(from_us, to_us, extra={"follow": True}))
    assert now_us() >= to_us
    shown = await asyncio.to_thread(read_clip, data)
    assert check_clip(shown, served.delivered(), from_us, to_us).flawless
    async with stub.GetVideo.open(timeout=60) as stream:
        await stream.send_message(request(from_us, None, extra={"follow": True}), end=True)
        assert (await stream.recv_message()).video_data
        await stream.cancel()
    await served.until(lambda: not list(served.storage.glob(".cuts/*")) and not served.processes("itsoffset"))


async def test_a_recorder_that_is_rebuilt_is_found_again(served: ServedMachine, stub: Any) -> None:
    from_us, to_us = await served.recorded_from_now(2.0)
    served.components[RECORDER]["attributes"]["framerate"] = 10
    builds = served.builds()
    served.configure()
    await served.until(lambda: served.builds() > builds)

    async def is_found() -> bool:
        return bool(await clip(stub, request(from_us, to_us)))

    await served.until(is_found)


async def test_an_export_of_the_command_line_uses_it(served: ServedMachine, stub: Any, tmp_path: Path) -> None:
    from_us, to_us = await served.recorded_from_now(3.0)
    async with RemoteMachine.connect(served.address, component=RECORDER) as machine:
        exported = await machine.export(from_us, to_us, tmp_path / "clip.mp4")
    assert exported.ranges is None
    shown = await asyncio.to_thread(read_clip, exported.path)
    assert check_clip(shown, served.delivered(), from_us, to_us).flawless


async def test_videos_that_are_not_read_stop_no_request_of_another_client(served: ServedMachine) -> None:
    begin_s, length_s, videos = now_us() // US - 3600, 20, 8
    await asyncio.to_thread(write_noise, served.storage / f"{begin_s}.mp4", length_s)
    served.add_painted_camera()
    served.add_video_service()
    await served.start()
    await served.until_recording()
    host, port = served.address.split(":")
    asked = request(begin_s * US, (begin_s + length_s) * US, video_container="mp4")

    def made() -> int:
        return len(list(served.storage.glob(".cuts/*/*.mp4")))

    async with contextlib.AsyncExitStack() as asking:
        channel = Channel(host, int(port))
        asking.callback(channel.close)
        for _ in range(videos):
            stream: Any = await asking.enter_async_context(VideoServiceStub(channel).GetVideo.open())
            asking.push_async_callback(stream.cancel)
            await stream.send_message(asked, end=True)
        await served.until(lambda: made() == videos)
        for _ in range(10):
            assert "recording" in await served.status()
            assert (await served.command("get-storage-state"))["stored_video"]
            await asyncio.sleep(0.2)
        assert (await served.fetch(*await served.recorded_from_now())).flawless
        await served.until(lambda: made() <= videos)  # what was made for the clip goes after it was sent
        assert made() == videos, "they were sent to their end, so that no reader was waited for"
    await served.until(lambda: not list(served.storage.glob(".cuts/*")))


def write_noise(path: Path, length_s: int) -> None:
    """A segment of 1 MB a second. Blocking."""
    path.parent.mkdir(exist_ok=True)
    picture = f"testsrc2=s=640x360:r=20:d={length_s},noise=alls=60:allf=t,format=yuv420p"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "8M", "-g", "20"]
    subprocess.run([find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", picture, *coding, path], check=True)
