"""Queued saves: clips to be written later. A queued save survives a restart, and its outcome is stored."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videostore.base.constants import CLOSE_SAVES_S
from videostore.base.errors import NothingStoredError, RequestError, UnknownSaveError, VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.base.tasks import DetachedTasks, known_outcome
from videostore.clips.clip_content import ClipContent
from videostore.clips.uploads import Uploads
from videostore.storage.index import Index
from videostore.storage.retention_holds import RetentionHolds
from videostore.storage.save_record import SaveJob, SaveOutcome, SaveStatus

SAVE_RETRIES_S = (5.0, 30.0, 120.0, 600.0)
"""Pauses between the attempts at a queued save: time for a full or slow disk to recover, after which the save fails."""

MOST_PENDING_SAVES = 1000
"""As many as outcomes that are kept: with the longest metadata they take 16 MB in the index. While they wait they take
nothing else, but each holds its range."""

FAILED_SAVES_SHOWN = 5
"""How many of the last failures `get_status` lists."""


@dataclass(slots=True)
class _Carried:
    """A save that a task carries out."""

    task: asyncio.Task[None] | None = None
    is_waiting: bool = False
    """Whether it waits: nothing of it is being written, and its task can be cancelled."""
    is_writing: bool = False
    is_cancelled: bool = False


class SaveQueue:
    """Keeps queued saves in the index, and holds the video that they need. Owns a task for each until `close`."""

    def __init__(
        self,
        index: Index,
        uploads: Uploads,
        holds: RetentionHolds,
        logger: logging.Logger,
        write: Callable[[SaveJob, Path, Callable[[], None]], Awaitable[ClipContent]],
    ) -> None:
        """`write` waits until the clip of a save can be made, calls what it is passed, writes the clip, and returns
        what it holds."""
        self._index = index
        self._uploads = uploads
        self._holds = holds
        self._logger = logger
        self._write = write
        self._pending: dict[str, SaveJob] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._carried: dict[str, _Carried] = {}
        self._accepting = DetachedTasks()
        self._failed: deque[SaveJob] = deque(maxlen=FAILED_SAVES_SHOWN)

    @property
    def pending(self) -> int:
        """Number of saves that are not written yet."""
        return sum(save.status is SaveStatus.PENDING for save in self._pending.values())

    @property
    def outcomes(self) -> dict[str, SaveOutcome]:
        """What became of those of which the index may not know it yet, by the file names of their clips."""
        return {name: save.outcome for name, save in self._pending.items()}

    @property
    def failed(self) -> list[SaveJob]:
        """The last saves that failed, newest first."""
        return list(self._failed)

    async def accept(self, save: SaveJob) -> None:
        """Queue a save: it is on stable storage when this returns. A caller that is cancelled does not undo it, and
        learns of it if that takes no longer than a moment.

        Raises:
            RequestError: too many are pending.
        """
        if len(self._pending) >= MOST_PENDING_SAVES:
            raise RequestError("too-many-saves", limit=MOST_PENDING_SAVES)
        # Held before anything is awaited: those that are accepted at the same time count as well.
        await known_outcome(self._accepting.run(self._accept(save, self._hold(save))))

    async def _accept(self, save: SaveJob, held: contextlib.ExitStack) -> None:
        with held:
            await self._index.put_save(save)
            self._start(save, held.pop_all(), resumed=False)

    async def resume(self, lost: Sequence[SaveJob] = ()) -> None:
        """Start the pending saves of the index: those of earlier processes, or of an index that came back.

        So are `lost` ones, of which the index knows nothing any more, up to the limit of pending saves.
        """
        for save in reversed(await self._index.saves(SaveStatus.FAILED, FAILED_SAVES_SHOWN)):
            if save not in self._failed:
                self._failed.appendleft(save)
        for found in reversed(await self._index.saves(SaveStatus.PENDING)):
            if found.file_name not in self._pending:
                save = replace(found, reason="")
                self._logger.info("Resuming the save of %s.", save.file_name)
                with self._hold(save) as held:
                    self._start(save, held.pop_all(), resumed=True)
        for save in lost[: MOST_PENDING_SAVES - len(self._pending)]:
            self._logger.info("Resuming the save of %s, which the index has lost.", save.file_name)
            with self._hold(save) as held:
                await self._index.put_save(save)
                self._start(save, held.pop_all(), resumed=True)

    async def rewrite(self) -> None:
        """Put all queued saves into an index that was lost."""
        for name in list(self._pending):
            if save := self._pending.get(name):  # otherwise it ended meanwhile
                await self._index.put_save(save)

    async def finished(self, save: SaveJob) -> None:
        """Store the outcome of a save that was done at once."""
        await self._index.put_save(replace(save, status=SaveStatus.DONE, metadata=""))

    async def status(self, file_name: str) -> SaveJob:
        """The state of a save.

        Raises:
            UnknownSaveError: no save with this name is known. The outcomes of old saves are forgotten.
        """
        save = self._pending.get(file_name) or await self._index.get_save(file_name)
        if save is None:
            raise UnknownSaveError("save-unknown", field="filename", value=file_name)
        return save

    async def cancel(self, file_name: str, asked: Range) -> bool:
        """Cancel the save of an event, which has this range, unless its clip is written or is being written.

        Returns whether it is cancelled: no clip of it will be saved.
        """
        pending, carried = self._pending.get(file_name), self._carried.get(file_name)
        if pending is not None and carried is not None and _is_of_event(pending, asked) and not carried.is_writing:
            assert carried.task is not None
            carried.is_cancelled = True
            if carried.is_waiting:
                carried.task.cancel()
            await asyncio.wait([carried.task])
        known = await self._index.get_save(file_name)
        return known is not None and known.status is SaveStatus.CANCELLED and _is_of_event(known, asked)

    async def close(self) -> None:
        """Give saves in progress a moment to finish. The next process resumes the others."""
        await self._accepting.wait()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SAVES_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.pending:
            self._logger.warning("%d queued saves will be resumed at the next start.", self.pending)

    def _hold(self, save: SaveJob) -> contextlib.ExitStack:
        """Reserves the name of a save and holds the video that it needs, until the stack is closed."""
        with contextlib.ExitStack() as held:
            held.enter_context(self._uploads.reserve(save.relative_path))
            self._pending[save.file_name] = save
            for failed in [one for one in self._failed if one.file_name == save.file_name]:
                self._failed.remove(failed)  # its name belongs to the new save now
            held.callback(self._pending.pop, save.file_name, None)
            held.enter_context(self._holds.hold(save.from_us, save.to_us, save.accepted_us))
            return held.pop_all()

    def _start(self, save: SaveJob, held: contextlib.ExitStack, *, resumed: bool) -> None:
        carried = self._carried[save.file_name] = _Carried()
        held.callback(self._carried.pop, save.file_name)
        carried.task = task = asyncio.create_task(self._carry_out(save, held, resumed, carried))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, save: SaveJob, held: contextlib.ExitStack, resumed: bool, carried: _Carried) -> None:
        try:
            ended = replace(await self._unless_cancelled(save, resumed, carried), metadata="")
            with contextlib.suppress(VideoStoreError):  # the disk hangs; the next start does it
                await self._uploads.run(self._uploads.release, save.file_name)
            self._pending[save.file_name] = ended  # what `rewrite` puts into an index that was lost meanwhile
            await self._index.put_save(ended)
        except asyncio.CancelledError:
            held.pop_all()  # neither done nor failed: it stays pending
            raise
        except Exception:
            self._logger.exception("The outcome of the save of %s cannot be stored.", save.file_name)
        else:
            if ended.status is SaveStatus.FAILED:
                self._failed.appendleft(ended)
                self._logger.error("The asynchronous save of %s failed: %s", save.file_name, ended.reason)
            elif ended.status is SaveStatus.CANCELLED:
                self._logger.info("The save of %s is cancelled.", save.file_name)
            else:
                self._logger.info("Saved %s.", save.file_name)
        held.close()

    async def _unless_cancelled(self, save: SaveJob, resumed: bool, carried: _Carried) -> SaveJob:
        try:
            return await self._try_repeatedly(save, resumed, carried)
        except asyncio.CancelledError:
            if carried.is_cancelled and not carried.is_writing:
                return replace(save, status=SaveStatus.CANCELLED)
            raise

    async def _try_repeatedly(self, save: SaveJob, resumed: bool, carried: _Carried) -> SaveJob:
        def begin() -> None:
            _check(carried)
            carried.is_waiting, carried.is_writing = False, True

        path = self._uploads.path(save.relative_path)
        for pause_s in (*SAVE_RETRIES_S, None):
            try:
                claim = functools.partial(self._uploads.claim, path, save.identity, resumed=resumed)
                if await self._uploads.run(claim):  # an earlier process wrote it, and was ended then
                    return replace(save, status=SaveStatus.DONE)
                _check(carried)
                carried.is_waiting = True
                content = await self._write(save, path, begin)
                return replace(save, status=SaveStatus.DONE, ranges=content.ranges, damaged=content.damaged)
            except Exception as error:
                carried.is_waiting = carried.is_writing = False
                _check(carried)
                if not isinstance(error, VideoStoreError):
                    self._logger.exception("The asynchronous save of %s failed unexpectedly.", save.file_name)
                reason = reason_of(error)
                if pause_s is None or (isinstance(error, NothingStoredError) and not self._index.incomplete):
                    return replace(save, status=SaveStatus.FAILED, reason=reason)
                reason = f"{reason.rstrip('.')}. Trying again in {pause_s:g} s."
                self._pending[save.file_name] = delayed = replace(save, reason=reason)
                self._logger.warning("The asynchronous save of %s is delayed: %s", save.file_name, reason)
                with contextlib.suppress(VideoStoreError):  # it is only for who asks
                    await self._index.put_save(delayed)
                _check(carried)
                carried.is_waiting = True
                await asyncio.sleep(pause_s)
                carried.is_waiting = False
        raise AssertionError("the last attempt has no pause")


def _check(carried: _Carried) -> None:
    """Raises CancelledError if the save was cancelled while its task could not be."""
    if carried.is_cancelled:
        raise asyncio.CancelledError


def _is_of_event(save: SaveJob, asked: Range) -> bool:
    """Whether it is the save of an event with this range: another save may have got the name of one that ended."""
    return save.waits and (save.from_us, save.to_us) == (asked.from_us, asked.to_us)
