"""What requests return: immutable values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from videostore.base.ranges import DamagedRange, Range
from videostore.recording.health import RecorderHealth
from videostore.storage.notes import Event, RecordingGap
from videostore.storage.replaced_files import ReplacedFile
from videostore.storage.save_record import SaveJob, SaveOutcome

OnRanges = Callable[[tuple[Range, ...] | None], None]
"""Gets what a clip holds if part of its range is missing, otherwise None."""

OnDamaged = Callable[[tuple[DamagedRange, ...]], None]
"""Gets what of a clip's range came damaged, or cannot be read any more, if anything."""


@dataclass(frozen=True, slots=True)
class SavedClip:
    """Result of `save`."""

    file_name: str
    """Name of the clip, by which `save_status` knows it."""
    path: Path
    """Where the clip is, or will be, in the upload path."""
    ranges: tuple[Range, ...] | None
    """What the clip holds, if part of the range is missing. None if it holds all of it, or is not made yet."""
    damaged: tuple[DamagedRange, ...] = ()
    """What of the range came damaged, or cannot be read any more."""


@dataclass(frozen=True, slots=True)
class ExportedClip:
    """Result of `export`."""

    path: Path
    """The clip's absolute path."""
    ranges: tuple[Range, ...] | None
    """What the clip holds, if part of the range is missing; otherwise None."""
    damaged: tuple[DamagedRange, ...] = ()
    """What of the range came damaged, or cannot be read any more."""


@dataclass(frozen=True, slots=True)
class FetchedClip:
    """Result of `fetch`."""

    data: bytes
    """The clip as an MP4 file."""
    ranges: tuple[Range, ...] | None
    """What the clip holds, if part of the range is missing; otherwise None."""
    damaged: tuple[DamagedRange, ...] = ()
    """What of the range came damaged, or cannot be read any more."""


@dataclass(frozen=True, slots=True)
class StorageState:
    """What is stored, and how much space is left."""

    ranges: tuple[Range, ...]
    """What is stored, in order. Gaps of up to 5 s are not listed."""
    storage_path: Path
    used_bytes: int
    """Size of all segments, including the open one."""
    limit_bytes: int | None
    """The quota; None in a read-only store, whose recorder keeps it."""
    device_free_bytes: int
    """Free space of the disk that holds the storage path."""
    damaged: tuple[DamagedRange, ...] = ()
    """What of it came damaged, in order; at most the last 1000."""
    sound: bool = False
    """Whether the newest segment has sound."""
    gaps: tuple[RecordingGap, ...] = ()
    """Why nothing was recorded when, as far as it is known, in order; at most the last 2000."""
    events: tuple[Event, ...] = ()
    """The moments that were marked, in order; at most 2000."""
    outcomes: Mapping[str, SaveOutcome] = field(default_factory=dict)
    """What became of the clips of events, by their file names, as far as it is remembered."""
    replaced: tuple[ReplacedFile, ...] = ()
    """Names of segments that are no files, so that no video is stored there, by their times; at most the last 1000."""


@dataclass(frozen=True, slots=True)
class Health:
    """How well recording and storage work, for people and monitoring."""

    recorder: RecorderHealth | None
    """None if the store records nothing."""
    stored_seconds: float
    """Length of all closed segments."""
    stored_bytes: int
    """Size of all segments, including the open one."""
    segments: int
    """Number of closed segments."""
    unindexed_segments: int
    """Number of files that are not read into the index yet."""
    damaged_files: int
    """Number of unreadable files that were set aside in `damaged/`."""
    damaged_bytes: int
    """Their size, which counts for the quota."""
    damaged_names: tuple[str, ...]
    """The names of the last ones, at most 10."""
    unreadable_files: tuple[str, ...]
    """Names of files that cannot be read and are not set aside yet, at most 10: a process may be writing them."""
    pending_saves: int
    """Number of queued saves that are not written yet."""
    failed_saves: list[SaveJob]
    """The last saves that failed, newest first."""
    storage_trouble: str | None
    """What is wrong with the storage directory; None if nothing is."""
    storage_limit: str | None
    """What has lately limited the storage besides the quota and the free space; None if nothing has."""
    index_trouble: str | None
    """What is wrong with the index; None if nothing is."""
    oldest_us: int | None = None
    """Capture time of the oldest frame in a closed segment, in microseconds UTC; None if there is none."""
    gaps: int = 0
    """Number of gaps of more than 5 s between the closed segments."""


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """What was imported from a file."""

    path: Path
    """The file."""
    captured: Range
    """From its first frame to the end of its last one."""
    frames: int
    """Number of frames."""
    known: bool
    """Whether all of it was stored before, so that nothing was added."""
    reencoded: str
    """Why it was encoded; empty if it is stored as it came."""
    skipped_frames: int
    """Frames at its beginning that cannot be decoded, because the file begins between two keyframes."""
    gaps: tuple[Range, ...]
    """Where nothing was captured in it: from the last frame before to the first one behind."""
    longest_interval_us: int
    """The longest time from one frame to the next, gaps apart."""
    has_sound: bool
    """Whether the file has sound."""
    silent: str
    """Why its sound is not stored; empty if it is, or if there is none or it was to be left out."""
    shortfall: str
    """What is missing of the file, in words that follow its name; empty as far as nothing is known to be missing."""
