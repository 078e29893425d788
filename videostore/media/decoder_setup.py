"""What a decoder needs before the first frame of an MP4: its sample description, and the parameter sets in it.

Of H.264 and H.265 this is `avcC` and `hvcC` (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1). A file may hold several sets with
different ids, so that video of several encoders is decoded without a seam.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from videostore.base.constants import MIB
from videostore.media.boxes import VISUAL_ENTRY_BYTES
from videostore.media.fragmented_file import CODECS

_CONFIGS = {"h264": b"avcC", "hevc": b"hvcC"}
_MAX_MOOV_BYTES = 64 * MIB
"""Far more than that of an hour."""
_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_AVC_KINDS, _HEVC_KINDS = (7, 8), (32, 33, 34)
_MAX_SETS = 31
_DAMAGE = (struct.error, IndexError, ValueError)


class NoSetupError(ValueError):
    """The file has no video that can be read, or its sample description is damaged."""


@dataclass(frozen=True, slots=True)
class DecoderSetup:
    """The decoder's configuration of one file."""

    codec: str
    """ffmpeg's name: `h264`, `hevc` …"""
    timescale: int
    """Units of the track's times in a second."""
    config: bytes
    """Content of `avcC` or `hvcC`; for other codecs all boxes of the sample entry."""
    description: str = ""
    """The `description` tag of the file."""

    @property
    def sets(self) -> tuple[bytes, ...]:
        """The parameter sets as NAL units, sorted; none of other codecs.

        Raises:
            NoSetupError: they are damaged.
        """
        try:
            return tuple(sorted(unit for _, unit in _sets(self.codec, self.config)))
        except _DAMAGE as error:
            raise NoSetupError("its parameter sets are damaged") from error

    def of_kind(self, kind: int) -> list[bytes]:
        """The parameter sets with this type of NAL unit."""
        return [unit for one, unit in _sets(self.codec, self.config) if one == kind]


