"""Clips that are compared, frame by frame, with what was recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from scripts.fakes.painted_camera import ClipCheck, check_clip, read_clip
from tests.support.recording import Cutter

OpenOver = Callable[[Path], Awaitable[Cutter]]
"""Opens the clips of a directory."""
MAX_DRIFT_MS = 1.0


async def check(
    cutter: Cutter,
    times: Sequence[int],
    from_us: int,
    to_us: int,
    container: str = "mp4",
    *,
    painted: Sequence[tuple[int, int]] = (),
    gaps: bool = False,
) -> ClipCheck:
    """Cut a clip and compare it, frame by frame, with what was recorded."""
    clip = await cutter.cut(from_us, to_us, container)
    found = check_clip(read_clip(clip, painted), times, from_us, to_us)
    assert found.flawless, found
    assert gaps or found.drift_ms <= MAX_DRIFT_MS, found
    return found
