"""A save: what was promised to a client, and what has become of it."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from videostore.base.ranges import Range


class SaveStatus(enum.Enum):
    """What has become of a save."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SaveJob:
    """A clip that was, or is to be, written to the upload path."""

    file_name: str
    """Name of the clip; no other pending save has it."""
    directory: str
    """Where below the upload path it lies."""
    from_us: int
    to_us: int
    metadata: str
    accepted_us: int
    """When it was asked for, UTC."""
    status: SaveStatus = SaveStatus.PENDING
    reason: str = ""
    """Why it failed, or what it waits for; empty for one that is done."""
    ranges: tuple[Range, ...] | None = None
    """What the clip holds, where that is not all of the range."""

    @property
    def relative_path(self) -> PurePath:
        """The clip's place below the upload path."""
        return PurePath(self.directory, self.file_name)

    @property
    def ranges_text(self) -> str | None:
        """The ranges as the index keeps them."""
        return None if self.ranges is None else json.dumps([[one.from_us, one.to_us] for one in self.ranges])

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> SaveJob:
        """A save as the index keeps it, its fields in their order here."""
        file_name, directory, from_us, to_us, metadata, accepted_us, status, reason, ranges = row
        held = None if ranges is None else tuple(Range(int(a), int(b)) for a, b in json.loads(ranges))
        return cls(file_name, directory, from_us, to_us, metadata, accepted_us, SaveStatus(status), reason, held)
