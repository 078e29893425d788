"""What the parameter sets of H.264 say (ITU-T H.264, 7.3.2.1 and 7.3.2.2), as far as an encoder must match them."""

from __future__ import annotations

from dataclasses import dataclass, field

from videostore.media.bits import BitReader, unescape

_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles whose sets name the chroma format and the bit depth."""
_BASELINE = 66
"""A profile without B frames."""
_HELD_MACROBLOCKS = {
    **dict.fromkeys((9, 10), 396),
    11: 900,
    **dict.fromkeys((12, 13, 20), 2376),
    21: 4752,
    **dict.fromkeys((22, 30), 8100),
    31: 18_000,
    32: 20_480,
    **dict.fromkeys((40, 41), 32_768),
    42: 34_816,
    50: 110_400,
    **dict.fromkeys((51, 52), 184_320),
}
"""By level: how many macroblocks a decoder holds (MaxDpbMbs)."""
_MOST_MACROBLOCKS = 696_320
_MOST_HELD = 16
_MAX_POC_CYCLE = 255
_MAX_BUFFERS = 32
_EXTENDED_SAR = 255


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
    ordered: bool = False
    """Whether frames are shown in the order in which they are decoded, whatever else it says."""
    macroblocks: int = 0
    """Of a frame."""
    frame_number_bits: int = field(default=0, compare=False)
    """How many bits the number of a frame has."""
    numbered: bool = field(default=False, compare=False)
    """Whether a number that is left out means that a frame is missing."""


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
    return _read_sequence_set(unit)[1]


def _read_sequence_set(unit: bytes) -> tuple[BitReader, SequenceSet]:
    """Read up to the cropping of the frames, where the reader is then."""
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
    number_bits = 4 + reader.unsigned()
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
    numbered = not reader.flag()  # gaps_in_frame_num_value_allowed_flag
    width, height = 1 + reader.unsigned(), 1 + reader.unsigned()
    progressive = reader.flag()
    if not progressive:
        reader.flag()  # mb_adaptive_frame_field_flag
    reader.flag()  # direct_8x8_inference_flag
    ordered = order == 2 or profile == _BASELINE
    size = width * height * (1 if progressive else 2)
    coding = chroma_format, bit_depth, reference_frames, progressive, lossless
    return reader, SequenceSet(id, profile, level, *coding, ordered, size, number_bits, numbered)


def most_reordered(unit: bytes) -> int:
    """The most frames that may be reordered by a NAL unit of type 7 that does not say it: as many as a decoder of its
    level can hold (A.3.1); 0 if frames are shown in the order in which they are decoded.

    Raises:
        ValueError: it is damaged.
    """
    read = read_sequence_set(unit)
    if read.ordered:
        return 0
    held = _HELD_MACROBLOCKS.get(read.level, _MOST_MACROBLOCKS) // max(read.macroblocks, 1)
    return min(max(held, read.reference_frames, 1), _MOST_HELD)


def reordered_frames(unit: bytes) -> int | None:
    """How many frames may precede one in the order of decoding and follow it in that of showing, by a NAL unit of type
    7: `max_num_reorder_frames` (E.1.1); None if it does not say.

    Raises:
        ValueError: it is damaged.
    """
    reader, found = _read_sequence_set(unit)
    if found.ordered:
        return 0
    return _usability(reader)[1]


def time_unit(unit: bytes) -> tuple[int, int] | None:
    """The unit of time by a NAL unit of type 7, as numerator and denominator: `num_units_in_tick` and `time_scale`
    (E.1.1); None if it does not say.

    Raises:
        ValueError: it is damaged.
    """
    return _usability(_read_sequence_set(unit)[0])[0]


def _usability(reader: BitReader) -> tuple[tuple[int, int] | None, int | None]:
    """Read from the cropping of the frames on: the unit of time, and how many frames may be reordered."""
    timing = None
    if reader.flag():  # frame_cropping_flag
        for _ in range(4):
            reader.unsigned()
    if not reader.flag():  # vui_parameters_present_flag
        return None, None
    if reader.flag() and reader.bits(8) == _EXTENDED_SAR:
        reader.bits(32)
    if reader.flag():  # overscan_info_present_flag
        reader.flag()
    if reader.flag():  # video_signal_type_present_flag
        reader.bits(4)
        if reader.flag():
            reader.bits(24)
    if reader.flag():  # chroma_loc_info_present_flag
        reader.unsigned()
        reader.unsigned()
    if reader.flag():  # timing_info_present_flag
        timing = reader.bits(32), reader.bits(32)
        reader.flag()  # fixed_frame_rate_flag
    timed = [_skip_buffering(reader) for _ in range(2)]  # of NAL units, and of slices
    if any(timed):
        reader.flag()  # low_delay_hrd_flag
    reader.flag()  # pic_struct_present_flag
    if not reader.flag():  # bitstream_restriction_flag
        return timing, None
    reader.flag()
    for _ in range(4):
        reader.unsigned()
    return timing, reader.unsigned()


def _skip_buffering(reader: BitReader) -> bool:
    """Skip `hrd_parameters` (E.1.2), if they are there."""
    present = reader.flag()
    if present:
        count = 1 + reader.unsigned()
        reader.bits(8)
        if count > _MAX_BUFFERS:
            raise ValueError("its buffers are damaged")
        for _ in range(count):
            reader.unsigned()
            reader.unsigned()
            reader.flag()
        reader.bits(20)
    return present


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
