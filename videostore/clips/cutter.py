"""Cuts clips: runs ffmpeg over the segments of a plan, in turn, and checks that it read them to their end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

from videostore.base.constants import FASTSTART_BYTES
from videostore.base.errors import FFmpegError, RequestError, VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.base.tasks import end_task, run_in_thread, wait_a_moment
from videostore.clips.clip_maker import ClipMaker, ClipOrder
from videostore.clips.cut_command import CutCommand
from videostore.clips.early_join import EarlyJoin
from videostore.clips.output_path import remove_written, written_bytes
from videostore.clips.place import Place
from videostore.clips.plan import Plan
from videostore.clips.planner import ClipPlanner, FindOpenSegments
from videostore.clips.progress import CutProgress, OnProgress
from videostore.clips.segment_links import SegmentLinks
from videostore.clips.turns import Turns
from videostore.clips.workspace import Workspaces
from videostore.ffmpeg.encoder import Encoder
from videostore.storage.archive import Archive
from videostore.storage.retention_holds import RetentionHolds

FETCHES_AT_ONCE = 2
SAVES_AT_ONCE = 1
STREAMS_AT_ONCE = 4
"""Clips that are made at the same time; other requests wait their turn. Fetches wait neither for long
saves nor for streams, which last as long as their reader takes."""

_CLIP = "clip.mp4"
_BLOCK_BYTES = 1 << 16
_REASONS = 3
_ATTEMPTS = 3
"""The first check finds all that cannot be read, and what was decoded; the next plan may decode something else."""
_T = TypeVar("_T")

CheckSize = Callable[[int, int], Awaitable[None]]
"""Gets the size of a planned clip in bytes and its length in microseconds; raises RequestError to refuse it."""

RunOnDisk = Callable[[Callable[[Path], int], Path], Awaitable[int]]
"""Runs a function that may wait for a disk."""


async def _run_in_pool(work: Callable[[Path], int], path: Path) -> int:
    return await asyncio.get_running_loop().run_in_executor(None, work, path)


@dataclass(frozen=True)
class EarlyClip:
    """A clip that is begun before it is planned."""

    join: EarlyJoin
    container: str
    comment: str
    output: Path | None


class ClipCutter:
    """Cuts clips from one storage directory. Owns every ffmpeg that it starts."""

    def __init__(
        self,
        archive: Archive,
        holds: RetentionHolds,
        workspaces: Workspaces,
        binary: str,
        logger: logging.Logger,
        open_segments: FindOpenSegments,
        recorder: str,
        encoder: Encoder | None = None,
    ) -> None:
        """`recorder` is the recorder's name, which clips tell; `encoder` is its, for segments that name none."""
        self._archive = archive
        self.holds = holds
        self.workspaces = workspaces
        self.planner = ClipPlanner(archive, open_segments, logger)
        self._maker = ClipMaker(binary, logger, recorder, encoder)
        self._logger = logger
        self.saves = Turns(SAVES_AT_ONCE)
        self.fetches = Turns(FETCHES_AT_ONCE)
        self.streams = Turns(STREAMS_AT_ONCE)

    def early(self, container: str, comment: str = "", output: Path | None = None) -> EarlyClip:
        """To be given to `plan` and to `cut`, which then begins before there is a plan. `output` is where the clip is
        written; by default as `temporary` says."""
        return EarlyClip(self._maker.early(), container, comment, output)

    @contextlib.asynccontextmanager
    async def plan(
        self,
        from_us: int,
        to_us: int,
        check_size: CheckSize | None = None,
        turns: Turns | None = None,
        early: EarlyClip | None = None,
    ) -> AsyncIterator[Plan]:
        """Wait for a turn, then choose the segments of [from_us, to_us). They stay readable until the context ends.

        The turn is one of `turns`, by default of the fetches, and lasts as long. Until it comes the range is held, and
        nothing is stored for it. What makes the clip is loaded meanwhile, if it may begin `early`.

        Raises:
            NothingStoredError: nothing is stored in the range; `nearest` is the nearest stored range.
            UnreadableRangeError: what is stored there cannot be read.
            RequestError: `check_size` refuses the clip; before any work where it is far too large.
            VideoStoreError: the storage cannot be read at the moment.
        """
        total_bytes = 0
        if check_size is not None:
            total_bytes, largest_bytes, length_us = await self._archive.index.amount(from_us, to_us)
            # The clip may take almost nothing of the first and the last segment: refuse only what is far too large.
            if total_bytes > 4 * largest_bytes:
                asked_us = min(length_us, to_us - from_us)
                await check_size(min(total_bytes - 2 * largest_bytes, total_bytes * asked_us // length_us), asked_us)
        with self.holds.hold(from_us, to_us):
            path = self.workspaces.new_path()
            async with (
                (turns or self.fetches).turn(),
                self._loading(early if 0 < total_bytes <= FASTSTART_BYTES else None, path),
                self.workspaces.make(path=path) as work,
            ):
                links = SegmentLinks(self._archive.directory, work, read_only=self._archive.read_only)
                try:
                    plan = await self.planner.plan(Range(from_us, to_us), links, check=False)
                    if check_size is not None:
                        await check_size(plan.estimated_bytes, plan.length_us)
                    yield plan
                finally:
                    if links.holds_files:
                        await run_in_thread(links.close)
                    else:
                        links.close()

    def _loading(self, early: EarlyClip | None, work: Path | None) -> contextlib.AbstractAsyncContextManager[None]:
        if early is None or work is None:
            return contextlib.nullcontext()
        output = str(early.output or work / _CLIP)
        order = ClipOrder(output, early.container, early.comment, work)
        return early.join.loading(functools.partial(self._maker.expected, order))

    async def estimate(self, from_us: int, to_us: int) -> tuple[int, int]:
        """About how many bytes and microseconds a clip of the closed segments has; reads only the index."""
        total_bytes, _, length_us = await self._archive.index.amount(from_us, to_us)
        asked_us = min(length_us, to_us - from_us)
        return total_bytes * asked_us // max(length_us, 1), asked_us

    async def cut(
        self,
        plan: Plan,
        output: Path,
        *,
        container: str = "mp4",
        comment: str = "",
        on_progress: OnProgress | None = None,
        run_on_disk: RunOnDisk = _run_in_pool,
        early: EarlyClip | None = None,
    ) -> Plan:
        """Write the clip of a plan to a file, which must not exist.

        Returns the plan that was carried out: without what turned out to be unreadable. `on_progress` gets the share
        of the work that is done, from 0 to 1; `run_on_disk` runs what may wait for the disk of the file.

        Raises:
            FFmpegError: ffmpeg failed. As when cancelled, no file is left.
            RequestError: nothing of the plan can be read any more.
        """
        async with self._workspace(plan) as work:
            try:
                order = ClipOrder(str(output), container, comment, work)
                plan = await self._cut(plan, order, on_progress, early.join if early is not None else None)
                if not await run_on_disk(written_bytes, output):
                    raise RequestError("clip-empty")
                return plan
            except BaseException:
                await wait_a_moment(run_on_disk(remove_written, output))
                raise

    async def stream(
        self,
        plan: Plan,
        *,
        comment: str = "",
        on_plan: Callable[[Plan], None] | None = None,
        place: Place | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the clip of a plan as a fragmented MP4, block by block, as fast as it is taken. Nothing is stored.

        `on_plan` gets the plan that is carried out, before the first block. `place` is for a part of a longer stream.

        Raises:
            FFmpegError: ffmpeg failed or could not read all of the plan. The blocks before are not the whole clip.
            RequestError: nothing of the plan can be read.
        """
        async with self._workspace(plan) as work:
            order = ClipOrder("pipe:1", "fmp4", comment, work, place)

            async def prepare(plan: Plan, progress: CutProgress) -> CutCommand:
                return await self._maker.prepare(plan, progress, order)

            plan, progress, last = await self._attempt(plan, work, prepare)
            if on_plan is not None:
                on_plan(plan)
            begun = False
            async with self._maker.output(last, progress) as output:
                while block := await output.read(_BLOCK_BYTES):
                    begun = True
                    yield block
            self._maker.check_ended(begun)
            self._check_read_to_end(progress)
            if progress.complaints and await self._lost_some(plan, work, progress):
                raise self._incomplete(progress)

    @contextlib.asynccontextmanager
    async def _workspace(self, plan: Plan) -> AsyncIterator[Path]:
        """The workspace of the plan, if making the clip takes no more room than lists and edges."""
        if plan.work is not None and not plan.work_bytes:
            yield plan.work
            return
        async with self.workspaces.make(plan.work_bytes) as work:
            yield work

    @contextlib.asynccontextmanager
    async def temporary(self, size_bytes: int = 0, work: Path | None = None) -> AsyncIterator[Path]:
        """A path for a temporary clip of about this size, in the workspace `work` if there is room. Otherwise it is
        removed when the context ends."""
        async with self.workspaces.make(size_bytes, work) as work:
            yield work / _CLIP

    async def _cut(self, plan: Plan, order: ClipOrder, on_progress: OnProgress | None, early: EarlyJoin | None) -> Plan:
        async def run(plan: Plan, progress: CutProgress) -> None:
            await self._maker.make(plan, progress, order, early)

        plan, progress, _ = await self._attempt(plan, order.work, run, on_progress)
        self._check_read_to_end(progress)
        return plan

    async def _attempt(
        self,
        plan: Plan,
        work: Path,
        run: Callable[[Plan, CutProgress], Coroutine[Any, Any, _T]],
        on_progress: OnProgress | None = None,
    ) -> tuple[Plan, CutProgress, _T]:
        """Carry out a plan, and if ffmpeg fails or complains, one without what turns out to be damaged. The frames of
        a plan that is not checked are read at the same time.

        Returns the last plan that was tried, and what came of it.
        """
        for left in range(_ATTEMPTS, 0, -1):
            progress = CutProgress(plan.ffmpeg_us, on_progress)
            failure, result, better = None, None, None
            try:
                result, better = await self._run_and_check(plan, progress, work, run(plan, progress))
            except FFmpegError as error:
                failure = error
            except OSError as error:
                raise self._told(error, work) from error
            if better is None and left > 1 and (failure is not None or progress.complaints):
                better = await self.planner.replan(plan, work, chain.from_iterable(progress.decoded))
            if better is None:
                break
            self._maker.forget_failures()
            plan = better
        if failure is not None:
            raise failure
        return plan, progress, cast(_T, result)

    async def _run_and_check(
        self, plan: Plan, progress: CutProgress, work: Path, running: Coroutine[Any, Any, _T]
    ) -> tuple[_T | None, Plan | None]:
        """What comes of a run, and a better plan if some frames of this one are damaged: the run is given up then."""
        if plan.checked:
            return await running, None

        async def checked() -> Plan | None:
            await progress.begun.wait()
            return await self.planner.checked(plan, work)

        run, check = asyncio.ensure_future(running), asyncio.ensure_future(checked())
        run.add_done_callback(lambda _: progress.begun.set())
        try:
            better = await check
            return (None, better) if better is not None else (await run, None)
        finally:
            for task in (run, check):
                await end_task(task)
            if not run.cancelled():
                run.exception()  # asyncio logs an error that is never retrieved

    def _told(self, error: OSError, work: Path) -> VideoStoreError:
        """An error of the system while a clip was made. It says of which disk it is: a clip may go to another one."""
        if str(error.filename or "").startswith(str(work)):
            return VideoStoreError("clip-not-written", path=work, reason=reason_of(error))
        return VideoStoreError("storage-unreadable", path=self._archive.directory, reason=reason_of(error))

    async def _lost_some(self, plan: Plan, work: Path, progress: CutProgress) -> bool:
        """Whether part of a plan cannot be read."""
        try:
            return await self.planner.replan(plan, work, chain.from_iterable(progress.decoded)) is not None
        except (OSError, RequestError):
            return True

    def _check_read_to_end(self, progress: CutProgress) -> None:
        """Where ffmpeg cannot read on, it may end the clip there without failing.

        Raises:
            FFmpegError: it reported that it could not read on.
        """
        if progress.stopped_reading:
            raise self._incomplete(progress)

    def _incomplete(self, progress: CutProgress) -> FFmpegError:
        self._logger.error("A clip is incomplete: %s.", "; ".join(progress.complaints[:_REASONS]))
        return FFmpegError("clip-incomplete")
