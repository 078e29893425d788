"""Reads the header of a JPEG and checks that its image data and its end are there, without decoding."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from videostore.media.bad_picture import BadPictureError
from videostore.media.exif import UPRIGHT, read_orientation

START = b"\xff\xd8"
_MARKER = re.compile(rb"\xff([^\xff\x00\x01\xd0-\xd7])", re.DOTALL)
"""Fill bytes of 0xFF may come before a marker. Inside image data, 0xFF is followed by 0, or is a restart marker. The
first byte is plain, so that it is looked for as fast as memory is read."""
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
_APP1 = 0xE1
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE = frozenset({0xC0, 0xC1}), 0xC2
_SEGMENTS = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE})
_QUANTISATION = 0xDB
_LOSSLESS = 0xC3
_SAMPLE_BITS = 8
_EXIF = b"Exif\0\0"
_COEFFICIENTS = 64


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What the bytes of a JPEG say."""

    width: int
    """Of the coded rows, as the frame header has it, whatever EXIF says."""
    height: int
    orientation: int
    """EXIF's, 1 to 8; 1 is upright."""
    start: int
    """Where the image starts: a second start marker before it is left out."""
    end: int
    """Where it ends; what follows is padding, or another image."""


@dataclass(slots=True)
class _Content:
    """What has been seen so far."""

    kind: int = 0
    size: tuple[int, int] = (0, 0)
    orientation: int = UPRIGHT
    missing: dict[int, set[int]] = field(default_factory=dict)
    """For each component, the coefficients of which some bits have not come yet."""
    scans: int = 0
    sample_bits: int = _SAMPLE_BITS
    tables: set[int] = field(default_factory=set)
    """The quantisation tables that it brings."""
    tables_used: set[int] = field(default_factory=set)

    def read_frame(self, kind: int, segment: bytes) -> None:
        if self.kind or len(segment) < 6:
            return
        self.kind = kind
        self.size = int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[1:3], "big")
        self.sample_bits = segment[0]
        self.tables_used = set(segment[8 : 6 + 3 * segment[5] : 3])
        self.missing = {component: set(range(_COEFFICIENTS)) for component in segment[6 : 6 + 3 * segment[5] : 3]}

    def read_scan(self, segment: bytes) -> None:
        self.scans += 1
        count = segment[0] if segment else 0
        tail = segment[1 + 2 * count : 4 + 2 * count]
        if len(tail) < 3:
            return
        first, last, bits_left = tail[0], tail[1], tail[2] & 0xF
        for component in segment[1 : 1 + 2 * count : 2]:
            if self.kind != _PROGRESSIVE:
                self.missing.pop(component, None)
            elif component in self.missing and not bits_left:
                self.missing[component].difference_update(range(first, last + 1))

    def read_tables(self, segment: bytes) -> None:
        at = 0
        while at < len(segment):
            self.tables.add(segment[at] & 0xF)
            at += 1 + _COEFFICIENTS * (2 if segment[at] >> 4 else 1)

    @property
    def has_tables(self) -> bool:
        """Whether it brings the tables that it uses. Decoders that lack them take those of another image, or none."""
        return self.kind == _LOSSLESS or self.tables_used <= self.tables

    @property
    def has_usual_samples(self) -> bool:
        """Whether decoders take it as it is meant: ffmpeg's takes 12 bits a sample for 8."""
        return self.kind == _LOSSLESS or self.sample_bits == _SAMPLE_BITS

    @property
    def complete(self) -> bool:
        """Whether there is image data for all that the frame header announces."""
        if self.kind in _SEQUENTIAL or self.kind == _PROGRESSIVE:
            return self.scans > 0 and not any(self.missing.values())
        return self.scans > 0


def read_jpeg(data: bytes) -> JpegHeader:
    """Walk the markers of a JPEG. An end inside a thumbnail, or in another segment, is not the end.

    What decoders pass over is passed over: fill bytes, a start marker twice, stray bytes between segments and before a
    restart marker or the end. Whether the image data itself is damaged is known to a decoder only.

    Raises:
        BadPictureError: it has no end, no size, or not all of its image data.
    """
    content = _Content()
    start, at = 0, len(START)
    scan: bytes | None = None
    while (found := _MARKER.search(data, at)) is not None:
        if scan is not None and data[at : found.start()].strip(b"\xff"):
            content.read_scan(scan)
        scan, marker, at = None, found[1][0], found.end()
        if marker == _END_OF_IMAGE:
            return _header(content, start, at, len(data))
        if marker == _START_OF_IMAGE:
            if content.scans:
                break  # the next image starts, before this one has ended
            start = at - len(START) if not content.kind else start
        elif marker in _SEGMENTS:
            end = at + int.from_bytes(data[at : at + 2], "big")
            if end < at + 2 or end > len(data):
                if content.scans:  # stray bytes that look like a marker
                    continue
                break
            segment = data[at + 2 : end]
            at = end
            if marker == _QUANTISATION:
                content.read_tables(segment)
            elif marker in _FRAME_HEADERS:
                content.read_frame(marker, segment)
            elif marker == _APP1 and segment.startswith(_EXIF) and content.orientation == UPRIGHT:
                content.orientation = read_orientation(segment[len(_EXIF) :])
            elif marker == _START_OF_SCAN:
                scan = segment  # it counts if image data follows
    raise BadPictureError(f"a JPEG of {len(data)} bytes without an end")


def _header(content: _Content, start: int, end: int, length: int) -> JpegHeader:
    if not content.scans:
        raise BadPictureError(f"a JPEG of {length} bytes without image data")
    if not content.complete:
        raise BadPictureError(f"a JPEG of {length} bytes without all of its image data")
    if not content.has_tables:
        raise BadPictureError(f"a JPEG of {length} bytes without its quantisation tables")
    if not content.has_usual_samples:
        raise BadPictureError(f"a JPEG of {length} bytes with {content.sample_bits} bits a sample")
    return JpegHeader(*content.size, content.orientation, start, end)
