"""Watches files from a thread while a test runs, and compares closed segments with what they were at first."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path


@contextlib.asynccontextmanager
async def watching(look: Callable[[], None], interval_s: float = 0.005) -> AsyncIterator[None]:
    """Call `look` again and again from a thread; an assertion that fails there is raised at the end."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(interval_s):
            look()
        look()

    task = asyncio.create_task(asyncio.to_thread(watch))
    try:
        yield
    finally:
        ended.set()
        await task


def files_in(directory: Path, *patterns: str) -> dict[Path, os.stat_result]:
    """The files of a directory that exist at this moment."""
    found = {}
    for pattern in patterns:
        for path in directory.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.is_file():
                    found[path] = status
    return found


def closed_segments(storage: Path) -> list[Path]:
    """The closed segments, by name. Links and directories with such names do not count."""
    return sorted(path for path in storage.glob("[0-9]*.mp4") if path.is_file() and not path.is_symlink())


@dataclass
class ClosedSegments:
    """What every closed segment was like when it was first seen."""

    storage: Path
    seen: dict[tuple[str, int], tuple[int, int, str]] = field(default_factory=dict)
    """Size, modification time and digest, by name and inode."""

    def look(self) -> None:
        """Remember new segments, and check the size and the modification time of the others."""
        for path, status in files_in(self.storage, "*.mp4").items():
            key = path.name, status.st_ino
            if key not in self.seen:
                with contextlib.suppress(FileNotFoundError):
                    content = path.read_bytes()
                    if path.stat().st_ino == status.st_ino:
                        self.seen[key] = status.st_size, status.st_mtime_ns, hashlib.sha256(content).hexdigest()
            else:
                assert (status.st_size, status.st_mtime_ns) == self.seen[key][:2], f"{path.name} has changed"

    def compare(self) -> int:
        """Compare the remaining segments byte by byte. Returns their number."""
        left = files_in(self.storage, "*.mp4")
        for path, status in left.items():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert self.seen[path.name, status.st_ino] == (status.st_size, status.st_mtime_ns, digest), path.name
        return len(left)
