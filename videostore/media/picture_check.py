"""Finds coded pictures that did not come whole, by the headers of their slices. Nothing is decoded.

A loss within a slice is not seen here: only the transport knows it.
"""

from __future__ import annotations

from collections.abc import Iterator

from videostore.media.bits import unescape
from videostore.media.damage_mark import is_slice
from videostore.media.h264_sets import SequenceSet, read_sequence_set
from videostore.media.hevc_sets import SliceAddresses, read_slice_addresses

_START = b"\0\0\1"
_HEAD_BYTES = 16
"""Of a slice: its header as far as it is read."""
_TRUSTED_AFTER = 15
"""So many pictures in a row must keep a rule before one that breaks it counts: some cameras never keep it."""
_MOST_SLICES = 256
INCOMPLETE, MISSING = "picture-incomplete", "frame-missing"


class PictureCheck:
    """Checks the frames of one stream, in the order of decoding."""

    def __init__(self, codec: str, sets: bytes) -> None:
        """`sets` are the parameter sets in Annex B."""
        self._codec = codec
        self._sequence: SequenceSet | None = None
        self._addresses: SliceAddresses | None = None
        units = _units(sets)
        try:
            if codec == "h264":
                (unit,) = {one for one in units if one[0] & 0x1F == 7}
                self._sequence = read_sequence_set(unit)
            else:
                (unit,) = {one for one in units if one[0] >> 1 == 33}
                self._addresses = read_slice_addresses(unit, [one for one in units if one[0] >> 1 == 34])
        except ValueError:  # there are several, or one that cannot be read: fewer rules are known
            pass
        self._reference: int | None = None
        """`frame_num` of the last reference."""
        self._counted = 0
        """How many pictures in a row were numbered as the last one said."""
        self._divided = True
        """Whether keyframes have more than one slice. Otherwise nothing behind the first is looked for."""
        self._slices: dict[bool, tuple[frozenset[int], int]] = {}
        """Where the slices of keyframes, and of other frames, began last, and in how many pictures in a row."""

    def fault(self, frame: bytes, *, keyframe: bool) -> str:
        """What is wrong with a frame in Annex B, as a damage reason; empty if nothing is to be seen."""
        try:
            return self._h264(frame, keyframe) if self._codec == "h264" else self._hevc(frame, keyframe)
        except ValueError:  # its header ends before it should
            return INCOMPLETE

    def _h264(self, frame: bytes, keyframe: bool) -> str:
        sequence = self._sequence
        firsts, numbers = set(), set()
        reference = fresh = False
        for head, kind in _slices("h264", frame, _MOST_SLICES if keyframe or self._divided else 1):
            content = unescape(head[1:])
            number, left = int.from_bytes(content, "big"), 8 * len(content)
            first, number, left = _unsigned(number, left)
            firsts.add(first)
            if sequence is not None and sequence.progressive:
                for _ in ("slice_type", "pic_parameter_set_id"):
                    _, number, left = _unsigned(number, left)
                if left < sequence.frame_number_bits:
                    raise ValueError("it ends within its number")
                numbers.add(number >> (left - sequence.frame_number_bits))
            reference |= bool(head[0] & 0x60)
            fresh |= kind == 5
        if not firsts:
            return ""
        fault = INCOMPLETE if 0 not in firsts or len(numbers) > 1 else self._fault_of_slices(firsts, keyframe)
        if numbers and sequence is not None and sequence.numbered:
            missing = self._misses_one(min(numbers), 1 << sequence.frame_number_bits, reference, fresh)
            fault = fault or (MISSING if missing else "")
        return fault

    def _misses_one(self, number: int, count: int, reference: bool, fresh: bool) -> bool:
        """Whether a reference must have come between this frame and those before it (7.4.3)."""
        expected = None if self._reference is None or fresh else (self._reference + 1) % count
        missing = expected is not None and number != expected
        trusted = self._counted >= _TRUSTED_AFTER
        self._counted = 0 if missing else self._counted + 1
        self._reference = number if reference else (number - 1) % count
        return missing and trusted

    def _hevc(self, frame: bytes, keyframe: bool) -> str:
        addresses, firsts = self._addresses, set()
        begins: bool | None = None
        for head, kind in _slices("hevc", frame, _MOST_SLICES if keyframe or self._divided else 1):
            first = len(head) > 2 and bool(head[2] & 0x80)
            begins = first if begins is None else begins
            if first:
                firsts.add(0)
            elif addresses is not None:
                firsts.add(addresses.read(head, kind))
        if begins is None:
            return ""
        return self._fault_of_slices(firsts, keyframe) if begins else INCOMPLETE

    def _fault_of_slices(self, firsts: set[int], keyframe: bool) -> str:
        """Whether slices are missing that all pictures before had."""
        if keyframe:
            self._divided = len(firsts) > 1
        usual, times = self._slices.get(keyframe, (frozenset(), 0))
        if firsts == usual:
            self._slices[keyframe] = usual, times + 1
            return ""
        needed = 3 if keyframe else _TRUSTED_AFTER  # keyframes are rare
        if firsts < usual and times >= needed:
            self._slices[keyframe] = usual, times - 1  # an encoder that has changed is believed after a while
            return INCOMPLETE
        self._slices[keyframe] = frozenset(firsts), 0
        return ""


def _slices(codec: str, frame: bytes, most: int) -> Iterator[tuple[bytes, int]]:
    """The beginnings of the first slices of a frame, and their types."""
    at, left = frame.find(_START), most
    while at >= 0 and left:
        begin = at + len(_START)
        head = frame[begin : begin + _HEAD_BYTES]
        if head and is_slice(codec, head[0]):
            left -= 1
            yield head, head[0] & 0x1F if codec == "h264" else head[0] >> 1 & 0x3F
        at = frame.find(_START, begin) if left else -1


def _units(data: bytes) -> list[bytes]:
    """The units of Annex B that are not empty."""
    return [unit for unit in data.split(_START) if unit.strip(b"\0")]


def _unsigned(number: int, left: int) -> tuple[int, int, int]:
    """The Exp-Golomb code with which `left` bits begin, the bits behind it, and how many these are."""
    zeros = left - number.bit_length()
    left -= 2 * zeros + 1
    if left < 0:
        raise ValueError("it ends within a code")
    return (number >> left) - 1, number & ((1 << left) - 1), left
