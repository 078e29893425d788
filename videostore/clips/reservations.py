"""Reservations: names of clips in an upload path that belong to one save, whatever process asks for the same name.

A reservation is a file in the upload path, `<clip>.reserved.prog`, which the data manager does not upload. It tells the
save, and the recorder, which removes those that it left behind when it starts again. All of it blocks.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videostore.base.files import sync_directory, sync_file
from videostore.clips.clip_names import TAG_BYTES

SUFFIX = ".reserved.prog"
_MAX_BYTES = 128 * 1024
"""The longest metadata takes 96 KiB, if each of its bytes is written as an escape."""
_READER = "reader "


@dataclass(frozen=True, slots=True)
class Reservation:
    """The content of a reservation."""

    save: str
    """Tells the save from all others."""
    recorder: str
    """Tells the recorder, or the process of a reader, from all others."""

    @property
    def ended(self) -> bool:
        """Whether it is of a reader whose process has ended."""
        number = self.recorder.removeprefix(_READER)
        if number == self.recorder or not number.isdigit():
            return False
        import psutil  # slow to import, and seldom needed

        return not psutil.pid_exists(int(number))


class Taking:
    """A name that a thread takes, and that its caller may want no more by the time the thread has it."""

    def __init__(self, take: Callable[[], bool], directory: Path, path: Path, save: str | None) -> None:
        """`take` tells whether the name of a path is free, and reserves it in the directory if it is for a save."""
        self._take = take
        self._directory = directory
        self._name = path.name
        self._save = save
        self._deciding = threading.Lock()
        self._taken = self._given_up = False

    def take(self) -> bool:
        """Take the name; it is given back if that was given up meanwhile. Blocking."""
        if not self._take():
            return False
        with self._deciding:
            self._taken = not self._given_up
        if not self._taken:
            self.release()
        return self._taken

    def give_up(self) -> bool:
        """Whether it is taken, so that the caller has to give it back; else the thread does so."""
        with self._deciding:
            self._given_up = True
            return self._taken

    def release(self) -> None:
        """Give it back, if it is reserved for the save. Blocking."""
        found = None if self._save is None else find(self._directory, self._name)
        if found is not None and found.save == self._save:
            release(self._directory, self._name)


def owner_of(storage: Path | None) -> str:
    """Who reserves: the recorder of a storage path, or this process, which only reads one."""
    return f"{_READER}{os.getpid()}" if storage is None else f"recorder {os.path.realpath(storage)!r}"


def tag_of(storage: Path | None) -> str:
    """The same for the name of a partial clip. Blocking.

    It tells the directory from another one that has its path, in another container.
    """
    directory = ""
    if storage is not None:
        with contextlib.suppress(OSError):
            directory = str(storage.stat().st_ino)
    return hashlib.blake2b(os.fsencode(f"{owner_of(storage)} {directory}"), digest_size=TAG_BYTES).hexdigest()


def reserve(directory: Path, name: str, reservation: Reservation, *, lasting: bool = True) -> bool:
    """Reserve a name; False if it is reserved. A lasting one outlasts a power failure.

    Raises:
        OSError: nothing can be written to the directory.
    """
    path = directory / (name + SUFFIX)
    # Complete from the moment at which others see it.
    draft = directory / f"{name}.{secrets.token_hex(4)}.prog"
    try:
        with open(draft, "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{reservation.save}\n{reservation.recorder}\n")
        if lasting:
            sync_file(draft)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError:  # no hard links
            if not _write_first(path, draft):
                return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    if lasting:
        sync_directory(directory)
    return True


def _write_first(path: Path, draft: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    os.replace(draft, path)
    return True


def find(directory: Path, name: str) -> Reservation | None:
    """The reservation of a name. Of one that cannot be read nothing is known but that it exists."""
    path = directory / (name + SUFFIX)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        # Where the directory itself cannot be read, no name is taken: what is written there next tells why.
        return Reservation("", "") if os.path.lexists(path) else None
    try:
        text = os.read(descriptor, _MAX_BYTES).decode(errors="surrogateescape")
    except OSError:
        return Reservation("", "")
    finally:
        os.close(descriptor)
    save, _, recorder = text.removesuffix("\n").partition("\n")
    return Reservation(save, recorder)


def release(directory: Path, name: str) -> None:
    """Give a name back. Where that fails, the recorder's next start does it."""
    with contextlib.suppress(OSError):
        (directory / (name + SUFFIX)).unlink()
