"""Resting events: marks moments of a recording by its directory. Its recorder does it; without one, as in a copy on
another disk, it is done here."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from videostore.base.constants import CLOCK_LEEWAY_US, LONGEST_SEGMENT_US
from videostore.base.errors import RequestError, VideoStoreError, reason_of
from videostore.base.tasks import off_loop
from videostore.media.segment_names import name_time_us
from videostore.storage.directory_lock import DirectoryLock, is_locked
from videostore.storage.notes import Event, Notes
from videostore.storage.segment_files import list_directory
from videostore.store.marking import check_events, check_remembered
from videostore.store.recorder_socket import ask_mark, ask_unmark

_LOGGER = logging.getLogger("videostore")


async def mark_at_rest(
    directory: Path, event: Event, *, save: bool = False, metadata: str | None = None, tags: Sequence[str] = ()
) -> Event:
    """Note an event of `make_event` in a storage directory. Returns it with its number. `metadata` and `tags` are those
    of the clip that is saved.

    Raises:
        RequestError: the recorder of the directory does not answer or refuses; without one, the footage would have to
            be kept or saved, which only a recorder does, all that is stored is newer, or too many events are kept.
        VideoStoreError: it cannot be noted.
    """
    if await off_loop(is_locked, directory):
        return await ask_mark(directory, event, save=save, metadata=metadata, tags=tags)
    if event.keep or save:
        raise RequestError("mark-needs-machine", field="keep" if event.keep else "save")
    async with _notes(directory) as notes:
        check_events(notes)
        clock_us = time.time_ns() // 1000
        begin_us, end_us = await off_loop(_stored, directory)
        if event.at_us > max(clock_us + CLOCK_LEEWAY_US, end_us or 0):
            raise RequestError("moment-in-future", field="at", at_us=event.at_us, clock_us=clock_us)
        check_remembered(event, begin_us, clock_us)
        return await notes.add_event(event)


async def unmark_at_rest(directory: Path, id: int, *, release: bool = False, cancel_save: bool = False) -> str | None:
    """Forget an event, by its number; with `release`, only let its footage be deleted. With `cancel_save`, its clip is
    not saved, unless that has begun.

    Returns the name of the clip that was or will be saved of it all the same; None if none is.

    Raises:
        RequestError: the recorder of the directory does not answer; without one, a save would have to be cancelled; or
            there is no such event.
        VideoStoreError: that cannot be noted.
    """
    if await off_loop(is_locked, directory):
        return await ask_unmark(directory, id, release=release, cancel_save=cancel_save)
    if cancel_save:
        raise RequestError("mark-needs-machine", field="cancel_save")
    async with _notes(directory) as notes:
        found = next((one for one in notes.events if one.id == id), None)
        if found is None:
            raise RequestError("event-unknown", field="id", value=id)
        if release:
            await notes.change_event(replace(found, keep=False))
        else:
            await notes.remove_event(id)
        return found.file_name


def _stored(directory: Path) -> tuple[int | None, int | None]:
    """When the oldest segment begins, to the second, and when the newest has ended; None if there is none. Blocking.

    The longest that a segment can be stands for its length: nothing but the names is read.
    """
    closed = list_directory(directory).closed
    begins = [time_us for name in closed if (time_us := name_time_us(name)) is not None]
    if not begins:
        return None, None
    return min(begins), max(begins) + LONGEST_SEGMENT_US


@contextlib.asynccontextmanager
async def _notes(directory: Path) -> AsyncIterator[Notes]:
    """The notes of a directory, to be changed. A recorder would not see it, and would write over it."""
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
