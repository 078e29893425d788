"""What a network camera sends: painted pictures, coded once, to be played again and again."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy
from av.video.reformatter import VideoReformatter
from PIL import Image

from tests.support.once import once_per_run
from tests.support.recording import START_US, US, picture

FPS = 15
SIZE = (320, 180)


@dataclass(frozen=True)
class Coding:
    """How a camera codes its pictures."""

    codec: str
    gop_s: float = 1
    """From keyframe to keyframe; 0: each picture is one."""
    b_frames: int = 0
    ten_bit: bool = False
    open_gop: bool = False
    """Whether pictures that are shown before a keyframe need those before it."""
    slices: int = 1
    size: tuple[int, int] = SIZE
    length_s: float = 20

    @property
    def frames(self) -> int:
        return round(self.length_s * FPS)


@dataclass(frozen=True)
class CodedPicture:
    """One picture, in the order of decoding."""

    data: bytes
    shown: int
    """Its place in the order of showing."""
    keyframe: bool


@dataclass(frozen=True)
class SentPicture:
    """A picture that a camera has sent. Times are in microseconds since 1970, UTC."""

    painted: int
    captured_us: int
    sent_us: int
    whole: bool = True
    """Whether no packet was lost of it, nor of those that its decoding needs."""
    connection: int = 0
    """To which client: later ones have larger numbers."""


def painted_us(number: int) -> int:
    """What is painted into the picture that is shown at this place: a time that tells the place."""
    return START_US + number * US


def painted_number(captured_us: int) -> int:
    """The place of a picture by its paint."""
    return (captured_us - START_US) // US


@once_per_run
def code(coding: Coding) -> list[CodedPicture]:
    """Paint and code the pictures of a camera."""
    images = [picture(painted_us(number), coding.size) for number in range(coding.frames)]
    if coding.codec == "mjpeg":
        return [CodedPicture(image, number, True) for number, image in enumerate(images)]
    context, reformatter = _encoder(coding), VideoReformatter()
    packets = []
    for number, image in enumerate(images):
        array = numpy.asarray(Image.open(io.BytesIO(image)).convert("RGB"))
        frame = av.VideoFrame.from_ndarray(array, format="rgb24")
        frame = reformatter.reformat(frame, format=context.pix_fmt, threads=1)
        frame.pts, frame.time_base = number, context.time_base
        packets += context.encode(frame)
    packets += context.encode(None)
    return [CodedPicture(bytes(one), one.pts, bool(one.is_keyframe)) for one in packets]


def _encoder(coding: Coding) -> Any:
    gop = max(1, round(coding.gop_s * FPS))
    context: Any = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[coding.codec], "w")
    context.width, context.height = coding.size
    context.pix_fmt = "yuv420p10le" if coding.ten_bit else "yuv420p"
    context.time_base, context.framerate = Fraction(1, FPS), FPS
    common = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={coding.b_frames}:b-adapt=0"
    common += f":open-gop={int(coding.open_gop)}"
    if coding.codec == "h264":
        h264 = f"{common}:repeat-headers=1:slices={coding.slices}"
        context.options = {"preset": "veryfast", "crf": "20", "threads": "1", "x264-params": h264}
    else:
        hevc = f"{common}:repeat-headers=1:slices={coding.slices}:ctu=16:log-level=error"
        context.options = {"preset": "ultrafast", "crf": "20", "x265-params": hevc}
    return context


def units_of(annex_b: bytes) -> list[bytes]:
    """The NAL units of a picture, without start codes."""
    return [unit.rstrip(b"\0") for unit in annex_b.split(b"\0\0\1") if unit.strip(b"\0")]


def slices(codec: str, annex_b: bytes) -> list[bytes]:
    """The units of a picture that hold coded slices: what reaches a recording as it was sent."""
    return [unit for unit in units_of(annex_b) if _is_slice(codec, unit[0])]


def slices_of_sample(codec: str, sample: bytes) -> list[bytes]:
    """The same of a sample of an MP4 file, in which each unit follows its length."""
    units = []
    while sample:
        (length,) = struct.unpack_from(">I", sample)
        units.append(sample[4 : 4 + length].rstrip(b"\0"))
        sample = sample[4 + length :]
    return [unit for unit in units if _is_slice(codec, unit[0])]


def _is_slice(codec: str, first: int) -> bool:
    return first & 0x1F in (1, 5) if codec == "h264" else first >> 1 & 0x3F < 32