def read_setup(path: Path) -> DecoderSetup:
    """Read the setup of the first video track of an MP4. Blocking.

    Raises:
        NoSetupError: there is none.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            moov, _ = find_moov(file)
            trak = _video_track(moov)
            mdhd = _content(moov, _descend(moov, trak, (b"mdia", b"mdhd")))
            entry = _sample_entry(moov, trak)
            codec = CODECS.get(moov[entry + 4 : entry + 8], "")
            config = moov[entry + VISUAL_ENTRY_BYTES : entry + _size(moov, entry)]
            if codec in _CONFIGS:
                config = _content(config, _child(config, 0, len(config), _CONFIGS[codec]))
            timescale = struct.unpack_from(">I", mdhd, 20 if mdhd[0] else 12)[0]
            return DecoderSetup(codec, timescale, config, _description(moov))
        except _DAMAGE as error:
            raise NoSetupError(f"{path.name} has no sample description that can be read") from error


def join_setups(setup: DecoderSetup, other: DecoderSetup) -> DecoderSetup:
    """The setup with the parameter sets of both, its own first.

    Raises:
        NoSetupError: one of them is damaged, or there are too many sets.
    """
    try:
        own = _sets(setup.codec, setup.config)
        units = own + [one for one in _sets(other.codec, other.config) if one not in own]
    except _DAMAGE as error:
        raise NoSetupError("its parameter sets are damaged") from error
    return with_sets(setup, units)


def with_sets(setup: DecoderSetup, units: Sequence[tuple[int, bytes]]) -> DecoderSetup:
    """The setup with other parameter sets: the type of each as a NAL unit, and its bytes.

    Raises:
        NoSetupError: the config is damaged, or there are too many sets.
    """
    try:
        build = _avc_config if setup.codec == "h264" else _hevc_config
        return replace(setup, config=build(setup.config, units))
    except _DAMAGE as error:
        raise NoSetupError("its parameter sets are damaged") from error


def replace_config(path: Path, config: bytes) -> None:
    """Put another config into the sample description of an MP4 whose `moov` is its last box. Blocking.

    No frame moves, so that the tables of their places remain true.

    Raises:
        NoSetupError: the file is not like that.
        OSError: the file cannot be read or written.
    """
    with path.open("r+b") as file:
        try:
            found, begin = find_moov(file)
            moov = bytearray(found)
            trak = _video_track(found)
            entry = _sample_entry(found, trak)
            box = _CONFIGS[CODECS[found[entry + 4 : entry + 8]]]
            at = _child(found, entry + VISUAL_ENTRY_BYTES, entry + _size(found, entry), box)
            if file.seek(0, 2) != begin + len(moov):
                raise ValueError("something follows the moov box")
        except (*_DAMAGE, KeyError) as error:
            raise NoSetupError(f"{path.name} has no sample description that can be changed") from error
        grown = 8 + len(config) - _size(found, at)
        moov[at : at + _size(found, at)] = struct.pack(">I4s", 8 + len(config), box) + config
        holders = [0, trak, entry]
        holders += [_descend(found, trak, _PATH[2:last]) for last in range(3, len(_PATH) + 1)]
        for holder in holders:
            struct.pack_into(">I", moov, holder, _size(found, holder) + grown)
        file.seek(begin)
        file.write(moov)
        file.truncate()


def find_moov(file: BinaryIO) -> tuple[bytes, int]:
    """The `moov` box of an MP4 with its header, and its position, wherever it is. Blocking.

    Raises:
        ValueError, or another error of `boxes.DAMAGE`: there is none that can be read.
    """
    begin = 0
    while True:
        file.seek(begin)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        if size < 8:
            raise ValueError("it has a box without a size")
        if kind == b"moov":
            if size > _MAX_MOOV_BYTES:
                raise ValueError("its moov box is too large")
            file.seek(begin)
            return file.read(size), begin
        begin += size


def _video_track(moov: bytes) -> int:
    at, end = 8, len(moov)
    while True:
        at = _child(moov, at, end, b"trak")
        hdlr = _content(moov, _descend(moov, at, (b"mdia", b"hdlr")))
        if hdlr[8:12] == b"vide":
            return at
        at += _size(moov, at)


def _sample_entry(moov: bytes, trak: int) -> int:
    """Position of the first sample entry."""
    return _descend(moov, trak, _PATH[2:]) + 16


def _description(moov: bytes) -> str:
    try:
        meta = _descend(moov, 0, (b"udta", b"meta"))
        ilst = _child(moov, meta + 12, meta + _size(moov, meta), b"ilst")
        return _content(moov, _descend(moov, ilst, (b"desc", b"data")))[8:].decode(errors="replace")
    except _DAMAGE:
        return ""


def _descend(data: bytes, at: int, path: tuple[bytes, ...]) -> int:
    for kind in path:
        at = _child(data, at + 8, at + _size(data, at), kind)
    return at


def _child(data: bytes, begin: int, end: int, kind: bytes) -> int:
    """Position of the first box of this kind."""
    while begin + 8 <= min(end, len(data)):
        if data[begin + 4 : begin + 8] == kind:
            return begin
        begin += _size(data, begin)
    raise ValueError(f"it has no {kind.decode('latin-1')} box")


def _size(data: bytes, at: int) -> int:
    size: int = struct.unpack_from(">I", data, at)[0]
    if size < 8:
        raise ValueError("it has a box without a size")
    return size


def _content(data: bytes, at: int) -> bytes:
    return data[at + 8 : at + _size(data, at)]


def _sets(codec: str, config: bytes) -> list[tuple[int, bytes]]:
    """Type and content of each parameter set."""
    if codec == "h264":
        units, at = _units(config, 6, config[5] & 0x1F)
        more, _ = _units(config, at + 1, config[at])
        return [(unit[0] & 0x1F, unit) for unit in units + more]
    found: list[tuple[int, bytes]] = []
    if codec == "hevc":
        at = 23
        for _ in range(config[22]):
            kind = config[at] & 0x3F
            units, at = _units(config, at + 3, int.from_bytes(config[at + 1 : at + 3], "big"))
            found += [(kind, unit) for unit in units if kind in _HEVC_KINDS]
    return found


def _units(config: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    units = []
    for _ in range(count):
        (size,) = struct.unpack_from(">H", config, at)
        unit = config[at + 2 : at + 2 + size]
        if size == 0 or len(unit) != size:
            raise ValueError("it ends within a parameter set")
        units.append(unit)
        at += 2 + size
    return units, at


def _pack(units: list[bytes]) -> bytes:
    if len(units) > _MAX_SETS:
        raise ValueError("it has too many parameter sets")
    return b"".join(struct.pack(">H", len(unit)) + unit for unit in units)


def _avc_config(config: bytes, units: Sequence[tuple[int, bytes]]) -> bytes:
    sequence, picture = ([unit for kind, unit in units if kind == wanted] for wanted in _AVC_KINDS)
    _, at = _units(config, 6, config[5] & 0x1F)
    _, at = _units(config, at + 1, config[at])
    start = config[:5] + bytes([0xE0 | len(sequence)])
    return start + _pack(sequence) + bytes([len(picture)]) + _pack(picture) + config[at:]


def _hevc_config(config: bytes, units: Sequence[tuple[int, bytes]]) -> bytes:
    arrays = [config[:22], bytes([len(_HEVC_KINDS)])]
    for kind in _HEVC_KINDS:
        same = [unit for one, unit in units if one == kind]
        arrays += [struct.pack(">BH", 0x80 | kind, len(same)), _pack(same)]
    return b"".join(arrays)
