"""Verifying a storage directory: whether every segment decodes, and whether the index agrees with the files.

It changes nothing, and works while a recorder uses the directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import FFmpegError, NothingStoredError, VideoStoreError, reason_of
from videostore.base.files import AnyPath, as_path
from videostore.base.ranges import MOST_DAMAGED, DamagedRange, merge_damaged
from videostore.base.tasks import off_loop
from videostore.ffmpeg.process import check_version, ffmpeg_output, find_ffmpeg
from videostore.media.segment import Segment, UnknownFileError
from videostore.media.segment_names import parse_open_name
from videostore.storage.findings import Finding, Problem, VerificationReport
from videostore.storage.index import FILE_NAME, Index
from videostore.storage.orphan_processes import find_orphans
from videostore.storage.segment_check import (
    READ_ERRORS,
    compare_with_row,
    content_findings,
    open_finding,
    read_content,
    read_finding,
)
from videostore.storage.segment_files import list_directory

_SETTLED_S = 3.0
"""After this time a running recorder has closed, indexed or deleted the segment that it was working on."""
_ROWS = 5000
"""Rows of the index read in one go."""

_MISSING = re.compile(r"mmco: unref|[Rr]eference picture|co located POCs|number of reference frames|Could not find ref")
"""What decoders report where a file begins with an open GOP, and what they may refer to is in the file before."""

OnFile = Callable[[int, int], None]
"""Called with the number of files that have been checked, and the number of all files."""


async def verify_directory(
    directory: AnyPath,
    *,
    decode: bool = True,
    binary: AnyPath | None = None,
    logger: logging.Logger | None = None,
    on_file: OnFile | None = None,
) -> VerificationReport:
    """Check every segment of a storage directory. Nothing is changed, and a recorder may be using the directory.

    Args:
        directory: The storage directory: anything that `os.fspath` takes.
        decode: Whether each segment is decoded to its last frame, which takes most of the time.
        binary: The ffmpeg that decodes; by default the one that recording uses.
        logger: Gets what happens on the way; the logger `videostore` by default.
        on_file: Called after each file.

    Returns:
        How much was checked, and what is wrong. `repair_directory` takes the findings.

    Raises:
        NothingStoredError: the directory holds no recording (`no-recording`).
        VideoStoreError: the directory does not exist (`storage-missing`) or cannot be read (`storage-unreadable`).
        FFmpegError: there is no usable ffmpeg.
    """
    path = as_path(directory)
    ffmpeg = os.fsdecode(binary) if binary else await off_loop(find_ffmpeg)
    if decode:
        await check_version(ffmpeg)
    verification = _Verification(path, ffmpeg, logger or logging.getLogger("videostore"))
    try:
        return await verification.run(decode, on_file)
    except FileNotFoundError as error:
        raise VideoStoreError("storage-missing", path=path) from error
    except OSError as error:
        raise VideoStoreError("storage-unreadable", path=path, reason=reason_of(error)) from error


class _Verification:
    """One check of a directory."""

    def __init__(self, directory: Path, binary: str, logger: logging.Logger) -> None:
        self._directory = directory
        self._binary = binary
        self._logger = logger
        self._decoded_frames = 0

    async def run(self, decode: bool, on_file: OnFile | None) -> VerificationReport:
        loop = asyncio.get_running_loop()
        opened, closed = await loop.run_in_executor(None, list_directory, self._directory)
        if not opened and not closed and not await off_loop((self._directory / FILE_NAME).exists):
            raise NothingStoredError("no-recording", path=self._directory)
        findings = await self._check_open(opened)
        rows, trouble = await self._rows()
        if trouble:
            findings.append(Finding(FILE_NAME, Problem.INDEX_GONE, trouble))
        done, segments, suspected, damaged = 0, 0, list[Finding](), list[DamagedRange]()
        async for name, found, segment in self._check_all(sorted(closed), decode):
            done += 1
            if on_file is not None:
                on_file(done, len(closed))
            findings += found
            segments += segment is not None
            damaged += segment.damaged if segment is not None else ()
            row = rows.pop(name, None)
            if segment is not None and not trouble:
                suspected += compare_with_row(segment, row)
        suspected += [Finding(name, Problem.NO_FILE) for name in rows]
        findings += await self._confirm(suspected)
        came_damaged = merge_damaged(damaged, MOST_DAMAGED)
        return VerificationReport(segments, self._decoded_frames, tuple(findings), came_damaged)

    # Open segments

    async def _check_open(self, opened: list[str]) -> list[Finding]:
        loop = asyncio.get_running_loop()
        left = await loop.run_in_executor(None, self._without_writer, opened)
        if not left:
            return []
        await asyncio.sleep(_SETTLED_S)  # meanwhile a finished segment is renamed, and one being written grows
        still = await loop.run_in_executor(None, self._without_writer, list(left))
        paths = [self._directory / name for name, state in still.items() if left[name] == state]
        return [one for path in paths if (one := await loop.run_in_executor(None, open_finding, path)) is not None]

    def _without_writer(self, names: list[str]) -> dict[str, tuple[int, int]]:
        """Those that no process writes, with their sizes and the times of their last changes. Blocking."""
        runs = {name: run[0] for name in names if (run := parse_open_name(name))}
        writers = find_orphans(self._directory, set(runs.values()))
        left = {}
        for name, run_us in runs.items():
            if run_us not in writers:
                with contextlib.suppress(FileNotFoundError):
                    status = (self._directory / name).lstat()
                    left[name] = status.st_size, status.st_mtime_ns
        return left

    # The index

    async def _rows(self) -> tuple[dict[str, Segment], str | None]:
        """The rows of the index by file name, and why it cannot be read."""
        if not await off_loop((self._directory / FILE_NAME).exists):
            return {}, "it does not exist"
        index = await Index.open_snapshot(self._directory, self._logger)
        try:
            if index.incomplete:
                return {}, "it is damaged or locked"
            rows: dict[str, Segment] = {}
            after = None
            while batch := await index.oldest(_ROWS, after):
                after = batch[-1].start_us, batch[-1].file_name
                rows.update((row.file_name, row) for row in batch)
            return rows, None
        except sqlite3.Error as error:
            return {}, reason_of(error)
        finally:
            await index.close()

    async def _confirm(self, suspected: list[Finding]) -> list[Finding]:
        """Those that still hold a moment later: a recorder may have closed, indexed or deleted a segment meanwhile."""
        if not suspected:
            return []
        await asyncio.sleep(_SETTLED_S)
        rows, _ = await self._rows()
        confirmed = []
        for one in suspected:
            exists = await off_loop(os.path.lexists, self._directory / one.file_name)
            if one.problem is Problem.NO_FILE:
                holds = not exists and one.file_name in rows
            else:
                holds = exists and (one.problem is Problem.ROW_DIFFERS or one.file_name not in rows)
            if holds:
                confirmed.append(one)
        return confirmed

    # Closed segments

    async def _check_all(
        self, names: list[str], decode: bool
    ) -> AsyncIterator[tuple[str, list[Finding], Segment | None]]:
        """Check files at the same time, one for each core."""
        waiting = list(reversed(names))
        tasks: set[asyncio.Task[tuple[str, list[Finding], Segment | None]]] = set()
        try:
            while waiting or tasks:
                while waiting and len(tasks) < (os.cpu_count() or 1):
                    tasks.add(asyncio.create_task(self._check(waiting.pop(), decode)))
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _check(self, name: str, decode: bool) -> tuple[str, list[Finding], Segment | None]:
        path = self._directory / name
        loop = asyncio.get_running_loop()
        try:
            content = await loop.run_in_executor(None, read_content, path)
        except UnknownFileError:
            return name, [], None
        except READ_ERRORS as error:
            finding = await loop.run_in_executor(None, read_finding, path, error)
            return name, [finding] if finding is not None else [], None
        found = content_findings(content)
        if decode:
            complaints, decoded_frames = await self._decode(path)
            self._decoded_frames += decoded_frames
            if content.leading:  # decoders say that what comes before the file is missing
                complaints = [one for one in complaints if not _MISSING.search(one)]
            complaint = complaints[0] if complaints else None
            alone = None if content.frames is None else content.frames - content.leading
            if complaint is None and alone is not None and decoded_frames < alone:
                complaint = f"{decoded_frames} of {alone} frames"
            if complaint is not None and not content.segment.damaged and await off_loop(path.exists):
                found.append(Finding(name, Problem.NOT_DECODED, complaint))
        return name, found, content.segment

    async def _decode(self, path: Path) -> tuple[list[str], int]:
        """Decode a file to its end: the first errors of ffmpeg, and the number of frames."""
        command = [self._binary, "-hide_banner", "-nostats", "-loglevel", "level+error", "-threads", "1"]
        command += ["-i", f"file:{path}", "-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base", "1/1000000"]
        command += ["-f", "null", "-progress", "pipe:1", "-"]
        complaints: list[str] = []
        frames = 0
        try:
            async with ffmpeg_output(command, niceness=CUT_NICENESS, complaints=complaints) as output:
                async for line in output:
                    name, _, value = line.decode(errors="replace").strip().partition("=")
                    if name == "frame" and value.isdigit():
                        frames = int(value)
        except FFmpegError as error:
            complaints = complaints or [str(error)]
        return complaints, frames
