"""Intact stretches: what can be read of a damaged segment, as files from which clips are cut. All of it blocks."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from videostore.base.constants import US_PER_SECOND
from videostore.clips.compact_list import CompactList
from videostore.clips.plan import BrokenSegment, Plan
from videostore.media.boxes import DAMAGE, Box, read_body, read_box, track_leaves, track_positions
from videostore.media.foreign_frames import copy_foreign
from videostore.media.libav import av
from videostore.media.media_header import timescale_of
from videostore.media.segment import Segment, Stretch
from videostore.media.sound_track import number_of_track

_BLOCK_BYTES = 1 << 20


def divide_broken(plan: Plan, work: Path) -> CompactList[tuple[Segment, Path]]:
    """The segments of a plan, the broken ones replaced by copies of their intact stretches in `work`. Blocking.

    Raises:
        OSError: a segment cannot be read, or a copy cannot be written.
    """
    broken = {one.path: one for one in plan.broken}
    found = CompactList[tuple[Segment, Path]]()
    for segment, path in plan.found:
        if path in broken:
            found.extend(_copies(broken[path], plan, work))
        else:
            found.append((segment, path))
    return found


def _copies(broken: BrokenSegment, plan: Plan, work: Path) -> list[tuple[Segment, Path]]:
    copies = []
    last = len(broken.stretches) - 1
    for number, stretch in enumerate(broken.stretches):
        segment = replace(
            broken.segment,
            start_us=stretch.start_us,
            end_us=stretch.end_us,
            lost_before=number > 0 or _starts_later(broken, stretch),
            lost_after=number < last or _ends_earlier(broken, stretch),
        )
        copy = work / f"stretch-{number}-{broken.path.name}"
        if stretch.start_us < plan.asked.to_us and stretch.end_us > plan.asked.from_us:
            _copy_stretch(broken, stretch, copy)
            segment = replace(segment, size_bytes=copy.stat().st_size)
        else:
            copy = broken.path  # only where it begins and ends is of interest
        copies.append((segment, copy))
    return copies


def _starts_later(broken: BrokenSegment, stretch: Stretch) -> bool:
    if stretch.place is None:
        return stretch.start_us > broken.segment.start_us
    return stretch.place[0] != broken.header_bytes


def _ends_earlier(broken: BrokenSegment, stretch: Stretch) -> bool:
    if stretch.place is None:
        return stretch.end_us < broken.segment.end_us
    return broken.end_lost or stretch.place[1] != broken.end_byte


def _copy_stretch(broken: BrokenSegment, stretch: Stretch, target: Path) -> None:
    """Copy the header and some fragments of a segment, so that the first of them starts at 0 as in any segment."""
    if stretch.place is None:
        _copy_of_foreign(broken, stretch, target)
        return
    begin, end = stretch.place
    with broken.path.open("rb") as reader, target.open("w+b") as writer:
        _copy(reader, writer, 0, broken.header_bytes)
        _copy(reader, writer, begin, end)
        _start_at_zero(writer, broken.header_bytes)


def _copy_of_foreign(broken: BrokenSegment, stretch: Stretch, target: Path) -> None:
    segment = broken.segment
    end_us = None if stretch.end_us == segment.end_us else stretch.end_us - segment.start_us
    try:
        copy_foreign(broken.path, target, stretch.start_us - segment.start_us, end_us)
    except av.error.FFmpegError as error:
        raise OSError(f"{broken.path.name} cannot be copied: {error}") from error


def _copy(reader: BinaryIO, writer: BinaryIO, begin: int, end: int) -> None:
    reader.seek(begin)
    while begin < end and (block := reader.read(min(end - begin, _BLOCK_BYTES))):
        writer.write(block)
        begin += len(block)


def _start_at_zero(file: BinaryIO, begin: int) -> None:
    """Subtract the first fragment's time in the file (`tfdt`) from that of each, and of the sound as much."""
    file_bytes = file.seek(0, 2)
    scales = _timescales(file, file_bytes)
    first: Fraction | None = None
    while (box := read_box(file, begin, file_bytes)) is not None:
        begin = box.end
        if box.kind != b"moof":
            continue
        for at, form, scale, is_first in _times(file, box, scales):
            file.seek(at)
            (time,) = struct.unpack(form, file.read(struct.calcsize(form)))
            if first is None:
                if not is_first:
                    continue
                first = Fraction(time, scale)
            file.seek(at)
            file.write(struct.pack(form, max(time - round(first * scale), 0)))


def _timescales(file: BinaryIO, file_bytes: int) -> dict[int, int]:
    """Units of time in a second, by the numbers of the tracks, of which the first one is the video."""
    at = 0
    while (box := read_box(file, at, file_bytes)) is not None:
        at = box.end
        if box.kind == b"moov":
            with contextlib.suppress(*DAMAGE):
                tracks = track_leaves(read_body(file, box))
                return {number_of_track(one[b"tkhd"]): timescale_of(one[b"mdhd"]) for one in tracks}
    return {}


def _times(file: BinaryIO, moof: Box, scales: Mapping[int, int]) -> Iterator[tuple[int, str, int, bool]]:
    """Where the times in the file of a fragment are, their form and unit, and which is that of the video."""
    with contextlib.suppress(*DAMAGE):
        for one in track_positions(read_body(file, moof)):
            (number,) = struct.unpack_from(">I", one[b"tfhd"][1], 4)
            at, body = one[b"tfdt"]
            if len(scales) < 2 or number in scales:
                video, scale = next(iter(scales.items()), (number, US_PER_SECOND))
                is_first = len(scales) < 2 or number == video
                yield moof.body + at + 4, ">Q" if body[0] else ">I", scales.get(number, scale), is_first
