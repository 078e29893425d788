"""Resting events: marks moments of a recording that no recorder has, such as a copy on another disk."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from videostore.base.errors import RequestError, VideoStoreError, reason_of
from videostore.base.tasks import off_loop
from videostore.storage.directory_lock import DirectoryLock, is_locked
from videostore.storage.notes import Event, Notes
from videostore.store.marking import check_events

_LOGGER = logging.getLogger("videostore")


async def mark_at_rest(directory: Path, event: Event) -> Event:
    """Note an event of `make_event` in a storage directory. Returns it with its number.

    Raises:
        RequestError: a recorder has the directory, or the footage would have to be kept, which only a recorder does;
            or too many events are kept.
        VideoStoreError: it cannot be noted.
    """
    if event.keep:
        raise RequestError("mark-needs-machine", field="keep")
    async with _notes(directory) as notes:
        check_events(notes)
        return await notes.add_event(event)


async def unmark_at_rest(directory: Path, id: int, *, release: bool = False) -> None:
    """Forget an event, by its number; with `release`, only let its footage be deleted.

    Raises:
        RequestError: a recorder has the directory, or there is no such event.
        VideoStoreError: that cannot be noted.
    """
    async with _notes(directory) as notes:
        found = next((one for one in notes.events if one.id == id), None)
        if found is None:
            raise RequestError("event-unknown", field="id", value=id)
        if release:
            await notes.change_event(replace(found, keep=False))
        else:
            await notes.remove_event(id)


@contextlib.asynccontextmanager
async def _notes(directory: Path) -> AsyncIterator[Notes]:
    """The notes of a directory, to be changed. A recorder would not see it, and would write over it."""
    if await off_loop(is_locked, directory):
        raise RequestError("mark-while-recording", path=directory)
    try:
        lock = await off_loop(DirectoryLock, directory)
        try:
            notes = Notes(directory, _LOGGER, read_only=False)
            await notes.load()
            yield notes
            await notes.close()
        finally:
            lock.release()
    except OSError as error:
        raise VideoStoreError("event-not-noted", path=directory, reason=reason_of(error)) from error
