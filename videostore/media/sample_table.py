"""The sample table of a plain MP4: where its coded frames are, and when each is shown (ISO/IEC 14496-12, 8.5 to 8.7).

libav reads all frames to tell as much, which takes 7 ms for 30 s of video; the table takes 1 ms. It is read only of
files as most programs write them, such as the Go module: with one track of H.264 or H.265, whose frames are decoded
when they are shown. All others, and all that are odd in any way, are left to libav.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from videostore.media.boxes import DAMAGE, VISUAL_ENTRY_BYTES, Box, read_body, read_box
from videostore.media.fragmented_file import CODECS

_TOP = frozenset({b"ftyp", b"free", b"mdat", b"moov", b"skip", b"wide"})
_MOST_TOP = 64
_KNOWN = {
    b"moov": frozenset({b"mvhd", b"trak", b"udta"}),
    b"trak": frozenset({b"tkhd", b"edts", b"mdia"}),
    b"edts": frozenset({b"elst"}),
    b"mdia": frozenset({b"mdhd", b"hdlr", b"minf"}),
    b"minf": frozenset({b"vmhd", b"dinf", b"stbl"}),
    b"dinf": frozenset({b"dref"}),
    b"stbl": frozenset({b"stsd", b"stts", b"stss", b"stsc", b"stsz", b"stco", b"co64"}),
}
"""What may be in each box, once. Any other box may change what the table means."""
_OWN_DATA = struct.pack(">III4sI", 0, 1, 12, b"url ", 1)
"""A `dref` that leads to no other file."""
_CONFIGS = {"h264": b"avcC", "hevc": b"hvcC"}
_ONCE = 1 << 16
"""The rate of an edit list that plays everything as fast as it is."""
_MOST_FRAMES = 1 << 18
"""Those of an hour at 72 frames a second."""
_MOST = 1 << 30
"""Of a number that libav reads without reserve."""


class _UnusualError(Exception):
    """The file is not one of those that are read here."""


@dataclass(frozen=True, slots=True)
class SampleTable:
    """The frames of a file, in their order."""

    codec: str
    """ffmpeg's name: `h264` or `hevc`."""
    config: bytes
    """Content of `avcC` or `hvcC`."""
    timescale: int
    """Units of time in a second."""
    times: tuple[int, ...]
    """When each frame is shown, in these units; the first at 0."""
    places: tuple[tuple[int, int], ...]
    """Where each begins in the file, and its size."""
    keyframes: tuple[int, ...]
    """Numbers of the keyframes, from 0, in order. The first frame is one."""
    header: bytes
    """All else in the header of the file that tells how the frames are to be decoded and shown."""


def read_table(file: BinaryIO, file_bytes: int) -> SampleTable | None:
    """The sample table of a file; None if libav has to read it. Blocking.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        boxes = _boxes_in(b"moov", read_body(file, _header(file, file_bytes)))
        return _table(boxes, file_bytes)
    except (_UnusualError, *DAMAGE):
        return None


def _header(file: BinaryIO, file_bytes: int) -> Box:
    """The `moov` of a file that consists of the usual boxes, from its beginning to its end."""
    found, end = list[Box](), 0
    while end < file_bytes:
        box = read_box(file, end, file_bytes)
        if box is None or box.kind not in _TOP or len(found) >= _MOST_TOP:
            raise _UnusualError
        found.append(box)
        end = box.end
    headers = [one for one in found if one.kind == b"moov"]
    if len(headers) != 1:
        raise _UnusualError
    return headers[0]


def _boxes_in(kind: bytes, data: bytes) -> dict[bytes, bytes]:
    """The content of all boxes in one that hold no others, by their names."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data) or name not in _KNOWN[kind] or name in found:
            raise _UnusualError
        found[name] = data[at + 8 : at + size]
        at += size
    for name in [one for one in found if one in _KNOWN]:
        found |= _boxes_in(name, found.pop(name))
    return found


def _table(boxes: dict[bytes, bytes], file_bytes: int) -> SampleTable:
    movie, track, media = boxes[b"mvhd"], boxes[b"tkhd"], boxes[b"mdhd"]
    if any(one[0] for one in (movie, track, media)):  # times of 64 bits
        raise _UnusualError
    if boxes[b"hdlr"][8:12] != b"vide" or boxes[b"dref"] != _OWN_DATA:
        raise _UnusualError
    (timescale,) = struct.unpack_from(">I", media, 12)
    codec, config, entry = _description(boxes[b"stsd"])
    sizes = _sizes(boxes[b"stsz"])
    times = _times(boxes[b"stts"], len(sizes))
    if not 0 < timescale < _MOST:
        raise _UnusualError
    if (edits := boxes.get(b"elst")) is not None:
        _check_edits(edits, movie, timescale, times[-1])
    begins = _begins(boxes, sizes)
    places = tuple(zip(begins, sizes, strict=True))
    if any(begin + size > file_bytes for begin, size in places):
        raise _UnusualError
    keyframes = _keyframes(boxes.get(b"stss"), len(sizes))
    header = entry + movie[20:] + track[12:20] + track[24:]
    return SampleTable(codec, config, timescale, times, places, keyframes, header)


