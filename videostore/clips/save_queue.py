"""Queued saves: clips to be written later. An accepted save outlives the process, and its outcome is kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from videostore.base.constants import CLOSE_SAVES_S
from videostore.base.errors import NothingStoredError, UnknownSaveError, VideoStoreError, reason_of, shown
from videostore.base.ranges import Range
from videostore.base.tasks import DetachedTasks
from videostore.clips.uploads import Uploads
from videostore.storage.index import Index
from videostore.storage.retention_holds import RetentionHolds
from videostore.storage.save_record import SaveJob, SaveStatus

SAVE_RETRIES_S = (5.0, 30.0, 120.0, 600.0)
"""Pauses between the attempts at a promised save: a full or slow disk gets its time, then the save has failed."""

FAILED_SAVES_SHOWN = 5
"""The last failures that `get_status` names."""


class SaveQueue:
    """Keeps its promises in the index, and what they need from being deleted. Owns a task for each until `close`."""

    def __init__(
        self,
        index: Index,
        uploads: Uploads,
        holds: RetentionHolds,
        logger: logging.Logger,
        write: Callable[[SaveJob, Path], Awaitable[tuple[Range, ...] | None]],
    ) -> None:
        """`write` writes the clip of a save, and tells what it holds where that is not all."""
        self._index = index
        self._uploads = uploads
        self._holds = holds
        self._logger = logger
        self._write = write
        self._pending: dict[str, SaveJob] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = DetachedTasks()
        self._failed: deque[SaveJob] = deque(maxlen=FAILED_SAVES_SHOWN)

    @property
    def pending(self) -> int:
        """How many are still to be written."""
        return sum(save.status is SaveStatus.PENDING for save in self._pending.values())

    @property
    def failed(self) -> list[SaveJob]:
        """The last ones that failed, the newest first."""
        return list(self._failed)

    async def accept(self, save: SaveJob) -> None:
        """Promise a save: it is on stable storage when this returns. Once begun it is kept, whoever waits for it."""
        await self._accepting.run(self._accept(save))

    async def _accept(self, save: SaveJob) -> None:
        with self._kept(save) as kept:
            await self._index.put_save(save)
            self._begin(save, kept.pop_all())

    async def resume(self) -> None:
        """Take up what earlier processes promised, or the index brought back, and did not come to do."""
        for save in reversed(await self._index.saves(SaveStatus.FAILED, FAILED_SAVES_SHOWN)):
            if save not in self._failed:
                self._failed.appendleft(save)
        for save in reversed(await self._index.saves(SaveStatus.PENDING)):
            if save.file_name not in self._pending:
                self._logger.info("The save of %s is resumed.", save.file_name)
                with self._kept(save) as kept:
                    self._begin(save, kept.pop_all())

    async def rewrite(self) -> None:
        """Put all promises into an index that was lost."""
        for name in list(self._pending):
            if save := self._pending.get(name):  # else it came to its end meanwhile
                await self._index.put_save(save)

    async def finished(self, save: SaveJob) -> None:
        """Remember a save that nobody had to be promised."""
        await self._index.put_save(replace(save, status=SaveStatus.DONE))

    async def status(self, file_name: str) -> SaveJob:
        """What has become of a save.

        Raises:
            UnknownSaveError: there was none of this name, or it is long forgotten.
        """
        save = self._pending.get(file_name) or await self._index.get_save(file_name)
        if save is None:
            raise UnknownSaveError(
                f"'filename' is {shown(file_name)}: no save of this name is known here; it must be the"
                " 'filename' that a save answered."
            )
        return save

    async def close(self) -> None:
        """Give those under way a moment to come to their end; the others are resumed by the next process."""
        await self._accepting.wait()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SAVES_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.pending:
            self._logger.warning("%d promised saves are resumed at the next start.", self.pending)

    def _kept(self, save: SaveJob) -> contextlib.ExitStack:
        """Its name and what it needs, for as long as the stack is not closed."""
        with contextlib.ExitStack() as kept:
            kept.enter_context(self._uploads.keep(save.relative_path))
            self._pending[save.file_name] = save
            for failed in [one for one in self._failed if one.file_name == save.file_name]:
                self._failed.remove(failed)  # its name stands for another save from now on
            kept.callback(self._pending.pop, save.file_name, None)
            kept.enter_context(self._holds.hold(save.from_us, save.to_us, save.accepted_us))
            return kept.pop_all()

    def _begin(self, save: SaveJob, kept: contextlib.ExitStack) -> None:
        task = asyncio.create_task(self._carry_out(save, kept))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, save: SaveJob, kept: contextlib.ExitStack) -> None:
        try:
            ended = await self._try_repeatedly(save)
            self._pending[save.file_name] = ended  # what is written into an index that was lost meanwhile
            await self._index.put_save(ended)
        except asyncio.CancelledError:
            kept.pop_all()  # neither done nor failed: it stays among the pending ones
            raise
        except Exception:
            self._logger.exception("What became of the save of %s cannot be noted.", save.file_name)
        else:
            if ended.status is SaveStatus.FAILED:
                self._failed.appendleft(ended)
                self._logger.error("The asynchronous save of %s failed: %s", save.file_name, ended.reason)
            else:
                self._logger.info("Saved %s.", save.file_name)
        kept.close()

    async def _try_repeatedly(self, save: SaveJob) -> SaveJob:
        path = self._uploads.path(save.relative_path)
        for pause_s in (*SAVE_RETRIES_S, None):
            try:
                if await self._uploads.run(path.exists):  # an earlier process came so far, and no further
                    return replace(save, status=SaveStatus.DONE)
                return replace(save, status=SaveStatus.DONE, ranges=await self._write(save, path))
            except Exception as error:
                if not isinstance(error, VideoStoreError):
                    self._logger.exception("The asynchronous save of %s failed unexpectedly.", save.file_name)
                reason = reason_of(error)
                if pause_s is None or (isinstance(error, NothingStoredError) and not self._index.incomplete):
                    return replace(save, status=SaveStatus.FAILED, reason=reason)
                reason = f"{reason.rstrip('.')}. It is tried again after {pause_s:g} s."
                self._pending[save.file_name] = replace(save, reason=reason)
                self._logger.warning("The asynchronous save of %s has to wait: %s", save.file_name, reason)
                await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt has no pause")
