"""What makes clips and pictures of one store. It is imported when the first is asked for: a start does without."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from videostore.base.clock import Clock
from videostore.clips.cutter import ClipCutter
from videostore.clips.long_stream import LongStream
from videostore.clips.ready_headers import ReadyHeaders
from videostore.clips.snapshots import Snapshots
from videostore.clips.turns import Turns
from videostore.clips.uploads import Uploads
from videostore.clips.workspace import Workspaces
from videostore.ffmpeg.encoder import Encoder
from videostore.storage.archive import Archive
from videostore.storage.open_segments import OpenSegments
from videostore.storage.retention_holds import RetentionHolds
from videostore.store.delivery import Delivery

VIDEOS_AT_ONCE = 8
"""Videos that are sent at the same time. Each takes an ffmpeg of lower priority, and as many can be watched live."""
VIDEO_WAIT_S = 10.0
"""A video that is asked for waits so long for its turn: those before it may last for hours."""


@dataclass(frozen=True)
class ClipParts:
    """The parts. Their owner closes `snapshots`."""

    cutter: ClipCutter
    delivery: Delivery
    ready_headers: ReadyHeaders
    snapshots: Snapshots

    @classmethod
    def make(
        cls,
        name: str,
        directory: Path,
        *,
        archive: Archive,
        open_segments: OpenSegments,
        holds: RetentionHolds,
        uploads: Uploads,
        workspaces: Workspaces,
        binary: str,
        encoder: Encoder | None,
        clock: Clock,
        logger: logging.Logger,
    ) -> ClipParts:
        """The parts over other parts of a store. `name` is the recorder's, which clips tell."""
        cutter = ClipCutter(archive, holds, workspaces, binary, logger, open_segments.find, name, encoder)
        turns = Turns(VIDEOS_AT_ONCE, within_s=VIDEO_WAIT_S)
        long = LongStream(cutter, archive, open_segments.find, clock, turns)
        snapshots = Snapshots(archive, open_segments, holds, binary, clock, logger)
        delivery = Delivery(cutter, uploads, directory, long)
        return cls(cutter, delivery, ReadyHeaders(archive, open_segments.find, long, logger), snapshots)
