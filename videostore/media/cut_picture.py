"""Whether the last picture of a stream in Annex B is cut off: a stream without lengths has nothing else that tells."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from videostore.media.bits import BitReader, unescape
from videostore.media.h26x import START, parameter_sets
from videostore.media.libav import av
from videostore.media.nal_units import unit_kind

_TAIL = bytes(range(65, 129))
"""Bytes to put behind a picture: no start code, and none that would have to be escaped."""
_PPS = 8
_LAST_SLICE = {"h264": 5, "hevc": 31}


def is_last_cut_off(codec: str, pictures: Sequence[bytes]) -> bool:
    """Whether the last of these pictures is cut off, while those before it can be decoded. They begin with a keyframe.

    Decoders often come to the end of a cut picture without an error: what they read behind its last byte is a picture
    too. So it is decoded with other bytes behind it. They change nothing of a whole one. Blocking.
    """
    found = _decoded(codec, pictures)
    if not isinstance(found, bytes):
        return found == len(pictures)
    if codec not in _LAST_SLICE or not _ends_in_slice(codec, pictures[-1]) or not _tells_its_end(codec, pictures[0]):
        return False
    return _decoded(codec, [*pictures[:-1], pictures[-1] + _TAIL]) != found


def _decoded(codec: str, pictures: Sequence[bytes]) -> bytes | int:
    """A digest of what is shown with the last picture; if one is damaged, its number from 1."""
    context: Any = av.CodecContext.create(codec, "r")
    context.options = {"err_detect": "explode", "threads": "1"}
    digest = hashlib.blake2b()
    for number, data in enumerate(pictures, start=1):
        last = number == len(pictures)
        try:
            frames = context.decode(av.Packet(data))
            if last:
                frames += context.decode(None)
        except av.error.FFmpegError:
            return number
        for frame in frames if last else ():
            for plane in frame.planes:
                digest.update(plane)
    return digest.digest()


def _ends_in_slice(codec: str, picture: bytes) -> bool:
    """Whether nothing is behind the slices of a picture. Else they are whole."""
    begin = picture.rfind(START) + len(START)
    return begin < len(picture) and unit_kind(codec, picture[begin : begin + 1]) <= _LAST_SLICE[codec]


def _tells_its_end(codec: str, keyframe: bytes) -> bool:
    """Whether slices say themselves where they end: those with CABAC. With CAVLC the last byte is the end."""
    if codec != "h264":
        return True
    units = [unit for unit in parameter_sets(codec, keyframe).split(START) if unit.strip(b"\0")]
    return all(_has_cabac(unescape(unit)) for unit in units if unit_kind(codec, unit) == _PPS)


def _has_cabac(pps: bytes) -> bool:
    """entropy_coding_mode_flag (ITU-T H.264, 7.3.2.2)."""
    reader = BitReader(pps, 8)
    reader.unsigned()
    reader.unsigned()
    return reader.flag()
