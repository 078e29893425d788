"""H.264 and H.265 from a camera: the parameter sets, and whether the video can be recorded without re-encoding."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass

from videostore.media.h264_sets import most_reordered
from videostore.media.h264_sets import reordered_frames as h264_reordered_frames
from videostore.media.hevc_sets import reordered_frames as hevc_reordered_frames
from videostore.media.libav import av

START = b"\0\0\1"
_SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}
"""NAL units that a decoder needs before the first frame: SPS and PPS; VPS, SPS and PPS."""
_SEQUENCE_SET = {"h264": 7, "hevc": 33}
_PLAYABLE = {
    "h264": frozenset({"yuv420p", "yuvj420p"}),
    "hevc": frozenset({"yuv420p", "yuvj420p", "yuv420p10le"}),
}
"""Pixel formats that browsers and phones can play in an MP4."""

_FRESH_STARTS = {"h264": frozenset({5}), "hevc": frozenset({16, 17, 18, 19, 20, 21})}
"""NAL units of frames that start the order of pictures again: IDR; BLA, IDR and, behind an end of sequence, CRA."""
_IDR = {"h264": frozenset({5}), "hevc": frozenset({19, 20})}
_MAX_UNITS_BEFORE_FRAME = 64

COPYABLE = frozenset(_SETS)
"""Codecs that can be recorded without re-encoding: those that segments can contain."""


class UncopyableError(Exception):
    """The video must be re-encoded to be recorded."""


class ReorderedError(UncopyableError):
    """Its frames are reordered, which it does not say: to be copied it must be opened as one that does."""


@dataclass(frozen=True, slots=True)
class KeyframeInfo:
    """What a keyframe tells about its stream."""

    width: int
    height: int
    pixels: str
    """ffmpeg's name of the pixel format."""
    reordered: int
    """How many frames may come after one that is shown later than they are: 0 if they come as they are shown, or if it
    does not say."""
    most_reordered: int = 0
    """The most that there can be of them, if it does not say."""

    def check(self, codec: str) -> None:
        """Refuse what a recording cannot contain.

        Raises:
            UncopyableError: with the reason.
        """
        if self.pixels not in _PLAYABLE[codec]:
            raise UncopyableError(f"its pixel format is {self.pixels}, which players of MP4 files cannot show")


def inspect_keyframe(codec: str, keyframe: bytes) -> KeyframeInfo:
    """Decode a keyframe in Annex B with its parameter sets. Blocking.

    Raises:
        UncopyableError: it cannot be decoded.
    """
    try:
        with av.open(io.BytesIO(keyframe), format=codec) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            if not stream.width or not stream.height or context.pix_fmt is None:
                raise UncopyableError("its first keyframe cannot be read")
            sizes = stream.width, stream.height, context.pix_fmt
            if context.has_b_frames:
                return KeyframeInfo(*sizes, max(filter(None, _reordering(codec, keyframe)), default=0))
            return KeyframeInfo(*sizes, 0, _most_reordered(codec, keyframe))
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise UncopyableError("its first keyframe cannot be read") from error


def _reordering(codec: str, keyframe: bytes) -> list[int | None]:
    """How far each sequence parameter set says that frames are reordered.

    Raises:
        ValueError: they are damaged.
    """
    read = h264_reordered_frames if codec == "h264" else hevc_reordered_frames
    return [read(one) for one in _sequence_sets(codec, keyframe)]


def _most_reordered(codec: str, keyframe: bytes) -> int:
    """How many frames may be reordered although no sequence parameter set says so; 0 if the sets cannot be read."""
    with contextlib.suppress(ValueError):
        if codec == "h264" and None in _reordering(codec, keyframe):
            return max(most_reordered(one) for one in _sequence_sets(codec, keyframe))
    return 0


def _sequence_sets(codec: str, keyframe: bytes) -> list[bytes]:
    units = parameter_sets(codec, keyframe).split(b"\0" + START)
    return [one for one in units if one and _kind(codec, one[0]) == _SEQUENCE_SET[codec]]


def _kind(codec: str, first: int) -> int:
    return first & 0x1F if codec == "h264" else first >> 1 & 0x3F


def parameter_sets(codec: str, data: bytes) -> bytes:
    """The parameter sets before the first frame in Annex B, in their order; empty if one kind is missing."""
    found, kinds = [], set()
    begin = data.find(START)
    while begin >= 0 and begin + 3 < len(data):
        kind = data[begin + 3] & 0x1F if codec == "h264" else data[begin + 3] >> 1 & 0x3F
        if 1 <= kind <= 5 if codec == "h264" else kind < 32:  # a frame
            break
        end = data.find(START, begin + 3)
        if kind in _SETS[codec]:
            # Padding, and the fourth byte of the next start code, do not belong to the unit.
            found.append(b"\0" + data[begin : end if end >= 0 else len(data)].rstrip(b"\0"))
            kinds.add(kind)
        begin = end
    return b"".join(found) if kinds.issuperset(_SETS[codec]) else b""


def is_idr(codec: str, keyframe: bytes) -> bool:
    """Whether a keyframe in Annex B is one before which no frame is shown that is decoded after it."""
    at = keyframe.find(START)
    while at >= 0 and at + 3 < len(keyframe):
        kind = _kind(codec, keyframe[at + 3])
        if 1 <= kind <= 5 if codec == "h264" else kind < 32:
            return kind in _IDR[codec]
        at = keyframe.find(START, at + 3)
    return False


def is_b_frame(codec: str, data: bytes) -> bool:
    """Whether the first slice of a frame of H.264 in Annex B is a B slice (7.3.3); False for other codecs.

    Only such frames can be shown before one that is decoded earlier, in streams of cameras.
    """
    at = data.find(START) if codec == "h264" else -1
    while at >= 0 and at + 4 < len(data):
        if 1 <= data[at + 3] & 0x1F <= 5:
            # first_mb_in_slice is 0, which is one bit; slice_type is 1 or 6.
            return data[at + 4] & 0b11110000 == 0b10100000 or data[at + 4] & 0b11111100 == 0b10011100
        at = data.find(START, at + 3)
    return False


def starts_fresh(codec: str, read: Callable[[int, int], bytes], *, length_bytes: int = 4) -> bool:
    """Whether a keyframe of an MP4 can follow the frames of another encoder: nothing about it depends on those before.

    `read` gets a position in the keyframe and a number of bytes. Keyframes of other codecs than H.264 and H.265 can.
    """
    if codec not in _FRESH_STARTS:
        return True
    at = 0
    for _ in range(_MAX_UNITS_BEFORE_FRAME):
        begin = read(at, length_bytes + 1)
        if len(begin) <= length_bytes:
            break
        kind = begin[-1] & 0x1F if codec == "h264" else begin[-1] >> 1 & 0x3F
        if 1 <= kind <= 5 if codec == "h264" else kind < 32:
            return kind in _FRESH_STARTS[codec]
        at += length_bytes + int.from_bytes(begin[:-1], "big")
    return False
