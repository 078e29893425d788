"""Workspaces: temporary directories for making clips, each removed when its work ends."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from videostore.base.errors import NoRoomError
from videostore.base.tasks import finish_despite_cancellation, run_in_thread
from videostore.storage.write_room import lacking_room

WORK_DIRECTORY = ".cuts"
"""In the storage path: holds lists, links to segments, and clips that are about to be sent."""
_MIN_FREE_BYTES = 1 << 20
"""Free space for lists and tags, with a margin."""

_TRIED_BYTES = 8 << 20
"""So much is tried, because a quota shows in no number. More would take long where it has to be written for that."""

_READING = "videostore-reading-"
_OWNER = re.compile(_READING + r"(\d{1,9})-\w+")
_REMOVALS = 10
_TOKEN_BYTES = 8


class Workspaces:
    """Makes workspaces in one directory, or in the system's temporary directory where that is full or read-only."""

    def __init__(self, base: Path | None) -> None:
        """Without a base, all workspaces are in the system's temporary directory."""
        self._base = base
        self.promised_bytes = 0
        """What the workspaces that exist may take together."""

    def new_path(self) -> Path | None:
        """The path that the next one should have; None if that is not known before."""
        return None if self._base is None else self._base / secrets.token_hex(_TOKEN_BYTES)

    @contextlib.asynccontextmanager
    async def make(
        self, size_bytes: int = 0, within: Path | None = None, path: Path | None = None
    ) -> AsyncIterator[Path]:
        """An empty directory with room for so many bytes, which is removed when the context ends; or the workspace
        `within`, if there is room. It has the `path` that `new_path` gave, unless there is no room.

        Raises:
            NoRoomError: no place has enough room.
        """
        # What others were promised and have not written yet is not free, wherever they write it.
        making = asyncio.get_running_loop().run_in_executor(
            None, self._make, size_bytes, self.promised_bytes, within, path
        )
        self.promised_bytes += size_bytes
        try:
            await finish_despite_cancellation(making)  # the thread makes it even if the caller is cancelled
            yield making.result()
        finally:
            self.promised_bytes -= size_bytes
            if not making.cancelled() and making.exception() is None and making.result() != within:
                await run_in_thread(_remove, making.result())

    def sweep(self) -> None:
        """Remove what earlier processes left behind. Blocking. To be called when a store starts.

        A directory has only one recorder, but may have several readers: of readers, only the workspaces of processes
        that ended are removed.
        """
        temporary = _temporary()
        if self._base is not None:
            for left in [self._base, *temporary.glob(_prefix(self._base) + "*")]:
                _remove(left)
            return
        for left in temporary.glob(_READING + "*"):
            import psutil  # slow to import, and seldom needed

            owner = _OWNER.fullmatch(left.name)
            if owner and not psutil.pid_exists(int(owner[1])):
                _remove(left)

    def _make(self, size_bytes: int, promised_bytes: int, within: Path | None, path: Path | None) -> Path:
        free_bytes = 0
        if within is not None:
            with contextlib.suppress(OSError):
                free_bytes = max(0, shutil.disk_usage(within).free - promised_bytes)
                if free_bytes > size_bytes + _MIN_FREE_BYTES and _takes(within, size_bytes):
                    return within
        if self._base is not None:
            with contextlib.suppress(OSError):  # its disk is full, read-only or gone
                self._base.mkdir(mode=0o700, exist_ok=True)
                free_bytes = max(0, shutil.disk_usage(self._base).free - promised_bytes)
                if free_bytes > size_bytes + _MIN_FREE_BYTES and _takes(self._base, size_bytes):
                    made = path or self._base / secrets.token_hex(_TOKEN_BYTES)
                    made.mkdir(mode=0o700)
                    return made
        temporary = _temporary()
        with contextlib.suppress(OSError):  # it is full, read-only, or there is none
            there_bytes = shutil.disk_usage(temporary).free - promised_bytes
            if there_bytes >= size_bytes:
                return Path(tempfile.mkdtemp(prefix=_prefix(self._base), dir=temporary))
            free_bytes = max(free_bytes, there_bytes)
        size_bytes = max(size_bytes, _MIN_FREE_BYTES)
        if self._base is None:
            raise NoRoomError("no-room-to-cut", path=temporary, size_bytes=size_bytes, free_bytes=free_bytes)
        raise NoRoomError(
            "no-room-to-cut-in-either",
            path=self._base,
            other=temporary,
            size_bytes=size_bytes,
            free_bytes=free_bytes,
        )


def _temporary() -> Path:
    """The system's temporary directory; the usual one if none can be written to: all are full, or read-only."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 (only `mkdtemp` makes something there)


def _takes(directory: Path, size_bytes: int) -> bool:
    return lacking_room(directory, _MIN_FREE_BYTES + min(size_bytes, _TRIED_BYTES)) is None


def _remove(directory: Path) -> None:
    """Blocking. Repeated, because a thread whose caller was cancelled may have just put something into it."""
    with contextlib.suppress(OSError):  # the usual one has no directories: this takes a third of the time
        for name in os.listdir(directory):
            os.unlink(directory / name)
        os.rmdir(directory)
        return
    for _ in range(_REMOVALS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return


def _prefix(base: Path | None) -> str:
    """The start of the names of workspaces in the system's temporary directory, by which a recorder knows its own."""
    if base is None:
        return f"{_READING}{os.getpid()}-"
    return f"videostore-{hashlib.blake2b(os.fsencode(base), digest_size=8).hexdigest()}-"
