"""Intact stretches: what can be read of a damaged segment, as files from which clips are cut. All of it blocks."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from videostore.clips.plan import BrokenSegment, Plan
from videostore.media.boxes import DAMAGE, Box, leaf_positions, read_box
from videostore.media.segment import Segment, Stretch

_BLOCK_BYTES = 1 << 20


def divide_broken(plan: Plan, work: Path) -> list[tuple[Segment, Path]]:
    """The segments of a plan, the broken ones replaced by copies of their intact stretches in `work`. Blocking.

    Raises:
        OSError: a segment cannot be read, or a copy cannot be written.
    """
    broken = {one.path: one for one in plan.broken}
    found: list[tuple[Segment, Path]] = []
    for segment, path in plan.found:
        if path in broken:
            found += _copies(broken[path], plan, work)
        else:
            found.append((segment, path))
    return found


def _copies(broken: BrokenSegment, plan: Plan, work: Path) -> list[tuple[Segment, Path]]:
    copies = []
    last = len(broken.stretches) - 1
    at = broken.header_bytes
    for number, stretch in enumerate(broken.stretches):
        segment = replace(
            broken.segment,
            start_us=stretch.start_us,
            end_us=stretch.end_us,
            size_bytes=broken.header_bytes + stretch.end_byte - stretch.begin_byte,
            lost_before=stretch.begin_byte != at,
            lost_after=number < last or broken.end_lost,
        )
        at = stretch.end_byte
        copy = work / f"stretch-{number}-{broken.path.name}"
        if stretch.start_us < plan.asked.to_us and stretch.end_us > plan.asked.from_us:
            _copy_stretch(broken, stretch, copy)
        else:
            copy = broken.path  # only where it begins and ends is of interest
        copies.append((segment, copy))
    return copies


def _copy_stretch(broken: BrokenSegment, stretch: Stretch, target: Path) -> None:
    """Copy the header and some fragments of a segment, so that the first of them starts at 0 as in any segment."""
    with broken.path.open("rb") as reader, target.open("w+b") as writer:
        _copy(reader, writer, 0, broken.header_bytes)
        _copy(reader, writer, stretch.begin_byte, stretch.end_byte)
        _start_at_zero(writer, broken.header_bytes)


def _copy(reader: BinaryIO, writer: BinaryIO, begin: int, end: int) -> None:
    reader.seek(begin)
    while begin < end and (block := reader.read(min(end - begin, _BLOCK_BYTES))):
        writer.write(block)
        begin += len(block)


def _start_at_zero(file: BinaryIO, begin: int) -> None:
    """Subtract the first fragment's time in the file (`tfdt`) from that of each."""
    file_bytes = file.seek(0, 2)
    first: int | None = None
    while (box := read_box(file, begin, file_bytes)) is not None:
        begin = box.end
        if box.kind != b"moof":
            continue
        place = _tfdt(file, box)
        if place is None:
            return
        at, form = place
        file.seek(at)
        (time,) = struct.unpack(form, file.read(struct.calcsize(form)))
        first = time if first is None else first
        file.seek(at)
        file.write(struct.pack(form, max(time - first, 0)))


def _tfdt(file: BinaryIO, moof: Box) -> tuple[int, str] | None:
    """Where a fragment's time in the file is, and its form."""
    file.seek(moof.body)
    try:
        at, body = leaf_positions(file.read(moof.end - moof.body))[b"tfdt"]
    except DAMAGE:
        return None
    return moof.body + at + 4, ">Q" if body[0] else ">I"
