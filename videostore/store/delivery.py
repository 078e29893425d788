"""Delivery: how a clip reaches whoever asked for it, as a file, as bytes or as a stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.clips.cutter import ClipCutter
from videostore.clips.limits import check_answer_size, check_clip_room
from videostore.clips.output_path import check_target
from videostore.clips.progress import OnProgress
from videostore.clips.uploads import Uploads, progress_path, publish
from videostore.store.results import FetchedClip

OnRanges = Callable[[tuple[Range, ...] | None], None]
"""Gets what a clip holds, where that is not all of its range; else None."""
_RANGE_BYTES = 128
"""What one of `ranges` takes of an answer."""


class Delivery:
    """Has clips cut, and hands them over whole."""

    def __init__(self, clips: ClipCutter, uploads: Uploads, storage: Path) -> None:
        """`storage` is the directory of the recording, to which no clip is written."""
        self._clips = clips
        self._uploads = uploads
        self._storage = storage

    async def upload(self, asked: Range, path: Path, metadata: str) -> tuple[Range, ...] | None:
        """Write a clip to its place in the upload path; tell what it holds, where that is not all.

        Raises:
            RequestError: there is nothing to write, or no room for it.
            VideoStoreError: it cannot be cut or written.
        """
        uploads = self._uploads
        with _writing(f"upload path {path.parent}"):
            return await self._write(asked, path, uploads.directory, metadata, prepare=uploads.make_directory)

    async def write(
        self,
        asked: Range,
        path: Path,
        *,
        metadata: str,
        container: str,
        overwrite: bool,
        on_progress: OnProgress | None,
    ) -> tuple[Range, ...] | None:
        """The same to any file of a directory that is there, outside of the recording.

        Raises:
            RequestError: there is nothing to write, or no room for it, or the file may not be written.
            VideoStoreError: it cannot be cut or written.
        """
        with _writing(f"directory {path.parent}"):
            target = await self._uploads.run(check_target, path, self._storage, overwrite)
            return await self._write(
                asked, target, target.parent, metadata, container, on_progress, overwrite=overwrite
            )

    async def read(self, asked: Range, container: str, limit_bytes: int) -> FetchedClip:
        """A clip as bytes.

        Raises:
            TooLargeError: it would have more than `limit_bytes`.
            RequestError: there is nothing to read.
        """

        async def check(size_bytes: int, length_us: int) -> None:
            check_answer_size(size_bytes, length_us, limit_bytes)

        async with (
            self._clips.plan(asked.from_us, asked.to_us, check) as plan,
            self._clips.temporary(plan.output_bytes) as path,
        ):
            plan = await self._clips.cut(plan, path, container=container)
            if not plan.complete:
                limit_bytes -= _RANGE_BYTES * len(plan.ranges)
            await check(path.stat().st_size, plan.longest_us)
            data = await asyncio.get_running_loop().run_in_executor(None, path.read_bytes)
            return FetchedClip(data, None if plan.complete else plan.ranges)

    async def stream(self, asked: Range, metadata: str, on_ranges: OnRanges | None) -> AsyncGenerator[bytes, None]:
        """A clip block by block; `on_ranges` is called before the first.

        Raises:
            RequestError: there is nothing to read.
            FFmpegError: it cannot be cut to its end.
        """
        async with (
            self._clips.plan(asked.from_us, asked.to_us) as plan,
            contextlib.aclosing(self._clips.stream(plan, comment=metadata)) as blocks,
        ):
            if on_ranges is not None:
                on_ranges(None if plan.complete else plan.ranges)
            async for block in blocks:
                yield block

    async def _write(
        self,
        asked: Range,
        path: Path,
        device: Path,
        metadata: str,
        container: str = "mp4",
        on_progress: OnProgress | None = None,
        *,
        overwrite: bool = True,
        prepare: Callable[[Path], None] | None = None,
    ) -> tuple[Range, ...] | None:
        async def check(size_bytes: int, length_us: int) -> None:
            await self._uploads.run(check_clip_room, device, size_bytes, length_us)

        async with self._clips.plan(asked.from_us, asked.to_us, check) as plan:
            await check(plan.output_bytes, plan.longest_us)
            if prepare is not None:
                await self._uploads.run(prepare, path.parent)
            progress = progress_path(path)
            try:
                plan = await self._clips.cut(
                    plan, progress, container=container, comment=metadata, for_save=True, on_progress=on_progress
                )
                await self._uploads.run(publish, progress, path, overwrite)
            finally:
                progress.unlink(missing_ok=True)
            return None if plan.complete else plan.ranges


@contextlib.contextmanager
def _writing(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VideoStoreError(f"The clip cannot be written to the {where}: {reason_of(error)}.") from error
