"""NAL units of coded frames: whether a frame of H.264 or H.265 in an MP4 can be divided into them.

Each unit has its length in front of it (ISO/IEC 14496-15, 5.3.3 and 8.3.3). A damaged length makes all that follows in
the frame unreadable, and ffmpeg either stops there or copies it without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from videostore.media.damage_mark import parse_mark
from videostore.media.decoder_setup import NoSetupError, read_setup
from videostore.media.fragmented_file import Fragment

_LENGTH_AT = {"h264": 4, "hevc": 21}
"""Where `avcC` and `hvcC` tell how many bytes a length has."""
_PICTURES = {"h264": frozenset({1, 2, 5}), "hevc": frozenset({*range(10), *range(16, 22)})}
"""NAL units that hold a part of a picture."""
_HEADER_BYTES = {"h264": 1, "hevc": 2}
_FORBIDDEN_BIT = 0x80
_FIRST_PART_BIT = 0x80
"""Behind the header of a unit: that of H.264 holds macroblock 0 (`first_mb_in_slice`), that of H.265 the first slice
segment."""


def length_bytes(codec: str, config: bytes) -> int | None:
    """How many bytes the length of a unit has, by `avcC` or `hvcC`; None for codecs without such units."""
    at = _LENGTH_AT.get(codec)
    return None if at is None or len(config) <= at else (config[at] & 3) + 1


def unit_kind(codec: str, unit: bytes) -> int:
    """The type of a unit that is not empty."""
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F


def split_units(data: bytes, lengths: int) -> Iterator[bytes]:
    """The units of a frame.

    Raises:
        ValueError: their lengths do not add up to that of the frame.
    """
    at = 0
    while at < len(data):
        begin = at + lengths
        at = begin + int.from_bytes(data[at:begin], "big")
        if not begin < at <= len(data):
            raise ValueError("the units do not fill the frame")
        yield data[begin:at]


def picture_byte(codec: str, data: bytes, lengths: int) -> int | None:
    """Where in a frame, or in the beginning of one, the first unit begins that holds a part of a picture, behind its
    length; None if there is none."""
    at = 0
    while at + lengths < len(data):
        begin = at + lengths
        if unit_kind(codec, data[begin : begin + 1]) in _PICTURES[codec]:
            return begin
        at = begin + int.from_bytes(data[at:begin], "big")
    return None


def is_intact(codec: str, data: bytes, lengths: int) -> bool:
    """Whether a frame consists of units, and holds the beginning of a picture, without which decoders drop it. One that
    is marked came without it, and is intact all the same.

    Whether that decodes is another question.
    """
    picture = marked = False
    header_bytes = _HEADER_BYTES[codec]
    try:
        for unit in split_units(data, lengths):
            if unit[0] & _FORBIDDEN_BIT:
                return False
            if not picture and unit_kind(codec, unit) in _PICTURES[codec]:
                picture = True
                if not marked and (len(unit) <= header_bytes or not unit[header_bytes] & _FIRST_PART_BIT):
                    return False
            marked = marked or parse_mark(codec, unit) is not None
    except ValueError:
        return False
    return picture or marked


def has_mark(codec: str, data: bytes, lengths: int) -> bool:
    """Whether a frame is marked as one that came damaged."""
    try:
        return any(parse_mark(codec, unit) is not None for unit in split_units(data, lengths))
    except ValueError:
        return False


def damaged_fragments(path: Path, codec: str, fragments: Sequence[Fragment]) -> frozenset[int]:
    """The fragments with a frame that is not intact, by the capture times of their first frames. Blocking: it reads
    all of the fragments.

    Raises:
        OSError: the file cannot be read.
    """
    if codec not in _LENGTH_AT or not fragments:
        return frozenset()
    try:
        lengths = length_bytes(codec, read_setup(path).config)
    except NoSetupError:
        lengths = None
    if lengths is None:
        return frozenset()  # its header is damaged, and that has its own way
    damaged = set()
    with path.open("rb") as file:
        for one in fragments:
            file.seek(one.body_byte)
            data = file.read(one.end_byte - one.body_byte)
            if not all(is_intact(codec, frame, lengths) for frame in frames_of(one, data)):
                damaged.add(one.times_us[0])
    return frozenset(damaged)


def frames_of(fragment: Fragment, data: bytes) -> Iterator[bytes]:
    """The coded frames of a fragment, of which `data` is what follows its header."""
    at = 0
    for size in fragment.sizes:
        yield data[at : at + size]
        at += size
