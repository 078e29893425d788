"""What the parameter sets of H.264 say (ITU-T H.264, 7.3.2.1 and 7.3.2.2), as far as an encoder must match them."""

from __future__ import annotations

from dataclasses import dataclass

from videostore.media.bits import BitReader, unescape

_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles whose sets name the chroma format and the bit depth."""
_MAX_POC_CYCLE = 255


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A sequence parameter set."""

    id: int
    profile: int
    """`profile_idc`."""
    level: int
    """`level_idc`: ten times the level."""
    chroma_format: int
    bit_depth: int
    reference_frames: int
    progressive: bool
    """Whether all frames are coded as frames, none as two fields."""
    lossless: bool = False
    """Whether frames may be coded without any loss, for which ffmpeg's decoder prepares itself once for a stream."""


@dataclass(frozen=True, slots=True)
class PictureSet:
    """A picture parameter set."""

    id: int
    sequence_id: int
    cabac: bool
    weighted: bool
    """Whether P slices may use weighted prediction."""
    chroma_qp_offset: int
    transform_8x8: bool


def read_sequence_set(unit: bytes) -> SequenceSet:
    """Read a NAL unit of type 7.

    Raises:
        ValueError: it is damaged.
    """
    data = unescape(unit)
    reader = BitReader(data, 8)
    profile = reader.bits(8)
    reader.bits(8)  # constraint flags
    level = reader.bits(8)
    id = reader.unsigned()
    chroma_format, bit_depth, lossless = 1, 8, False
    if profile in _HIGH_PROFILES:
        chroma_format = reader.unsigned()
        if chroma_format == 3:
            reader.flag()  # separate_colour_plane_flag
        bit_depth = 8 + reader.unsigned()
        reader.unsigned()  # bit_depth_chroma_minus8
        lossless = reader.flag()  # qpprime_y_zero_transform_bypass_flag
        if reader.flag():
            _skip_scaling_lists(reader, 8 if chroma_format != 3 else 12)
    reader.unsigned()  # log2_max_frame_num_minus4
    order = reader.unsigned()
    if order == 0:
        reader.unsigned()
    elif order == 1:
        reader.flag()
        reader.signed()
        reader.signed()
        cycle = reader.unsigned()
        if cycle > _MAX_POC_CYCLE:
            raise ValueError("its order of pictures is damaged")
        for _ in range(cycle):
            reader.signed()
    reference_frames = reader.unsigned()
    reader.flag()  # gaps_in_frame_num_value_allowed_flag
    reader.unsigned()
    reader.unsigned()  # the size
    return SequenceSet(id, profile, level, chroma_format, bit_depth, reference_frames, reader.flag(), lossless)


def read_picture_set(unit: bytes) -> PictureSet:
    """Read a NAL unit of type 8.

    Raises:
        ValueError: it is damaged, or has slice groups, which no profile for players has.
    """
    data = unescape(unit).rstrip(b"\0")
    reader = BitReader(data, 8)
    id, sequence_id = reader.unsigned(), reader.unsigned()
    cabac = reader.flag()
    reader.flag()  # bottom_field_pic_order_in_frame_present_flag
    if reader.unsigned():
        raise ValueError("it has slice groups")
    reader.unsigned()
    reader.unsigned()  # the usual number of references
    weighted = reader.flag()
    reader.bits(2)  # weighted_bipred_idc
    reader.signed()
    reader.signed()  # pic_init_qp_minus26, pic_init_qs_minus26
    chroma_qp_offset = reader.signed()
    reader.bits(3)
    last_bit = 8 * len(data) - 1 - ((data[-1] & -data[-1]).bit_length() - 1)
    return PictureSet(id, sequence_id, cabac, weighted, chroma_qp_offset, reader.position < last_bit and reader.flag())


def _skip_scaling_lists(reader: BitReader, count: int) -> None:
    for number in range(count):
        if reader.flag():
            last = following = 8
            for _ in range(16 if number < 6 else 64):
                if following:
                    following = (last + reader.signed()) % 256
                last = following or last