def _description(stsd: bytes) -> tuple[str, bytes, bytes]:
    """The codec, the decoder's configuration, and the sample entry, which must be the only one."""
    count, size, name = struct.unpack_from(">II4s", stsd, 4)
    codec = CODECS.get(name)
    if count != 1 or size != len(stsd) - 8 or codec not in _CONFIGS:
        raise _UnusualError
    entry, configs, at = stsd[8:], [], VISUAL_ENTRY_BYTES
    while at < len(entry):
        size, name = struct.unpack_from(">I4s", entry, at)
        if size < 8 or at + size > len(entry):
            raise _UnusualError
        if name == _CONFIGS[codec]:
            configs.append(entry[at + 8 : at + size])
        at += size
    if len(configs) != 1:
        raise _UnusualError
    return codec, configs[0], entry


def _entries(body: bytes, layout: str) -> Iterator[tuple[int, ...]]:
    """The entries of a table, which must fill it."""
    (count,) = struct.unpack_from(">I", body, 4)
    if body[:4] != bytes(4) or len(body) != 8 + count * struct.calcsize(layout):
        raise _UnusualError
    return struct.iter_unpack(layout, body[8:])


def _sizes(stsz: bytes) -> tuple[int, ...]:
    same, count = struct.unpack_from(">II", stsz, 4)
    if stsz[:4] != bytes(4) or same or not 0 < count <= _MOST_FRAMES or len(stsz) != 12 + 4 * count:
        raise _UnusualError
    sizes = struct.unpack_from(f">{count}I", stsz, 12)
    if not 0 < min(sizes) <= max(sizes) < _MOST:
        raise _UnusualError
    return sizes


def _times(stts: bytes, count: int) -> tuple[int, ...]:
    lengths = list[int]()
    for frames, length in _entries(stts, ">II"):
        if not 0 < length < _MOST or not 0 < frames <= count - len(lengths):
            raise _UnusualError
        lengths += [length] * frames
    if len(lengths) != count:
        raise _UnusualError
    return tuple(itertools.accumulate(lengths[:-1], initial=0))


def _check_edits(elst: bytes, movie: bytes, timescale: int, last: int) -> None:
    """An edit list must show everything from the beginning on."""
    ((length, begin, rate),) = _entries(elst, ">III")
    (movie_timescale,) = struct.unpack_from(">I", movie, 12)
    shown = (length * timescale + movie_timescale // 2) // movie_timescale
    if begin or rate != _ONCE or shown <= last or length >= _MOST:
        raise _UnusualError


def _begins(boxes: dict[bytes, bytes], sizes: tuple[int, ...]) -> list[int]:
    """Where each frame begins: frames lie in chunks, one behind the other."""
    if (b"stco" in boxes) == (b"co64" in boxes):
        raise _UnusualError
    layout, table = (">I", boxes[b"stco"]) if b"stco" in boxes else (">Q", boxes[b"co64"])
    chunks = [one for (one,) in _entries(table, layout)]
    runs = list(_entries(boxes[b"stsc"], ">III"))
    firsts = [first for first, _, _ in runs]
    if firsts[0] != 1 or firsts != sorted(set(firsts)) or any(one[2] != 1 for one in runs):
        raise _UnusualError
    begins = list[int]()
    for (first, frames, _), following in zip(runs, [*firsts[1:], len(chunks) + 1], strict=True):
        if not 0 < frames < _MOST or not first < following <= len(chunks) + 1:
            raise _UnusualError
        for chunk in chunks[first - 1 : following - 1]:
            if not chunk or len(begins) + frames > len(sizes):
                raise _UnusualError
            inner = sizes[len(begins) : len(begins) + frames - 1]
            begins += itertools.accumulate(inner, initial=chunk)
    if len(begins) != len(sizes):
        raise _UnusualError
    return begins


def _keyframes(stss: bytes | None, count: int) -> tuple[int, ...]:
    if stss is None:  # each is one
        return tuple(range(count))
    numbers = tuple(number - 1 for (number,) in _entries(stss, ">I"))
    if numbers[0] != 0 or numbers[-1] >= count or any(one >= other for one, other in itertools.pairwise(numbers)):
        raise _UnusualError
    return numbers
