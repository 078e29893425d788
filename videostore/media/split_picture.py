"""Pictures of several slices that ffmpeg's parsers split, because parameter sets stand between the slices."""

from __future__ import annotations

_START = b"\0\0\1"
_HEADER_BYTES = {"h264": 1, "hevc": 2}
_MAX_UNITS_BEFORE_SLICE = 64


def rest_of_picture(codec: str, data: bytes) -> bytes | None:
    """The slices of what a parser took for a picture (Annex B), if the first of them continues another picture.

    None if a picture begins here. In both codecs the header of a slice begins with a bit that is set in the first slice
    of a picture: `first_slice_segment_in_pic_flag` of H.265; in H.264 the code of a `first_mb_in_slice` of 0.
    """
    at = data.find(_START)
    for _ in range(_MAX_UNITS_BEFORE_SLICE):
        begin = at + len(_START)
        header = begin + _HEADER_BYTES[codec]
        if at < 0 or header >= len(data):
            return None
        if _is_slice(codec, data[begin]):
            return None if data[header] & 0x80 else data[at:]
        at = data.find(_START, begin)
    return None


def _is_slice(codec: str, first: int) -> bool:
    return first & 0x1F in (1, 2, 5) if codec == "h264" else first >> 1 & 0x3F < 32
