"""What a test leaves behind is its own: the ffmpegs that it started end with it, also if it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil

_ENDS_WITHIN_S = 30


def _ffmpegs() -> set[int]:
    """The ffmpegs that this process has started. `psutil` would look through all processes of the machine."""
    found: set[int] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, children.read_text().split()))
    return {one for one in found if _is_ffmpeg(one)}


def _is_ffmpeg(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().startswith("ffmpeg")
    return False


@contextlib.contextmanager
def no_ffmpeg_left() -> Iterator[None]:
    """Kill the ffmpegs that this process has started in the context, and that still run at its end."""
    before = _ffmpegs()
    try:
        yield
    finally:
        for pid in _ffmpegs() - before:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                process.kill()
                process.wait(_ENDS_WITHIN_S)
