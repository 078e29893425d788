"""Findings: what can be wrong in a storage directory, as `verify_directory` reports it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import DamagedRange, Range
from videostore.base.time_format import format_utc_exact

_SPANS = 3
"""So many are listed with their times."""


class Problem(Enum):
    """What can be wrong with a file. The value is the text that people read."""

    INDEX_GONE = "the index cannot be read"
    NOT_INDEXED = "not in the index"
    NO_FILE = "in the index, but the file is missing"
    ROW_DIFFERS = "the index does not match the file"
    NOT_CLOSED = "never closed, and no process is writing it"
    UNREADABLE = "cannot be read"
    BEING_WRITTEN = "cannot be read, but a process may still be writing it"
    REPLACED = "not a file, so no video is there"
    NOT_READ = "cannot be read at the moment, so its content is unknown"
    CUT_OFF = "the end is missing"
    DAMAGED = "damaged; clips show what is intact before and after the damage"
    NOT_DECODED = "does not decode"


REPAIRABLE = frozenset(
    {
        Problem.INDEX_GONE,
        Problem.NOT_INDEXED,
        Problem.NO_FILE,
        Problem.ROW_DIFFERS,
        Problem.NOT_CLOSED,
        Problem.UNREADABLE,
    }
)
"""What `repair_directory` repairs. Files with other problems stay as they are: clips show what is intact in them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a file."""

    file_name: str
    problem: Problem
    detail: str = ""
    """What the system, ffmpeg, the comparison or the check of the frames says; may be empty."""
    missing: tuple[Range, ...] = ()
    """Where frames are missing, or damaged so that clips leave them out, in order, as far as that is known."""
    frames: int | None = None
    """How many these are; None if that is not known."""

    @property
    def sentence(self) -> str:
        """All of it, as people read it."""
        return f"{self.file_name}: {self.problem.value}" + (f" ({self.told})." if self.told else ".")

    @property
    def told(self) -> str:
        """The detail, then where something is missing, for how long, and how many frames; empty if nothing is known."""
        return "; ".join(one for one in (self.detail, _span_text(self.missing, self.frames)) if one)


def _span_text(spans: Sequence[Range], frames: int | None) -> str:
    if not spans:
        return ""
    texts = [f"from {format_utc_exact(one.from_us)} to {format_utc_exact(one.to_us)}" for one in spans]
    more = f" and {len(texts) - _SPANS} more times" if len(texts) > _SPANS else ""
    seconds = sum(one.to_us - one.from_us for one in spans) / US_PER_SECOND
    counted = "" if frames is None else f", {frames} frame{'s' if frames != 1 else ''}"
    return f"{', '.join(texts[:_SPANS])}{more}: {seconds:.3f} s{counted}"


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What was checked, and what is wrong."""

    segments: int
    """Number of closed segments that were read."""
    decoded_frames: int
    findings: tuple[Finding, ...]
    damaged: tuple[DamagedRange, ...] = ()
    """What came damaged from the camera, and is stored and marked as it came; at most `MOST_DAMAGED`."""
