"""Workspaces: directories for what a clip takes while it is made, each removed when its work ends."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from videostore.base.errors import NoRoomError
from videostore.base.tasks import finish_despite_cancellation, run_in_thread

WORK_DIRECTORY = ".cuts"
"""Below the storage path: lists, copies of the open segment, and clips on their way to the client."""
_LEAST_BYTES = 1 << 20
"""What lists and tags take, with room to spare."""

_READING = "videostore-reading-"
_OWNER = re.compile(_READING + r"(\d{1,9})-\w+")
_REMOVALS = 10


class Workspaces:
    """Makes workspaces below one directory, or elsewhere where that has no room or may not be written to."""

    def __init__(self, base: Path | None) -> None:
        """None: in the system's temporary directory alone."""
        self._base = base

    @contextlib.asynccontextmanager
    async def make(self, size_bytes: int = 0) -> AsyncIterator[Path]:
        """An empty directory for so many bytes, which is removed at the end.

        Raises:
            NoRoomError: nowhere is room for so much.
        """
        making = asyncio.get_running_loop().run_in_executor(None, self._make, size_bytes)
        try:
            await asyncio.shield(making)
            yield making.result()
        finally:
            try:  # it is made even if nobody waits for it any more
                await finish_despite_cancellation(making)
            finally:
                if not making.cancelled() and making.exception() is None:
                    await run_in_thread(_remove, making.result())

    def sweep(self) -> None:
        """Remove what earlier processes left. Blocking; for the start of the only recorder of the directory.

        Of readers there may be others: what they made stays as long as they live.
        """
        elsewhere = Path(tempfile.gettempdir())
        if self._base is not None:
            for left in [self._base, *elsewhere.glob(_prefix(self._base) + "*")]:
                _remove(left)
            return
        for left in elsewhere.glob(_READING + "*"):
            owner = _OWNER.fullmatch(left.name)
            if owner and not psutil.pid_exists(int(owner[1])):
                _remove(left)

    def _make(self, size_bytes: int) -> Path:
        free_bytes = 0
        if self._base is not None:
            with contextlib.suppress(OSError):  # its device is full, read-only or gone
                self._base.mkdir(exist_ok=True)
                free_bytes = shutil.disk_usage(self._base).free
                if free_bytes > size_bytes + _LEAST_BYTES:
                    return Path(tempfile.mkdtemp(dir=self._base))
        elsewhere = Path(tempfile.gettempdir())
        free_bytes = max(free_bytes, shutil.disk_usage(elsewhere).free)
        if free_bytes < size_bytes:
            places = f"neither {self._base} nor {elsewhere} has" if self._base else f"{elsewhere} has no"
            raise NoRoomError(
                f"Making this clip would take about {size_bytes / 2**20:.1f} MiB for a while, but {places} room for "
                f"more than {free_bytes / 2**20:.1f} MiB: ask for less, or make room."
            )
        return Path(tempfile.mkdtemp(prefix=_prefix(self._base), dir=elsewhere))


def _remove(directory: Path) -> None:
    """Blocking. Again where a thread for which nobody waits any more has just put something into it."""
    for _ in range(_REMOVALS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return


def _prefix(base: Path | None) -> str:
    """How workspaces in the system's temporary directory are called, so that a recorder knows its own."""
    if base is None:
        return f"{_READING}{os.getpid()}-"
    return f"videostore-{hashlib.blake2b(os.fsencode(base), digest_size=8).hexdigest()}-"
