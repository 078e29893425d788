"""The files that `gst_cameras.py` reads: the length of a header, the header as JSON, the coded frames of all tracks."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from tests.streams.coded_sound import CodedSound
from tests.support.coded_stream import FPS, CodedPicture, Coding

_VIDEO = {
    "h264": (
        "video/x-h264,stream-format=byte-stream,alignment=au",
        "h264parse ! rtph264pay config-interval={config_interval}",
    ),
    "hevc": (
        "video/x-h265,stream-format=byte-stream,alignment=au",
        "h265parse ! rtph265pay config-interval={config_interval}",
    ),
    "mjpeg": ("image/jpeg", "rtpjpegpay"),
}
_NS = 1_000_000_000


def write_camera(
    path: Path, coding: Coding, pictures: list[CodedPicture], sound: CodedSound | None, config_interval: int = 0
) -> None:
    """Write what a camera sends. With a `config_interval` of -1 parameter sets come before each slice of a keyframe."""
    width, height = coding.size
    kind, payloader = _VIDEO[coding.codec]
    tracks: dict[str, dict[str, Any]] = {
        "video": {
            "caps": f"{kind},width={width},height={height},framerate={FPS}/1",
            "payloader": payloader.format(config_interval=config_interval),
            "frame_ns": _NS // FPS,
            "delay": max(one.shown - place for place, one in enumerate(pictures)),
            "sizes": [len(one.data) for one in pictures],
            "shown": [one.shown for one in pictures],
        }
    }
    if sound is not None:
        tracks["sound"] = {
            "caps": sound.caps,
            "payloader": sound.payloader,
            "frame_ns": round(sound.frame_s * _NS),
            "delay": 1,  # it is coded when all of it was heard
            "sizes": [len(one) for one in sound.frames],
            "shown": list(range(len(sound.frames))),
        }
    header = json.dumps(tracks).encode()
    frames = [one.data for one in pictures] + (sound.frames if sound else [])
    path.write_bytes(b"".join((struct.pack(">I", len(header)), header, *frames)))
