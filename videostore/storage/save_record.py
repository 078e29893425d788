"""A save: a clip that was requested, and its outcome."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from videostore.base.ranges import DamagedRange, Range
from videostore.media.damage_statement import damage_text, parse_damage


class SaveStatus(enum.Enum):
    """The state of a save."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class SaveOutcome:
    """What became of a save."""

    status: SaveStatus
    reason: str = ""
    """Why it failed, or what it waits for; empty if it is done."""


_IDENTITY = ("accepted_us", "from_us", "to_us", "directory", "container", "metadata")
_WAITS = "waits"


@dataclass(frozen=True, slots=True)
class SaveJob:
    """A clip that is to be written to the upload path, or has been."""

    file_name: str
    """Name of the clip. No other pending save has it."""
    directory: str
    """Directory of the clip, relative to the upload path."""
    from_us: int
    to_us: int
    metadata: str
    """What is part of its name; empty when it has ended: the name and the clip's tags have it then."""
    accepted_us: int
    """When it was requested, UTC."""
    status: SaveStatus = SaveStatus.PENDING
    reason: str = ""
    """Why it failed, or what it waits for; empty if it is done."""
    ranges: tuple[Range, ...] | None = None
    """What the clip holds if part of the range was missing; None if all of it was there."""
    container: str = "mp4"
    """`mp4`, or `fmp4` for a fragmented MP4."""
    damaged: tuple[DamagedRange, ...] = ()
    """What of the range came damaged, or cannot be read any more."""
    waits: bool = False
    """Whether it waits until its end has come: the save of an event, which may end in the future."""

    @property
    def outcome(self) -> SaveOutcome:
        """What became of it."""
        return SaveOutcome(self.status, self.reason)

    @property
    def relative_path(self) -> PurePath:
        """Path of the clip, relative to the upload path."""
        return PurePath(self.directory, self.file_name)

    @property
    def identity(self) -> str:
        """Tells it from all other saves, also after a restart, and holds what a lost index needs to know of it."""
        asked = (self.accepted_us, self.from_us, self.to_us, self.directory, self.container, self.metadata)
        return json.dumps(dict(zip(_IDENTITY, asked, strict=True)) | ({_WAITS: True} if self.waits else {}))

    @property
    def ranges_text(self) -> str | None:
        """The ranges as the index stores them."""
        return None if self.ranges is None else json.dumps([[one.from_us, one.to_us] for one in self.ranges])

    @property
    def damaged_text(self) -> str | None:
        """The damage as the index stores it."""
        return damage_text(self.damaged) if self.damaged else None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> SaveJob:
        """A save from its row in the index, with the fields in the order of this class."""
        file_name, directory, from_us, to_us, metadata, accepted_us, status, reason, ranges, *others = row
        container, damaged, waits = others
        held = None if ranges is None else tuple(Range(int(a), int(b)) for a, b in json.loads(ranges))
        return cls(
            *(file_name, directory, from_us, to_us, metadata, accepted_us, SaveStatus(status), reason, held, container),
            parse_damage(damaged),
            waits=bool(waits),
        )

    @classmethod
    def from_identity(cls, file_name: str, identity: str) -> SaveJob | None:
        """The pending save that has this identity; None if it is no identity of a save."""
        try:
            held = json.loads(identity)
            times = [held[name] for name in _IDENTITY[:3]]
            texts = [held[name] for name in _IDENTITY[3:]]
            waits = held.get(_WAITS) is True
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        if any(type(time) is not int for time in times) or any(type(text) is not str for text in texts):
            return None
        accepted_us, from_us, to_us = times
        directory, container, metadata = texts
        if PurePath(directory).is_absolute() or ".." in PurePath(directory).parts or from_us >= to_us:
            return None
        return cls(file_name, directory, from_us, to_us, metadata, accepted_us, container=container, waits=waits)
