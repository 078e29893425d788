"""Checks one segment: whether its file can be read, and whether the index describes it correctly. All of it blocks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from videostore.base.errors import reason_of
from videostore.base.ranges import Range, merge_ranges
from videostore.base.time_format import format_utc_exact
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.media.libav import errors_of_reading
from videostore.media.segment import Segment, UnknownFileError, UnreadableError, frame_times, probe
from videostore.media.segment_names import name_time_us, parse_open_name
from videostore.storage.findings import Finding, Problem
from videostore.storage.segment_files import is_cut_off_after, is_young, read_through

_GO_TOLERANCE_US = 1000
"""The Go module's rows hold whole milliseconds."""


def read_errors() -> tuple[type[Exception], ...]:
    """What reading a segment raises if nothing can be read; `read_finding` turns it into a finding."""
    return (UnreadableError, NotOursError, *errors_of_reading())


@dataclass(frozen=True, slots=True)
class SegmentContent:
    """What a closed segment holds."""

    segment: Segment
    frames: int | None
    """Number of frames that can be read; None if another program wrote the file."""
    loss: Problem | None
    """`CUT_OFF` or `DAMAGED` if there are frames that cannot be read."""
    leading: int = 0
    """How many of them need the segment before: they cannot be decoded without it."""
    damaged: tuple[Range, ...] = ()
    """Where frames are there but damaged, so that clips leave them out."""
    damaged_frames: int | None = None
    """How many these are; None if another program wrote the file."""
    lost: tuple[Range, ...] = ()
    """Where frames are not there, as far as that is known."""
    lost_from_us: int | None = None
    """From where on frames may be missing at its end, if it is not known up to where."""


def read_content(path: Path, row: Segment | None = None) -> SegmentContent:
    """Read a closed segment, its frames as well. Its row in the index may know more of what is lost. Blocking.

    Raises:
        UnknownFileError: it is not a recording.
        UnreadableError, NotOursError, OSError, av.error.FFmpegError: it cannot be read (`read_errors`).
    """
    segment = probe(path)
    damaged = _damaged(segment, path)
    if segment.run_us is None:
        return SegmentContent(segment, None, None, damaged=damaged)
    try:
        content = read_fragments(path)
    except NotOursError as error:
        raise UnreadableError(str(error)) from error
    loss = None
    if content.has_holes or content.end_lost:
        cut_off = not content.has_holes and not content.finished and is_cut_off_after(path, content.size_bytes)
        loss = Problem.CUT_OFF if cut_off else Problem.DAMAGED
    times_us = [time_us for one in content.fragments for time_us in one.times_us]
    in_damage = sum(one.from_us <= time_us < one.to_us for time_us in times_us for one in damaged)
    leading = len(content.leading.shown_us) if content.leading is not None else 0
    lost, from_us = _lost(path, content, row) if loss is not None else ((), None)
    return SegmentContent(segment, len(times_us), loss, leading, damaged, in_damage, lost, from_us)


def _lost(path: Path, content: FragmentedFile, row: Segment | None) -> tuple[tuple[Range, ...], int | None]:
    """Where frames are not there, and from where on if it is not known up to where."""
    stretches = content.stretches
    borders = [(before[-1].end_us, after[0].first_us) for before, after in itertools.pairwise(stretches)]
    if content.start_lost:
        start_us = row.start_us if row is not None else name_time_us(path.name)
        borders.insert(0, (content.start_us if start_us is None else start_us, content.start_us))
    from_us = None
    if content.end_lost or not content.finished:
        ends_us = [row.end_us] if row is not None else []
        if content.header_length_us is not None:
            ends_us.append(content.start_us + content.header_length_us)
        if (end_us := max(ends_us, default=content.end_us)) > content.end_us:
            borders.append((content.end_us, end_us))
        else:
            from_us = content.end_us
    return tuple(Range(*one) for one in borders if one[0] < one[1]), from_us


def _damaged(segment: Segment, path: Path) -> tuple[Range, ...]:
    whole = Range(segment.start_us, segment.end_us)
    try:
        return tuple(merge_ranges(list(frame_times(segment, path, whole).damaged)))
    except UnreadableError:
        return (whole,)


def content_findings(content: SegmentContent) -> list[Finding]:
    """What is wrong in a segment that can be read."""
    name, found = content.segment.file_name, []
    if content.loss is not None:
        behind = f"from {format_utc_exact(content.lost_from_us)} on" if content.lost_from_us is not None else ""
        found.append(Finding(name, content.loss, behind, content.lost))
    if content.damaged:
        found.append(Finding(name, Problem.DAMAGED, "", content.damaged, content.damaged_frames))
    return found


def read_finding(path: Path, error: Exception) -> Finding | None:
    """What it means that reading a file failed with one of `read_errors`; None if the file is gone. Blocking."""
    if isinstance(error, (UnreadableError, NotOursError)):
        try:
            read_through(path)  # libav takes an error of the disk for the end of the file
            problem = Problem.BEING_WRITTEN if is_young(path.lstat()) else Problem.UNREADABLE
            return Finding(path.name, problem, str(error))
        except OSError as temporary:
            error = temporary
    if isinstance(error, FileNotFoundError):
        return None
    return Finding(path.name, Problem.NOT_READ, reason_of(error))


def open_finding(path: Path) -> Finding | None:
    """What is wrong with an open segment that no process writes; None if the file is gone. Blocking."""
    try:
        read_fragments(path)
    except (NotOursError, OSError) as error:
        return read_finding(path, error)
    return Finding(path.name, Problem.NOT_CLOSED)


def is_unreadable(path: Path) -> bool:
    """Whether an open or closed segment cannot be read, and no process can still be writing it. Blocking."""
    try:
        if parse_open_name(path.name):
            read_fragments(path)
        else:
            read_content(path)
    except read_errors() as error:
        finding = read_finding(path, error)
        return finding is not None and finding.problem is Problem.UNREADABLE
    except UnknownFileError:
        pass
    return False


def compare_with_row(segment: Segment, row: Segment | None) -> list[Finding]:
    """Where a segment and its row in the index differ; `row` is None if there is none."""
    if row is None:
        return [Finding(segment.file_name, Problem.NOT_INDEXED)]
    differing = [
        name
        for name in ("size_bytes", "width", "height", "codec", "damaged")
        if getattr(row, name) != getattr(segment, name)
    ]
    tolerance_us = 0 if segment.run_us is not None else _GO_TOLERANCE_US
    if abs(row.start_us - segment.start_us) > tolerance_us or abs(row.end_us - segment.end_us) > tolerance_us:
        differing.append("time")
    if not differing:
        return []
    return [Finding(segment.file_name, Problem.ROW_DIFFERS, ", ".join(differing))]
