"""Gives the parameter sets of an H.265 stream other ids, so that they do not collide with those of another stream.

No encoder of ffmpeg can do this. Id 0 is one bit of code and id 15 is nine, so each place grows by exactly one byte,
and what follows keeps its alignment (ITU-T H.265, 7.3.2.1 to 7.3.2.3 and 7.3.6.1).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from videostore.media.bits import BitReader, escape, unescape
from videostore.media.decoder_setup import DecoderSetup, NoSetupError, with_sets

NEW_ID = 15
"""The highest id of video and sequence parameter sets. Cameras and encoders count from 0."""

END_OF_SEQUENCE = b"\0\0\0\2\x48\1"
"""A NAL unit behind its length. The next keyframe starts the order of pictures again, of whatever kind it is."""

_VPS, _SPS, _PPS = 32, 33, 34
_HEADER_BITS = 16
_LAST_SLICE, _FIRST_IRAP, _LAST_IRAP = 31, 16, 23
_LENGTH_BYTES = 4
_ID_0, _ID_15 = "1", "000010000"


def renumber_setup(setup: DecoderSetup) -> DecoderSetup:
    """The setup with the new id for each of its sets, which must have id 0.

    Raises:
        NoSetupError: there are others, or they are damaged.
    """
    try:
        units = [(kind, renumber_unit(unit)) for kind in (_VPS, _SPS, _PPS) for unit in setup.of_kind(kind)]
    except (ValueError, IndexError, struct.error) as error:
        raise NoSetupError("its parameter sets cannot be numbered") from error
    return with_sets(setup, units)


def renumber_sample(sample: bytes) -> bytes:
    """A frame, each of its NAL units after its length in four bytes, whose slices refer to the new id.

    Raises:
        ValueError: it is damaged, or its slices do not refer to id 0.
    """
    units, at = [], 0
    while at < len(sample):
        size = int.from_bytes(sample[at : at + _LENGTH_BYTES], "big")
        unit = sample[at + _LENGTH_BYTES : at + _LENGTH_BYTES + size]
        if len(unit) != size or size < 3:
            raise ValueError("it ends within a NAL unit")
        unit = renumber_unit(unit)
        units.append(len(unit).to_bytes(_LENGTH_BYTES, "big") + unit)
        at += _LENGTH_BYTES + size
    return b"".join(units)


def renumber_unit(unit: bytes) -> bytes:
    """A NAL unit with the new id for parameter sets that have or name id 0. Other kinds of units stay as they are.

    Raises:
        ValueError: it is damaged, or has another id.
    """
    kind = unit[0] >> 1 & 0x3F
    if kind > _LAST_SLICE and kind not in (_VPS, _SPS, _PPS):
        return unit
    data = unescape(unit)
    if kind == _VPS:
        return escape(_with_first_id(data))
    if kind == _SPS:
        return escape(_with_code(_with_first_id(data), _sequence_id_bit(data)))
    if kind == _PPS:
        return escape(_with_code(_with_code(data, _HEADER_BITS), _HEADER_BITS + len(_ID_15)))
    # first_slice_segment_in_pic_flag, no_output_of_prior_pics_flag
    flags = 2 if _FIRST_IRAP <= kind <= _LAST_IRAP else 1
    return escape(_with_code(data, _HEADER_BITS + flags))


def _with_first_id(data: bytes) -> bytes:
    """With another id in the four bits after the header: that of the VPS."""
    if data[2] >> 4:
        raise ValueError("its id is not 0")
    return data[:2] + bytes([NEW_ID << 4 | data[2] & 0x0F]) + data[3:]


def _with_code(data: bytes, bit: int) -> bytes:
    """With the code of id 15 in place of that of id 0 at this bit."""
    begin, offset = divmod(bit, 8)
    bits = f"{data[begin]:08b}"
    if bits[offset] != _ID_0:
        raise ValueError("its id is not 0")
    changed = bits[:offset] + _ID_15 + bits[offset + 1 :]
    return data[:begin] + int(changed, 2).to_bytes(2, "big") + data[begin + 1 :]


def _sequence_id_bit(data: bytes) -> int:
    """Where the id of an SPS is: behind its profiles and levels."""
    return _skip_profiles(BitReader(data, _HEADER_BITS))


def _skip_profiles(reader: BitReader) -> int:
    reader.bits(4)
    sub_layers = reader.bits(3)
    reader.flag()
    reader.position += 88 + 8
    present = [(reader.flag(), reader.flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.position += 2 * (8 - sub_layers)
    for profile, level in present:
        reader.position += 88 * profile + 8 * level
    return reader.position


@dataclass(frozen=True, slots=True)
class SequenceFormat:
    """What an H.265 sequence parameter set says about the pictures."""

    chroma_format: int
    width: int
    height: int
    bit_depth: int


def read_sequence_format(unit: bytes) -> SequenceFormat:
    """Read a NAL unit of type 33.

    Raises:
        ValueError: it is damaged.
    """
    return _read_format(BitReader(unescape(unit), _HEADER_BITS))[0]


def reordered_frames(unit: bytes) -> int:
    """How many frames may precede one in the order of decoding and follow it in that of showing, by a NAL unit of type
    33: `sps_max_num_reorder_pics` of the highest sub-layer.

    Raises:
        ValueError: it is damaged.
    """
    reader = BitReader(unescape(unit), _HEADER_BITS)
    _, sub_layers = _read_format(reader)
    reader.unsigned()  # bit_depth_chroma_minus8
    reader.unsigned()  # log2_max_pic_order_cnt_lsb_minus4
    reordered = 0
    for _ in range(1 + sub_layers if reader.flag() else 1):
        reader.unsigned()
        reordered = reader.unsigned()
        reader.unsigned()
    return reordered


@dataclass(frozen=True, slots=True)
class SliceAddresses:
    """How the slices of H.265 say where in the picture they begin (7.3.6.1)."""

    bits: int
    """How many bits an address has."""
    dependent: bool
    """Whether a bit before it says that the slice depends on the one before it."""

    def read(self, head: bytes, kind: int) -> int:
        """The address of a slice that is not the first, by its beginning.

        Raises:
            ValueError: it ends before.
        """
        reader = BitReader(unescape(head), _HEADER_BITS + 1)
        if _FIRST_IRAP <= kind <= _LAST_IRAP:
            reader.flag()
        reader.unsigned()  # slice_pic_parameter_set_id
        if self.dependent:
            reader.flag()
        return reader.bits(self.bits)


def read_slice_addresses(sequence: bytes, pictures: Sequence[bytes]) -> SliceAddresses:
    """By a NAL unit of type 33 and those of type 34.

    Raises:
        ValueError: they are damaged, or do not agree.
    """
    reader = BitReader(unescape(sequence), _HEADER_BITS)
    format, sub_layers = _read_format(reader)
    reader.unsigned()  # bit_depth_chroma_minus8
    reader.unsigned()  # log2_max_pic_order_cnt_lsb_minus4
    for _ in range(1 + sub_layers if reader.flag() else 1):
        for _ in range(3):
            reader.unsigned()
    block = 1 << min(3 + reader.unsigned() + reader.unsigned(), 6)
    blocks = -(-format.width // block) * -(-format.height // block)
    dependent = set()
    for unit in pictures:
        reader = BitReader(unescape(unit), _HEADER_BITS)
        reader.unsigned()
        reader.unsigned()
        dependent.add(reader.flag())
    (only,) = dependent
    return SliceAddresses((blocks - 1).bit_length(), only)


def decoding_bits(unit: bytes) -> str:
    """The bits of a NAL unit of type 33 up to its usability information, on which the decoded pictures do not depend.

    Raises:
        ValueError: it is damaged, or has scaling lists of its own.
    """
    data = unescape(unit)
    reader = BitReader(data, _HEADER_BITS)
    _, sub_layers = _read_format(reader)
    reader.unsigned()  # bit_depth_chroma_minus8
    order_bits = 4 + reader.unsigned()
    for _ in range(1 + sub_layers if reader.flag() else 1):
        for _ in range(3):
            reader.unsigned()
    for _ in range(6):
        reader.unsigned()
    if reader.flag() and reader.flag():
        raise ValueError("it has scaling lists")
    reader.bits(2)
    if reader.flag():  # pcm_enabled_flag
        reader.bits(8)
        reader.unsigned()
        reader.unsigned()
        reader.flag()
    _skip_reference_sets(reader)
    if reader.flag():  # long_term_ref_pics_present_flag
        for _ in range(reader.unsigned()):
            reader.bits(order_bits + 1)
    reader.bits(2)
    return f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"[: reader.position]


def _skip_reference_sets(reader: BitReader) -> None:
    """Skip `st_ref_pic_set` (7.3.7)."""
    deltas = 0
    for number in range(reader.unsigned()):
        if number and reader.flag():
            reader.flag()
            reader.unsigned()
            deltas = sum(reader.flag() or reader.flag() for _ in range(deltas + 1))
            continue
        deltas = reader.unsigned() + reader.unsigned()
        for _ in range(deltas):
            reader.unsigned()
            reader.flag()


def _read_format(reader: BitReader) -> tuple[SequenceFormat, int]:
    """Read up to the bit depth. Also returns the number of sub-layers besides the first."""
    sub_layers = BitReader(reader.data, reader.position + 4).bits(3)
    _skip_profiles(reader)
    reader.unsigned()  # its id
    chroma_format = reader.unsigned()
    if chroma_format == 3:
        reader.flag()
    width, height = reader.unsigned(), reader.unsigned()
    if reader.flag():
        for _ in range(4):
            reader.unsigned()
    return SequenceFormat(chroma_format, width, height, 8 + reader.unsigned()), sub_layers
