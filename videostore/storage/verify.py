"""Verifying a storage directory: whether every segment decodes, and whether the index agrees with the files.

It changes nothing, and works while a recorder uses the directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from videostore.base.errors import NothingStoredError, VideoStoreError, reason_of
from videostore.base.files import AnyPath, as_path
from videostore.base.ranges import MOST_DAMAGED, DamagedRange, Range, merge_damaged
from videostore.base.tasks import off_loop
from videostore.ffmpeg.process import check_version, find_ffmpeg
from videostore.media.segment import Segment, UnknownFileError
from videostore.media.segment_names import parse_open_name
from videostore.storage.decoding import decode_border, decode_file
from videostore.storage.findings import Finding, Problem, VerificationReport
from videostore.storage.index import FILE_NAME, Index
from videostore.storage.orphan_processes import find_orphans
from videostore.storage.replaced_files import kind_in_place
from videostore.storage.segment_check import (
    compare_with_row,
    content_findings,
    open_finding,
    read_content,
    read_errors,
    read_finding,
)
from videostore.storage.segment_files import list_directory
from videostore.storage.succession import follows

_SETTLED_S = 3.0
"""After this time a running recorder has closed, indexed or deleted the segment that it was working on."""
_ROWS = 5000
"""Rows of the index read in one go."""

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


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was found in a file."""

    name: str
    findings: Sequence[Finding] = ()
    segment: Segment | None = None
    """None if it cannot be read, or is no recording."""
    leading: int = 0
    """How many of its frames are shown before its first one, and need the file before."""

    @property
    def start_us(self) -> int:
        """When it begins; 0 if that cannot be read."""
        return self.segment.start_us if self.segment is not None else 0

    @property
    def is_marked(self) -> bool:
        """Whether some of it came damaged from the camera."""
        return self.segment is not None and bool(self.segment.damaged)


class _Verification:
    """One check of a directory."""

    def __init__(self, directory: Path, binary: str, logger: logging.Logger) -> None:
        self._directory = directory
        self._binary = binary
        self._logger = logger
        self._decoded_frames = 0

    async def run(self, decode: bool, on_file: OnFile | None) -> VerificationReport:
        loop = asyncio.get_running_loop()
        opened, closed, replaced = await loop.run_in_executor(None, list_directory, self._directory)
        if not opened and not closed and not replaced and not await off_loop((self._directory / FILE_NAME).exists):
            raise NothingStoredError("no-recording", path=self._directory)
        findings = await self._check_open(opened)
        rows, trouble = await self._rows()
        if trouble:
            findings.append(Finding(FILE_NAME, Problem.INDEX_GONE, trouble))
        findings += await off_loop(_replaced_findings, self._directory, replaced, rows)
        done, segments, suspected, damaged = 0, 0, list[Finding](), list[DamagedRange]()
        bordering: list[_Checked] = []
        async for one in _each(functools.partial(self._check, name, decode, rows.get(name)) for name in sorted(closed)):
            done += 1
            if on_file is not None:
                on_file(done, len(closed))
            findings += one.findings
            row = rows.pop(one.name, None)
            if one.segment is None:
                continue
            segments += 1
            damaged += one.segment.damaged
            if not trouble:
                suspected += compare_with_row(one.segment, row)
            if one.segment.run_us is not None:
                number = row.run_number if row is not None else None
                bordering.append(replace(one, segment=replace(one.segment, run_number=number)))
        if decode:
            async for one in _each(functools.partial(self._check_border, *pair) for pair in _borders(bordering)):
                findings += one.findings
        suspected += [_with_times(Finding(name, Problem.NO_FILE), row) for name, row in rows.items()]
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

    async def _check(self, name: str, decode: bool, row: Segment | None) -> _Checked:
        path = self._directory / name
        loop = asyncio.get_running_loop()
        try:
            content = await loop.run_in_executor(None, read_content, path, row)
        except UnknownFileError:
            return _Checked(name)
        except read_errors() as error:
            finding = await loop.run_in_executor(None, read_finding, path, error)
            return _Checked(name, [_with_times(finding, row)] if finding is not None else [])
        found = content_findings(content)
        if decode:
            alone = None if content.frames is None else content.frames - content.leading
            decoded = await decode_file(self._binary, path, alone)
            self._decoded_frames += decoded.frames
            if decoded.complaint is not None and not content.segment.damaged and await off_loop(path.exists):
                found.append(Finding(name, Problem.NOT_DECODED, decoded.complaint, (), decoded.missing or None))
        return _Checked(name, found, content.segment, content.leading)

    async def _check_border(self, one: _Checked, other: _Checked) -> _Checked:
        """The frames at the beginning of a file that need the one before."""
        paths = self._directory / one.name, self._directory / other.name
        decoded = await decode_border(self._binary, *paths)
        if decoded is None:
            return _Checked(other.name)
        self._decoded_frames += max(0, other.leading - decoded.missing)
        whole = not (one.findings or other.findings or one.is_marked or other.is_marked)
        if decoded.complaint is None or not whole or not all([await off_loop(path.exists) for path in paths]):
            return _Checked(other.name)
        return _Checked(other.name, [Finding(other.name, Problem.NOT_DECODED, decoded.complaint)])


def _replaced_findings(directory: Path, names: list[str], rows: dict[str, Segment]) -> list[Finding]:
    """Names of segments that are no files; what the index says of them is taken out of its rows. Blocking."""
    kinds = {name: kind_in_place(directory / name) for name in sorted(names)}
    found = [(name, kind, rows.pop(name, None)) for name, kind in kinds.items() if kind is not None]
    return [_with_times(Finding(name, Problem.REPLACED, f"it is {kind}"), row) for name, kind, row in found]


def _with_times(finding: Finding, row: Segment | None) -> Finding:
    """The finding of a file of which nothing can be read, with what the index knows of it."""
    if row is None:
        return finding
    return replace(finding, missing=(Range(row.start_us, row.end_us),))


async def _each(jobs: Iterable[Callable[[], Coroutine[Any, Any, _Checked]]]) -> AsyncIterator[_Checked]:
    """What jobs return, as soon as each is done. They run at the same time, one for each core."""
    waiting = iter(jobs)
    tasks: set[asyncio.Task[_Checked]] = set()
    try:
        while True:
            following = islice(waiting, (os.cpu_count() or 1) - len(tasks))
            tasks |= {asyncio.create_task(job()) for job in following}
            if not tasks:
                return
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _borders(checked: Iterable[_Checked]) -> Iterator[tuple[_Checked, _Checked]]:
    """The files that begin with frames of the segment before, each with that one. Where it is gone, nothing can decode
    these frames, and they are no part of the recording."""
    last: dict[int, _Checked] = {}
    for one in sorted(checked, key=lambda one: one.start_us):
        if one.segment is None or one.segment.run_us is None:
            continue
        before = last.get(one.segment.run_us)
        if one.leading and before is not None and before.segment is not None and follows(before.segment, one.segment):
            yield before, one
        last[one.segment.run_us] = one
