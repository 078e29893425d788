"""Saves: clips that the page asked for, which go to the upload path. Each is made in the background."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from videostore.base.errors import RequestError, UnknownSaveError, VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.base.tasks import end_task
from videostore.clips.clip_names import tag_directory
from videostore.storage.save_record import SaveStatus
from videostore.store.request_text import request_metadata
from videostore.store.store import VideoStore

MOST_PENDING = 8
_REMEMBERED = 200
_COVER_S = 10.0
"""What was captured can be read after about two seconds, longer with distant keyframes."""
_POLL_S = 0.2


@dataclass
class WebSave:
    """A save, and what became of it."""

    file_name: str
    status: SaveStatus = SaveStatus.PENDING
    reason: str = ""
    ranges: tuple[Range, ...] | None = None

    def answer(self) -> dict[str, Any]:
        """As an answer tells it."""
        return {
            "file_name": self.file_name,
            "state": self.status.value,
            "message": self.reason,
            "ranges": None if self.ranges is None else [[one.from_us, one.to_us] for one in self.ranges],
        }


class WebSaves:
    """Makes the saves of one recorder, and remembers the last ones. `close` ends them."""

    def __init__(self, store: VideoStore, logger: logging.Logger) -> None:
        self._store = store
        self._logger = logger
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: OrderedDict[str, WebSave] = OrderedDict()

    async def close(self) -> None:
        """End those that are being made. No part of them is left."""
        for task in list(self._tasks):
            await end_task(task)

    async def start(self, asked: Range, metadata: str, tags: Sequence[str]) -> WebSave:
        """Begin to save a clip; it has a name when this returns.

        Raises:
            VideoStoreError: it cannot be saved, as `VideoStore.save`.
        """
        request_metadata(metadata)  # both are told before the end of the range is waited for
        tag_directory(tags)
        if len(self._tasks) >= MOST_PENDING:
            raise RequestError("too-many-saves", limit=MOST_PENDING)
        begun: asyncio.Future[WebSave] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._save(asked, metadata, tags, begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await begun

    async def status(self, file_name: str) -> dict[str, Any]:
        """What became of a save, by the name that `start` told.

        Raises:
            UnknownSaveError: no save with this name is known.
        """
        if (found := self._known.get(file_name)) is not None:
            return found.answer()
        raise UnknownSaveError("save-unknown", value=file_name)

    async def _save(self, asked: Range, metadata: str, tags: Sequence[str], begun: asyncio.Future[WebSave]) -> None:
        named: list[WebSave] = []

        def name(file_name: str) -> None:
            named.append(WebSave(file_name))
            self._known[file_name] = named[0]
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            if not begun.done():
                begun.set_result(named[0])

        def fail(error: VideoStoreError) -> None:
            if named:
                named[0].status, named[0].reason = SaveStatus.FAILED, str(error)
            elif not begun.done():
                begun.set_exception(error)

        try:
            await self._wait_until_covered(asked.to_us)
            clip = await self._store._save(asked.from_us, asked.to_us, metadata, tags, on_name=name)
        except VideoStoreError as error:
            fail(error)
        except asyncio.CancelledError:
            fail(VideoStoreError("closed"))
            raise
        except Exception as error:
            self._logger.exception("A clip could not be saved.")
            fail(VideoStoreError("recording-unreadable", reason=reason_of(error)))
        else:
            named[0].file_name, named[0].status, named[0].ranges = clip.file_name, SaveStatus.DONE, clip.ranges

    async def _wait_until_covered(self, to_us: int) -> None:
        """Wait until the last seconds of a recording in progress are written, up to the end of a clip."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _COVER_S
        viewing = self._store._viewing
        while loop.time() < deadline:
            if (await viewing.newest_us() or 0) >= to_us or not await viewing.is_recording():
                return
            await asyncio.sleep(_POLL_S)
