"""Recordings of other programs and cameras, with painted frames: other profiles, pixel formats, long GOPs, B frames."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import ffmpeg

from tests.support.once import file_once_per_run
from tests.support.recording import SIZE, US, picture
from videostore.ffmpeg.process import find_ffmpeg

FPS = 10
FRAME_US = US // FPS

X264 = "keyint=15:min-keyint=15:scenecut=0"
X265 = f"log-level=error:{X264}"
CODINGS: dict[str, dict[str, str]] = {
    "h264 main, cabac, 4 references": {
        "c:v": "libx264",
        "profile:v": "main",
        "x264-params": f"{X264}:bframes=0:ref=4",
    },
    "h264 baseline": {"c:v": "libx264", "profile:v": "baseline", "x264-params": f"{X264}:bframes=0"},
    "h264 10 bit": {"c:v": "libx264", "pix_fmt": "yuv420p10le", "x264-params": f"{X264}:bframes=0"},
    "h264 4:4:4": {"c:v": "libx264", "pix_fmt": "yuv444p", "x264-params": f"{X264}:bframes=0"},
    "h264 4:4:4 lossless": {"c:v": "libx264", "pix_fmt": "yuv444p", "qp": "0", "x264-params": f"{X264}:bframes=0"},
    "h264 intra refresh": {"c:v": "libx264", "x264-params": "keyint=15:scenecut=0:bframes=0:intra-refresh=1"},
    "h264 full range": {"c:v": "libx264", "pix_fmt": "yuvj420p", "x264-params": f"{X264}:bframes=0"},
    "h264 set 1": {"c:v": "libx264", "x264-params": f"{X264}:bframes=0:sps-id=1"},
    "h264 interlaced": {"c:v": "libx264", "flags": "+ildct+ilme", "x264-params": f"{X264}:bframes=0:tff=1"},
    "h264 B frames": {"c:v": "libx264", "x264-params": f"{X264}:bframes=3:b-adapt=0"},
    "h264 open GOP": {"c:v": "libx264", "x264-params": f"{X264}:bframes=3:b-adapt=0:b-pyramid=normal:open-gop=1"},
    "h265 long GOP": {
        "c:v": "libx265",
        "preset": "fast",
        "tag:v": "hvc1",
        "x265-params": f"{X265}:bframes=0:open-gop=0",
    },
    "h265 10 bit": {
        "c:v": "libx265",
        "preset": "ultrafast",
        "tag:v": "hvc1",
        "pix_fmt": "yuv420p10le",
        "x265-params": f"{X265}:bframes=0:open-gop=0",
    },
    "h265 B frames": {
        "c:v": "libx265",
        "preset": "fast",
        "tag:v": "hvc1",
        "x265-params": f"{X265}:bframes=3:b-adapt=0:open-gop=0",
    },
    "h265 open GOP": {
        "c:v": "libx265",
        "preset": "fast",
        "tag:v": "hvc1",
        "x265-params": f"{X265}:bframes=3:b-adapt=0:open-gop=1",
    },
    "mpeg4": {"c:v": "mpeg4", "g": "15", "q:v": "2", "bf": "0"},
}
"""ffmpeg's options for the ways of coding."""


async def write_foreign_video(
    path: Path, times: Sequence[int], coding: Mapping[str, str], framerate: float = FPS
) -> None:
    """Write a plain MP4 with an image for each of these times, at so many frames a second."""
    options = tuple({"pix_fmt": "yuv420p", **coding}.items())
    await asyncio.to_thread(_write_foreign_video, path, find_ffmpeg(), tuple(times), options, framerate)


@file_once_per_run
def _write_foreign_video(
    path: Path, binary: str, times: tuple[int, ...], coding: tuple[tuple[str, str], ...], framerate: float
) -> None:
    options = dict(coding)
    source = ffmpeg.input("pipe:0", f="image2pipe", framerate=framerate, **{"c:v": "mjpeg"})
    full = options["pix_fmt"] == "yuvj420p"
    video = source.video.filter("scale", out_range="full" if full else "limited")
    command = video.output(str(path), f="mp4", **options).global_args("-v", "error", "-y").compile(cmd=binary)
    subprocess.run(command, input=b"".join(picture(time_us, SIZE) for time_us in times), check=True)
