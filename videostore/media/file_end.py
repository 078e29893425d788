"""Whether a video file goes on to where it says that it ends. Blocking.

A copy that was interrupted, a full disk or a power cut leave the beginning of a file, which plays without an error.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_TS_PACKETS = (188, 192, 204)
_TS_LOOK = 5
_WITHOUT_END = (b"moof", b"prft", b"styp", b"sidx", b"emsg")
"""Boxes after which `mdat` has to follow."""
_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_LOOK_BYTES = 1 << 16
_MOST_ELEMENTS = 5_000_000
"""A day of video whose writer was killed has fewer."""
_FLV_TAGS = (8, 9, 18)
_TAIL_BYTES = 1 << 16


def is_cut_off(path: Path) -> bool:
    """Whether a file is shorter than it says itself. False as well if its format does not say how long it is.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        begin, size = file.read(_TS_LOOK * max(_TS_PACKETS)), os.fstat(file.fileno()).st_size
        try:
            for recognizes, is_cut in _FORMATS:
                if recognizes(begin):
                    return is_cut(file, size)
        except (struct.error, IndexError):  # it ends inside a header
            return True
    return False


def _cut_mp4(file: BinaryIO, size: int) -> bool:
    at, last = 0, b""
    while size - at >= 8:
        file.seek(at)
        length, last = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if length == 0:  # to the end of the file
            return False
        if length < 8 or not last.isalnum():  # something else follows the video
            return False
        at += length
    return at > size or last in _WITHOUT_END


def _cut_matroska(file: BinaryIO, size: int) -> bool:
    """A recorder that was killed leaves the size of the segment unknown; then the last element tells."""
    at = 0
    for _ in range(_MOST_ELEMENTS):
        if at >= size:
            break
        file.seek(at)
        identity, id_bytes = _ebml_number(file, keep_mark=True)
        length, length_bytes = _ebml_number(file)
        at += id_bytes + length_bytes
        if length == (1 << 7 * length_bytes) - 1:  # unknown
            if identity in (_SEGMENT, _CLUSTER):
                continue
            return False
        at += length
        if identity == _SEGMENT:
            return at > size
    return at > size


def _ebml_number(file: BinaryIO, *, keep_mark: bool = False) -> tuple[int, int]:
    first = file.read(1)[0]
    length = 9 - first.bit_length()
    value = first if keep_mark else first & ((1 << (8 - length)) - 1) if length <= 8 else 0
    rest = file.read(length - 1)
    if len(rest) < length - 1:
        raise IndexError
    return int.from_bytes(bytes([value]) + rest, "big"), length


def _cut_riff(file: BinaryIO, size: int) -> bool:
    at = 0
    while size - at >= 8:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if length == 0 or kind != b"RIFF":  # never finished, which need not mean that anything is missing
            return False
        at += 8 + length + length % 2
    return at - 1 > size  # some writers leave the last padding out


def _cut_asf(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    header = file.read(_ASF_LOOK_BYTES)
    at = header.find(_ASF_FILE)
    if at < 0:
        return False
    (stated,) = struct.unpack_from("<Q", header, at + 40)
    (flags,) = struct.unpack_from("<I", header, at + 88)
    return not flags & 1 and bool(stated > size)  # bit 0: a broadcast


def _cut_flv(file: BinaryIO, size: int) -> bool:
    """Each tag is followed by its length."""
    file.seek(max(0, size - 4))
    (length,) = struct.unpack(">I", file.read(4))
    if length == 0:  # the beginning of the file
        return size > 13
    if length + 4 > size:
        return True
    file.seek(size - 4 - length)
    head = file.read(4)
    return head[0] not in _FLV_TAGS or int.from_bytes(head[1:], "big") != length - 11


def _cut_jpeg(file: BinaryIO, size: int) -> bool:
    """One picture, or several one after the other: the last one has no end. Padding may follow."""
    tail = _tail(file, size)
    return tail.rfind(b"\xff\xd9") <= tail.rfind(b"\xff\xd8")


def _cut_gif(file: BinaryIO, size: int) -> bool:
    return not _tail(file, size).rstrip(b"\0").endswith(b"\0;")


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - _TAIL_BYTES))
    return file.read()


def _cut_ts(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    packet = _ts_packet(file.read(_TS_LOOK * max(_TS_PACKETS)))
    return bool(packet) and size % packet != 0


def _ts_packet(begin: bytes) -> int:
    """The length of a transport stream's packets; 0 if it is none."""
    for length in _TS_PACKETS:
        first = 4 if length == 192 else 0
        marks = begin[first::length][: len(begin) // length]
        if len(marks) > 1 and set(marks) == {0x47}:
            return length
    return 0


_FORMATS: tuple[tuple[Callable[[bytes], object], Callable[[BinaryIO, int], bool]], ...] = (
    (lambda begin: begin[4:8] in (b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip"), _cut_mp4),
    (lambda begin: begin[:4] == _EBML.to_bytes(4, "big"), _cut_matroska),
    (lambda begin: begin[:4] == b"RIFF", _cut_riff),
    (lambda begin: begin[:16] == _ASF_HEADER, _cut_asf),
    (lambda begin: begin[:3] == b"FLV", _cut_flv),
    (lambda begin: begin[:3] == b"\xff\xd8\xff", _cut_jpeg),
    (lambda begin: begin[:4] == b"GIF8", _cut_gif),
    (_ts_packet, _cut_ts),
)
"""How a format is recognized, and how its end is checked."""
