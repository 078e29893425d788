"""What `make module-check` asks the frozen module besides clips: a picture, GetVideo, the page and HLS.

The page is asked for where the module is, which may be in a network of its own: by `nsenter`, as root.
"""

import asyncio
import base64
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy
from google.protobuf.timestamp_pb2 import Timestamp
from PIL import Image
from viam.components.camera.client import CameraClient
from viam.proto.service.video import GetVideoRequest
from viam.utils import ValueTypes

from scripts.demo import CALL_TIMEOUT_S, NAME, DemoError, verify
from scripts.fakes.paint import read_paint
from scripts.fakes.painted_camera import PaintedCamera, read_clip
from scripts.fakes.viam_server import Parent
from videostore.base.constants import PICTURE_CHILD, US_PER_SECOND
from videostore.base.time_format import format_utc_exact
from videostore.ffmpeg.process import find_ffmpeg

VIDEO = "video"
FILES = ("", "static/start.mjs", "static/style.css", "static/vendor/hls.mjs", "healthz", "metrics", "api/recorders")
WITHIN_S = 120.0
_GET = "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=60).read())"


async def check_answers(parent: Parent, client: CameraClient, camera: PaintedCamera, page: str, output: Path) -> None:
    """Ask for each of them, and compare what is painted. Raises DemoError."""
    print("\nWhat else it answers:")
    size = (camera.width, camera.height)
    from_us = camera.delivered[0] + US_PER_SECOND // 3
    await check_picture(parent, client, from_us + US_PER_SECOND, camera.delivered, size)
    to_us = camera.delivered[-1] - 2 * US_PER_SECOND
    await check_video(parent, camera.delivered, from_us, to_us, output)
    inside = enter_network(parent)
    for name in FILES:
        await run([*inside, sys.executable, "-c", _GET, page + name])
    print(f"  page    {len(FILES)} files and addresses")
    # Several segments, each with a clock of its own.
    playlist = f"{page}hls/{NAME}/index.m3u8?from_us={from_us}&to_us={to_us}"
    clip = output / "hls.mp4"
    await run([*inside, find_ffmpeg(), "-v", "error", "-i", playlist, "-c", "copy", str(clip)])
    shown = [frame.captured_us if frame else 0 for _, frame in await asyncio.to_thread(read_clip, clip)]
    # Whole fragments: it begins earlier and ends later.
    if not shown or shown[0] > from_us or shown != [us for us in camera.delivered if shown[0] <= us <= max(shown)]:
        raise DemoError("The frames of the HLS playlist are not those that the camera delivered.")
    print(f"  HLS     {len(shown)} frames, from {(from_us - shown[0]) / 1000:.0f} ms before `from` on, none missing")


async def check_picture(
    parent: Parent, client: CameraClient, at_us: int, delivered: Sequence[int], size: tuple[int, int]
) -> None:
    """The picture of a moment shows the frame of it, twice: the decoder that stays is asked again."""
    at_us -= at_us % 1000  # commands end with the millisecond
    due_us = max(us for us in delivered if us <= at_us)
    for _ in range(2):
        command: dict[str, ValueTypes] = {"command": "get-frame", "at": format_utc_exact(at_us), "width": size[0]}
        answer = await client.do_command(command, timeout=CALL_TIMEOUT_S)
        picture = Image.open(io.BytesIO(base64.b64decode(str(answer["image"])))).convert("L")
        frame = read_paint(numpy.asarray(picture), size)
        if frame is None or frame.captured_us != due_us:
            raise DemoError(f"The picture shows {frame and frame.captured_us} instead of {due_us}.")
    if not any(PICTURE_CHILD in child.cmdline() for child in parent.children()):
        raise DemoError("No process for pictures was started.")
    print("  get-frame: the frame of the moment, by a process of the archive")


async def check_video(parent: Parent, delivered: list[int], from_us: int, to_us: int, output: Path) -> None:
    """GetVideo of both containers shows each frame."""
    parent.videos.add(VIDEO)
    await parent.add(VIDEO, {"recorder": NAME})
    start, end = (Timestamp(seconds=us // US_PER_SECOND, nanos=us % US_PER_SECOND * 1000) for us in (from_us, to_us))
    for container in ("mp4", "fmp4"):
        path = output / f"{container}.mp4"
        request = GetVideoRequest(name=VIDEO, start_timestamp=start, end_timestamp=end, video_container=container)
        parts = []
        async with parent.video().GetVideo.open(timeout=WITHIN_S) as stream:
            await stream.send_message(request, end=True)
            async for message in stream:
                parts.append(message.video_data)
        await asyncio.to_thread(path.write_bytes, b"".join(parts))
        await verify(f"{container:7}", path, delivered, from_us, to_us)


def enter_network(parent: Parent) -> list[str]:
    """The beginning of a command that runs in the network of the module."""
    if sys.platform != "linux":
        return []
    theirs = f"/proc/{parent.process.pid}/ns/net"
    return [] if os.path.samefile(theirs, "/proc/self/ns/net") else ["nsenter", f"--net={theirs}"]


async def run(command: Sequence[str]) -> None:
    """Run a command. Raises DemoError if it fails."""
    work = asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, errors="replace", timeout=WITHIN_S, check=False
    )
    done = await work
    if done.returncode:
        raise DemoError(f"{command[-1]} cannot be had: {done.stderr.strip()[-300:]}")
