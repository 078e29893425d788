"""Delivery: makes the clip of a request, and returns it as a file, as bytes or as a stream."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from videostore.base.constants import MIB
from videostore.base.errors import FFmpegError, VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.clips.clip_content import ClipContent
from videostore.clips.cutter import ClipCutter, EarlyClip
from videostore.clips.limits import check_clip_room, check_response_size
from videostore.clips.long_stream import LongStream
from videostore.clips.output_path import CLIP, check_output_path
from videostore.clips.plan import Plan
from videostore.clips.plan_head import begins_late, far_before_us
from videostore.clips.progress import OnProgress
from videostore.clips.turns import Turns
from videostore.clips.uploads import Uploads, publish
from videostore.storage.write_room import try_to_write
from videostore.store.answer_budget import AnswerRoom
from videostore.store.results import FetchedClip, OnDamaged, OnRanges

_READ_BYTES = MIB
_RANGE_BYTES = 128
"""The most that one entry of `ranges` or of `damaged` takes in a response."""


class Delivery:
    """Makes clips and delivers each complete or not at all."""

    def __init__(self, clips: ClipCutter, uploads: Uploads, storage: Path, long: LongStream) -> None:
        """`storage` is the directory of the recording, into which no clip is written."""
        self._clips = clips
        self._long = long
        self._uploads = uploads
        self._storage = storage

    async def upload(
        self, asked: Range, path: Path, metadata: str, container: str, *, claimed: bool = False
    ) -> tuple[Path, ClipContent]:
        """Write a clip to its place in the upload path. Returns its path, and what it holds.

        If another process has taken the name meanwhile, the clip gets the next one that is free; if its name was
        `claimed`, it gets none.

        Raises:
            RequestError: nothing is stored in the range, or the disk has no room for the clip.
            VideoStoreError: the clip cannot be made or written.
        """
        uploads = self._uploads
        publish_as = uploads.publish_claimed if claimed else uploads.publish_free
        with _writing(path.parent, to_upload_path=True):
            return await uploads.limited(
                self._write(
                    asked,
                    path,
                    uploads.directory,
                    metadata,
                    container,
                    publish_as=publish_as,
                    prepare=uploads.make_directory,
                )
            )

    async def write(
        self,
        asked: Range,
        path: Path,
        *,
        metadata: str,
        container: str,
        overwrite: bool,
        on_progress: OnProgress | None,
    ) -> ClipContent:
        """Write a clip to any file in an existing directory outside the recording. Returns what it holds.

        Raises:
            RequestError: nothing is stored in the range, the disk has no room, or the file must not be written.
            VideoStoreError: the clip cannot be made or written.
        """
        with _writing(path.parent):
            output = await self._uploads.run(check_output_path, path, self._storage, overwrite, CLIP)
            publish_as = functools.partial(publish, overwrite=overwrite)
            _, content = await self._write(
                asked, output, output.parent, metadata, container, on_progress, publish_as=publish_as
            )
            return content

    async def read(self, asked: Range, container: str, limit_bytes: int, room: AnswerRoom | None = None) -> FetchedClip:
        """A clip as bytes. With `room`, it waits for its place there before it takes memory: a clip that is not made
        yet, because its disk hangs, keeps no room from others.

        Raises:
            TooLargeError: it would be larger than `limit_bytes`.
            RequestError: nothing is stored in the range.
        """

        async def check(size_bytes: int, length_us: int) -> None:
            check_response_size(size_bytes, length_us, limit_bytes)

        early = self._clips.early(container)
        async with (
            self._clips.plan(asked.from_us, asked.to_us, check, early=early) as plan,
            self._clips.temporary(plan.output_bytes, plan.work) as path,
        ):
            plan = await self._cut(plan, path, container, early)
            content = plan.content
            limit_bytes -= _RANGE_BYTES * (len(content.ranges or ()) + len(content.damaged))
            size_bytes = (await off_loop(path.stat)).st_size
            await check(size_bytes, plan.length_us)
            if room is not None:
                await room.take(size_bytes)
            data = await off_loop(path.read_bytes)
            return FetchedClip(data, content.ranges, content.damaged)

    async def stream(
        self,
        asked: Range,
        metadata: str,
        on_ranges: OnRanges | None,
        on_damaged: OnDamaged | None = None,
        turns: Turns | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield a clip block by block; `on_ranges` and `on_damaged` are called before the first block. The turn is one
        of `turns`, by default of the streams.

        Raises:
            RequestError: nothing is stored in the range.
            FFmpegError: the clip cannot be made to its end.
        """

        def tell(plan: Plan) -> None:
            if on_ranges is not None:
                on_ranges(plan.content.ranges)
            if on_damaged is not None and plan.damaged:
                on_damaged(plan.damaged)

        async with (
            self._clips.plan(asked.from_us, asked.to_us, turns=turns or self._clips.streams) as plan,
            contextlib.aclosing(self._clips.stream(plan, comment=metadata, on_plan=tell)) as blocks,
        ):
            async for block in blocks:
                yield block

    async def codecs(self, asked: Range) -> set[str]:
        """The codecs of what is stored of a range, or of its beginning if it is very long."""
        return await self._long.formats.codecs(asked)

    async def video(self, asked: Range, container: str, *, follow: bool = False) -> AsyncGenerator[bytes, None]:
        """Yield a clip block by block: an `mp4` when it is made, an `fmp4` while it is made, from its beginning on.

        To follow the recording, `asked` may end at any time in the future. While there is nothing new, empty blocks
        come.

        Raises:
            RequestError: nothing is stored in the range, the disk has no room, or its turn does not come in time.
            FFmpegError: the clip cannot be made to its end.
        """
        making = self._fragments(asked, follow=follow) if container == "fmp4" else self._file(asked)
        async with contextlib.aclosing(making) as blocks:
            async for block in blocks:
                yield block

    async def _fragments(self, asked: Range, *, follow: bool) -> AsyncGenerator[bytes, None]:
        format = None if follow else await self._long.formats.find(asked)
        if format is None and not follow:
            async with self._clips.plan(asked.from_us, asked.to_us, turns=self._long.turns) as plan:
                if not (begins_late(plan) or await off_loop(_is_far, plan)):
                    async with contextlib.aclosing(self._clips.stream(plan)) as blocks:
                        async for block in blocks:
                            yield block
                    return
            format = await self._long.formats.find(asked, short=True)
        begun = False
        try:
            async with contextlib.aclosing(self._long.blocks(asked, format, follow=follow)) as blocks:
                async for block in blocks:
                    begun = begun or bool(block)
                    yield block
            return
        except FFmpegError as error:
            if begun or follow or error.code != "stream-format-changed":
                raise
        async with contextlib.aclosing(self.stream(asked, "", None, turns=self._long.turns)) as blocks:
            async for block in blocks:
                yield block

    async def _file(self, asked: Range) -> AsyncGenerator[bytes, None]:
        async with self.temporary(asked) as (path, _):
            file = await off_loop(_open, path)
            try:
                while block := await off_loop(file.read, _READ_BYTES):
                    yield block
            finally:
                await off_loop(file.close)

    @contextlib.asynccontextmanager
    async def temporary(self, asked: Range) -> AsyncIterator[tuple[Path, ClipContent]]:
        """An `mp4` in a file that is removed when the context ends.

        Raises:
            RequestError: nothing is stored in the range, the disk has no room, or its turn does not come in time.
            FFmpegError: the clip cannot be made.
        """
        async with contextlib.AsyncExitStack() as making, contextlib.AsyncExitStack() as sending:
            plan = await making.enter_async_context(
                self._clips.plan(asked.from_us, asked.to_us, turns=self._long.turns)
            )
            path = await sending.enter_async_context(self._clips.temporary(plan.output_bytes))
            plan = await self._cut(plan, path)
            await making.aclose()  # the recording is needed no more, however long a client takes
            yield path, plan.content

    async def _cut(self, plan: Plan, path: Path, container: str = "mp4", early: EarlyClip | None = None) -> Plan:
        """Make a temporary clip. If that fails and the file cannot be written, it says why."""
        try:
            return await self._clips.cut(plan, path, container=container, early=early)
        except FFmpegError:
            with _writing(path.parent):
                await off_loop(try_to_write, path, plan.output_bytes)
            raise

    async def _write(
        self,
        asked: Range,
        path: Path,
        device: Path,
        metadata: str,
        container: str,
        on_progress: OnProgress | None = None,
        *,
        publish_as: Callable[[Path, Path], Path],
        prepare: Callable[[Path], None] | None = None,
    ) -> tuple[Path, ClipContent]:
        uploads = self._uploads

        async def check(size_bytes: int, length_us: int) -> None:
            await uploads.run(check_clip_room, device, size_bytes, length_us)

        progress = await uploads.run(uploads.progress_path, path)
        early = self._clips.early(container, metadata, progress)
        made: tuple[Path, ClipContent] | None = None
        try:
            async with self._clips.plan(asked.from_us, asked.to_us, check, self._clips.saves, early) as plan:
                if plan.output_bytes > plan.estimated_bytes:
                    await check(plan.output_bytes, plan.length_us)
                if prepare is not None:
                    await uploads.run(prepare, path.parent)
                try:
                    plan = await self._clips.cut(
                        plan,
                        progress,
                        container=container,
                        comment=metadata,
                        on_progress=uploads.progress(on_progress),
                        run_on_disk=uploads.run,
                        early=early,
                    )
                except FFmpegError:
                    with contextlib.suppress(VideoStoreError):
                        await uploads.run(try_to_write, progress, plan.output_bytes)  # says why, if that is the disk
                    raise
                made = await uploads.publish(publish_as, progress, path), plan.content
                if on_progress is not None:
                    on_progress(1.0)  # ffmpeg 5.1 reports no end
        except asyncio.CancelledError:
            if made is None:
                raise
        return made


def _is_far(plan: Plan) -> bool:
    """Whether much must be decoded before the first frame of a plan. Blocking."""
    return far_before_us(plan) is not None


def _open(path: Path) -> BinaryIO:
    """Blocking."""
    return path.open("rb")


@contextlib.contextmanager
def _writing(directory: Path, *, to_upload_path: bool = False) -> Iterator[None]:
    """Turns an error of the system into one that names the directory."""
    try:
        yield
    except OSError as error:
        reason = reason_of(error)
        if to_upload_path:
            raise VideoStoreError("clip-not-uploaded", path=directory, reason=reason) from error
        raise VideoStoreError("clip-not-written", path=directory, reason=reason) from error
