"""Painted video in the ways that other programs and cameras code it: long GOPs, other profiles, B frames, open GOPs."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import ffmpeg
import numpy
from PIL import Image

from tests.support.recording import SIZE, picture
from videostore import Packet, StreamFormat
from videostore.media.h26x import parameter_sets

FPS = 10
FRAME_US = 1_000_000 // FPS

H264_MAIN = {
    "vcodec": "libx264",
    "profile:v": "main",
    "preset": "fast",
    "x264-params": "keyint=40:min-keyint=40:scenecut=0:bframes=0:ref=4:repeat-headers=1",
}
"""A camera with a GOP of 4 s, of another profile and with other references than our encoder."""
H264_BASELINE = {
    "vcodec": "libx264",
    "profile:v": "baseline",
    "x264-params": "keyint=40:min-keyint=40:scenecut=0:bframes=0:ref=1:repeat-headers=1",
}
H264_PLAIN = {
    "vcodec": "libx264",
    "preset": "medium",
    "x264-params": "keyint=20:min-keyint=20:scenecut=0:bframes=0",
}
"""As the Go module codes it: without B frames, a keyframe in every file and some more."""
H264_B_FRAMES = {
    "vcodec": "libx264",
    "x264-params": "keyint=20:min-keyint=20:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal:open-gop=1",
}
H265_LONG = {
    "vcodec": "libx265",
    "preset": "fast",
    "x265-params": "log-level=error:keyint=40:min-keyint=40:scenecut=0:bframes=0:ref=3:repeat-headers=1",
}
H265_B_FRAMES = {
    "vcodec": "libx265",
    "tag:v": "hvc1",
    "preset": "fast",
    "x265-params": "log-level=error:keyint=20:min-keyint=20:scenecut=0:bframes=3:b-adapt=0:open-gop=1",
}

_COLOURS = {"colorspace": "smpte170m", "color_primaries": "smpte170m", "color_trc": "smpte170m", "color_range": "tv"}


def steady_times(start_us: int, seconds: float) -> list[int]:
    """Capture times at constant intervals."""
    return [start_us + number * FRAME_US for number in range(round(seconds * FPS))]


def write_file(path: Path, times: Sequence[int], coding: dict[str, str], binary: str) -> None:
    """Write painted frames at constant intervals to a plain MP4. Blocking."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _encode(str(path), times, {"format": "mp4", **coding}, binary)


def write_control(path: Path, times: Sequence[int], codec: str, movflags: str, b_frames: int = 0) -> None:
    """Write painted frames at their intervals with libav alone: closed GOPs of 10 frames. Blocking."""
    path.parent.mkdir(parents=True, exist_ok=True)
    container: Any
    with av.open(str(path), "w", format="mp4", options={"movflags": movflags}) as container:
        stream = container.add_stream(codec, rate=FPS, width=SIZE[0], height=SIZE[1], pix_fmt="yuv420p")
        stream.codec_context.time_base = stream.time_base = Fraction(1, 90_000)
        stream.codec_context.codec_tag = "avc1" if codec == "libx264" else "hvc1"
        stream.options = (
            {"g": "10", "bf": str(b_frames), "x264-params": "b-adapt=0"}
            if codec == "libx264"
            else {"x265-params": f"log-level=error:keyint=10:min-keyint=10:open-gop=0:b-adapt=0:bframes={b_frames}"}
        )
        for time_us in times:
            image = numpy.asarray(Image.open(io.BytesIO(picture(time_us))).convert("RGB"))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = (time_us - times[0]) * 9 // 100, Fraction(1, 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def stream_packets(times: Sequence[int], coding: dict[str, str], binary: str) -> list[Packet]:
    """The same as a camera sends it: coded frames with their capture times. Blocking."""
    codec = "hevc" if coding["vcodec"] == "libx265" else "h264"
    coded = _encode("-", times, {"format": codec, **coding}, binary)
    container: Any
    with av.open(io.BytesIO(coded), format=codec) as container:
        frames = [(bytes(one), bool(one.is_keyframe)) for one in container.demux(video=0) if one.size]
    format = StreamFormat(codec, *SIZE, parameter_sets(codec, frames[0][0]))
    return [Packet(format, data, time_us, key) for (data, key), time_us in zip(frames, times, strict=True)]


def _encode(target: str, times: Sequence[int], coding: dict[str, str], binary: str) -> bytes:
    images = b"".join(picture(time_us) for time_us in times)
    stream = ffmpeg.input("pipe:", format="image2pipe", vcodec="mjpeg", framerate=FPS)
    stream = stream.filter("scale", in_range="full", out_range="limited", out_color_matrix="smpte170m")
    options = {"pix_fmt": "yuv420p", **_COLOURS, **coding}
    command = ffmpeg.output(stream, target, **options).global_args("-v", "error").overwrite_output()
    done = subprocess.run(command.compile(binary), input=images, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
