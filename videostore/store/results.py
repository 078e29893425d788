"""What the store answers: values, complete and unchanging."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videostore.base.ranges import Range
from videostore.recording.recorder import RecorderHealth
from videostore.storage.save_record import SaveJob


@dataclass(frozen=True, slots=True)
class SavedClip:
    """Answer to a save."""

    file_name: str
    path: Path
    ranges: tuple[Range, ...] | None
    """What the clip holds, where that is not all of the range; None where it is, or is not known yet."""


@dataclass(frozen=True, slots=True)
class ExportedClip:
    """Answer to an export."""

    path: Path
    ranges: tuple[Range, ...] | None
    """What the clip holds, where that is not all of the range."""


@dataclass(frozen=True, slots=True)
class FetchedClip:
    """Answer to a fetch."""

    data: bytes
    ranges: tuple[Range, ...] | None


@dataclass(frozen=True, slots=True)
class StorageState:
    """What is stored, and what room there is."""

    ranges: tuple[Range, ...]
    storage_path: Path
    used_bytes: int
    limit_bytes: int | None
    """The quota; None where somebody else keeps it."""
    device_free_bytes: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the store is, for people."""

    recorder: RecorderHealth | None
    """None where nothing is to be recorded."""
    stored_seconds: float
    stored_bytes: int
    segments: int
    unindexed_segments: int
    """Files that are still to be read into the index."""
    pending_saves: int
    failed_saves: list[SaveJob]
    """The last ones, the newest first."""
    storage_trouble: str | None
    index_trouble: str | None
