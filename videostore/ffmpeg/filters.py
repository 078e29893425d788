"""Video filters for what is encoded: colours and shapes that every player shows as the camera meant them.

Each function takes and returns a stream of ffmpeg-python, and adds filters at its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ffmpeg

SMPTE170M = "smpte170m"
"""Matrix, primaries and transfer of what is encoded, in limited range. Untagged or full-range video is shown by
browsers with everything below 16 and above 235 lost, or with the matrix of another size."""

_EXACT = "bicubic+accurate_rnd"
"""Without it the scaler makes grays of another matrix greenish, by three levels of 255."""
_FULL_RANGE_FORMATS = "yuvj420p|yuvj422p|yuvj444p"
"""The formats of a JPEG that the `colorspace` filter takes; others are converted to one of them."""


def even_size(video: Any) -> Any:
    """Pad to even sizes, which encoders need: their chroma planes have half the size."""
    return video.filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2")


def player_colours(video: Any, *, full_range: bool = False) -> Any:
    """Convert any video to the colours of `SMPTE170M`, and tag it. Alpha is dropped.

    `full_range` says that the source is YUV in full range, such as JPEG. The result is right without it too, but the
    filter that is used then takes a tenth of the time, and rounds better: ffmpeg 9 scales chroma up to a level too high
    otherwise, which is three levels of blue in a pure green.
    """
    if full_range:
        # Does nothing to the usual JPEG. Without it other formats would be converted to limited range.
        video = video.filter("scale", out_range="full", out_color_matrix=SMPTE170M, flags=_EXACT)
        video = video.filter("format", _FULL_RANGE_FORMATS)
        video = video.filter(
            "colorspace", all=SMPTE170M, iall=SMPTE170M, irange="pc", range="tv", format="yuv420p", fast=1
        )
    else:
        video = video.filter("scale", out_range="limited", out_color_matrix=SMPTE170M, flags=_EXACT)
        video = video.filter("format", "yuv420p")
    # The frames carry the tags to the encoder. ffmpeg's output options would leave primaries and transfer unknown.
    return video.filter(
        "setparams", range="limited", color_primaries=SMPTE170M, color_trc=SMPTE170M, colorspace=SMPTE170M
    )


def timed_by_arrival(video: Any, from_us: int) -> Any:
    """Give each frame the time at which it comes here, in microseconds after a moment, UTC."""
    return video.filter("settb", "1/1000000").filter("setpts", f"RTCTIME-{from_us}")


def deinterlaced(video: Any) -> Any:
    """Make a whole frame of each that consists of two fields, at its time, and leave others as they are.

    It holds each frame back until the next one comes.
    """
    return video.filter("bwdif", mode="send_frame", parity="auto", deint="interlaced")


def filter_text(add: Callable[[Any], Any]) -> str:
    """What one of these functions adds, as ffmpeg's option `-vf` takes it."""
    described = ffmpeg.get_args(add(ffmpeg.input("")).output(""))
    text: str = described[described.index("-filter_complex") + 1]
    return re.sub(r"\[\w+\]", "", text).replace(";", ",")


def fitted(
    video: Any, width: int, height: int, pixel_shape: Fraction = Fraction(1), *, may_have_fields: bool = True
) -> Any:
    """Scale any video into a frame of even size, undistorted, with black beside or above it, in `player_colours`.

    Fields are made frames first: scaled together they could not be told apart any more.

    `pixel_shape` is that of the frame: width of a pixel divided by its height. That of the video may differ. The filter
    for fields refuses video of less than three lines or columns, which has none (`may_have_fields`).
    """
    shape = f"{pixel_shape.numerator}/{pixel_shape.denominator}"
    # `dar` is the shape of the picture as it is shown; divided by that of a pixel it is the shape in pixels.
    video = deinterlaced(video) if may_have_fields else video
    video = video.filter(
        "scale",
        f"clip(2*round({height}*dar/({shape})/2),2,{width})",
        f"clip(2*round({width}/dar*({shape})/2),2,{height})",
        flags=_EXACT,
    )
    video = player_colours(video)
    return video.filter("pad", width, height, "2*floor((ow-iw)/4)", "2*floor((oh-ih)/4)").filter("setsar", shape)
