"""Video filters for what is encoded: colours and shapes that every player shows as the camera meant them.

Each function takes and returns a stream of ffmpeg-python, and adds filters at its end.
"""

from __future__ import annotations

from typing import Any

SMPTE170M = "smpte170m"
"""Matrix, primaries and transfer of what is encoded, in limited range. Untagged or full-range video is shown by
browsers with everything below 16 and above 235 lost, or with the matrix of another size."""

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
        video = video.filter("scale", out_range="full", out_color_matrix=SMPTE170M)
        video = video.filter("format", _FULL_RANGE_FORMATS)
        video = video.filter(
            "colorspace", all=SMPTE170M, iall=SMPTE170M, irange="pc", range="tv", format="yuv420p", fast=1
        )
    else:
        video = video.filter("scale", out_range="limited", out_color_matrix=SMPTE170M).filter("format", "yuv420p")
    # The frames carry the tags to the encoder. ffmpeg's output options would leave primaries and transfer unknown.
    return video.filter(
        "setparams", range="limited", color_primaries=SMPTE170M, color_trc=SMPTE170M, colorspace=SMPTE170M
    )
