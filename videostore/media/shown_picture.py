"""Decodes the frame of a coded picture and makes a JPEG of it, in this process: with PyAV, which a damaged frame may
crash. So it is for a process that may end (`clips.picture_child`).

It gives a picture only where all is well. What it refuses is for ffmpeg, which tells what is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

from videostore.media.libav import av
from videostore.media.look import Look

CODECS = frozenset({"h264", "hevc"})
"""Codecs that are decoded here."""
QUALITY = 3
"""ffmpeg's scale for JPEG, 2 to 31: 3 is hardly distinguishable from the original."""
WIDEST = 16384
"""That of x265 and of most decoders."""

_FROM_HD = 720
"""Lines from which on players take the matrix of BT.709 for video that names none."""
_UNNAMED = 2
_EXACT = "bicubic+accurate_rnd"


@dataclass(frozen=True, slots=True)
class ShownFrames:
    """The coded frames that one picture needs, and how it is to be shown."""

    codec: str
    size: tuple[int, int]
    look: Look
    frames: tuple[tuple[int, bytes], ...]
    """Place in the order of showing, and bytes, of each in the order of decoding. The last one is shown."""
    width: int | None
    """How wide the picture may be, in pixels."""


def scaling(size: tuple[int, int], look: Look, width: int | None) -> tuple[list[str], dict[str, str]]:
    """Arguments of ffmpeg's `scale` for a picture at most so wide, upright and with square pixels, as JPEG has them."""
    options = {"out_range": "pc", "out_color_matrix": "bt601", "flags": _EXACT}
    if look.colours is None or look.colours[2] == _UNNAMED:
        options["in_color_matrix"] = "bt709" if size[1] >= _FROM_HD else "bt601"
    return [f"min({WIDEST if width is None else width},round(iw*max(1,sar)))", "max(1,round(ow/dar))"], options


def show_frame(shown: ShownFrames) -> bytes | None:
    """The JPEG of the last frame; None if there is anything wrong with one of them. Blocking."""
    if shown.codec not in CODECS:
        return None
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture(local=False) as complaints:
            frame, shape = _decode(shown.codec, shown.frames)
            if frame is None or frame.is_corrupt or complaints:
                return None
            if shown.look.pixel_shape != 1:
                shape = shown.look.pixel_shape
            return _encode(_scale(frame, shape, *scaling(shown.size, shown.look, shown.width)))
    except (av.error.FFmpegError, MemoryError, ValueError):
        return None
    finally:
        av.logging.set_level(level)


def _decode(codec: str, frames: Sequence[tuple[int, bytes]]) -> tuple[av.VideoFrame | None, Fraction]:
    """The last frame, and the shape of its pixels."""
    context = cast("av.video.codeccontext.VideoCodecContext", av.CodecContext.create(codec, "r"))
    context.thread_count = 1
    wanted = frames[-1][0]
    found: list[av.VideoFrame] = []
    for number, (place, data) in enumerate(frames):
        packet = av.Packet(data)
        packet.pts, packet.dts = place, number
        found = [*found, *context.decode(packet)][-1:]
        if found and found[0].pts == wanted:
            break
    while not (found and found[0].pts == wanted):
        try:
            following = context.decode(None)
        except av.error.EOFError:
            following = []
        if not following:
            return None, Fraction(1)
        found = [one for one in following if one.pts == wanted] or following[-1:]
    return found[0], context.sample_aspect_ratio or Fraction(1)


def _scale(frame: av.VideoFrame, shape: Fraction, sizes: Sequence[str], options: dict[str, str]) -> av.VideoFrame:
    graph = av.filter.Graph()
    described = {
        "video_size": f"{frame.width}x{frame.height}",
        "pix_fmt": frame.format.name,
        "time_base": "1/1",
        "pixel_aspect": f"{shape.numerator}/{shape.denominator}",
        "colorspace": str(int(frame.colorspace)),
        "range": str(int(frame.color_range)),
    }
    chain = [
        graph.add("buffer", _arguments(described)),
        graph.add("scale", ":".join([*(_escaped(one) for one in sizes), _arguments(options)])),
        graph.add("setsar", "1"),
        graph.add("format", "yuvj420p"),
        graph.add("buffersink"),
    ]
    for one, other in itertools.pairwise(chain):
        one.link_to(other)
    graph.configure()
    chain[0].push(frame)
    return cast("av.VideoFrame", chain[-1].pull())


def _arguments(options: dict[str, str]) -> str:
    return ":".join(f"{name}={_escaped(value)}" for name, value in options.items())


def _escaped(value: str) -> str:
    return value.replace(",", "\\,")


def _encode(frame: av.VideoFrame) -> bytes:
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = Fraction(1)
    context.thread_count = 1
    context.options = {"qmin": str(QUALITY), "qmax": str(QUALITY)}
    frame.pts = 0
    return b"".join(bytes(one) for one in [*context.encode(frame), *context.encode(None)])
