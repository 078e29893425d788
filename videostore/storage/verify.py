"""Verifying: whether every segment of a storage directory decodes, and the index agrees with the files; and repairs.

Looking changes nothing, and goes on beside a recorder. Repairing takes the directory for itself, deletes nothing, and
puts aside what still cannot be read at all. What the system does not let us read stays where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import av.error

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import FFmpegError, NothingStoredError, VideoStoreError, reason_of
from videostore.base.files import sync_directory
from videostore.ffmpeg.process import ffmpeg_output, find_ffmpeg
from videostore.media.fmp4 import NotOursError, read_fragments
from videostore.media.segment import Segment, UnknownFileError, UnreadableError, probe
from videostore.media.segment_names import parse_open_name
from videostore.storage.archive import Archive
from videostore.storage.index import FILE_NAME, Index
from videostore.storage.orphan_processes import find_orphans
from videostore.storage.reconciler import Reconciler
from videostore.storage.segment_files import is_cut_off_behind, is_young, list_directory, read_through

DAMAGED_DIRECTORY = "damaged"
"""Below the storage path: where repairing puts what cannot be read. Nothing there counts, or is deleted."""
_SETTLED_S = 3.0
"""A live recorder has closed, indexed and deleted by then what it was at."""
_DATED_US = 1000
"""The Go module's rows tell milliseconds."""


class Problem(Enum):
    """What can be wrong; the value is how people are told."""

    INDEX_GONE = "the index cannot be read"
    NOT_INDEXED = "it is not in the index"
    NO_FILE = "the index knows it, but there is no such file"
    ROW_DIFFERS = "the index says something else than the file"
    NOT_CLOSED = "it was never closed, and nobody writes to it"
    UNREADABLE = "it cannot be read"
    BEING_WRITTEN = "it cannot be read, and may still be being written"
    NOT_READ = "it cannot be read just now, which says nothing of what it holds"
    CUT_OFF = "it has lost its end"
    DAMAGED = "it is damaged, and what follows there is kept but not shown"
    NOT_DECODED = "it does not decode"


REPAIRABLE = frozenset(
    {
        Problem.INDEX_GONE,
        Problem.NOT_INDEXED,
        Problem.NO_FILE,
        Problem.ROW_DIFFERS,
        Problem.NOT_CLOSED,
        Problem.UNREADABLE,
    }
)
"""The others stay as they are: clips hold what is whole of them."""
_NOTHING_READ = (UnreadableError, NotOursError, OSError, av.error.FFmpegError)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a file."""

    file_name: str
    problem: Problem
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The whole of it, for people."""
        return f"{self.file_name}: {self.problem.value}" + (f" ({self.detail})." if self.detail else ".")


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and what is wrong."""

    segments: int
    """Closed segments that were read."""
    decoded_frames: int
    findings: tuple[Finding, ...]


OnFile = Callable[[int, int], None]
"""Gets how many files were looked at, and how many there are."""


async def verify(
    directory: Path,
    *,
    decode: bool = True,
    binary: str | None = None,
    logger: logging.Logger | None = None,
    on_file: OnFile | None = None,
) -> Report:
    """Look at every segment of a storage directory; with `decode` each is decoded to its last frame.

    Raises:
        NothingStoredError: it is none.
        VideoStoreError: the directory cannot be read.
    """
    looking = _Look(directory, binary or find_ffmpeg(), logger or logging.getLogger("videostore"))
    try:
        return await looking.look(decode, on_file)
    except OSError as error:
        raise VideoStoreError(f"The storage at {directory} cannot be read: {reason_of(error)}.") from error


async def repair(directory: Path, findings: Iterable[Finding], *, logger: logging.Logger | None = None) -> None:
    """Put right what can be, in a directory to which nobody records.

    Segments that still cannot be read go to `damaged/`; what was not closed is closed; the index is made to agree.

    Raises:
        VideoStoreError: a recorder is using the directory, or it cannot be written to.
    """
    logger = logger or logging.getLogger("videostore")
    wrong = [one for one in findings if one.problem in REPAIRABLE]
    try:
        archive = await Archive.open(directory, logger, keep_unreadable=True)
        try:
            loop = asyncio.get_running_loop()
            unreadable = [one.file_name for one in wrong if one.problem is Problem.UNREADABLE]
            await loop.run_in_executor(None, _put_aside, directory, unreadable)
            await archive.forget(unreadable)
            for one in wrong:
                if one.problem is Problem.ROW_DIFFERS:
                    await archive.take_closed(one.file_name)
            await Reconciler(archive, logger).reconcile(lambda _: False)
        finally:
            await archive.close()
    except (OSError, sqlite3.Error) as error:
        raise VideoStoreError(f"The storage at {directory} cannot be repaired: {reason_of(error)}.") from error


def _put_aside(directory: Path, file_names: Iterable[str]) -> None:
    """Move those that still cannot be read: they may have been found so long ago."""
    names = [name for name in file_names if _is_unreadable(directory / name)]
    if not names:
        return
    aside = directory / DAMAGED_DIRECTORY
    aside.mkdir(exist_ok=True)
    for name in names:
        target, number = aside / name, 1
        while os.path.lexists(target):
            number += 1
            target = aside / f"{name}.{number}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(directory / name, target)
    sync_directory(aside)
    sync_directory(directory)


def _is_unreadable(path: Path) -> bool:
    try:
        if parse_open_name(path.name):
            read_fragments(path)
        else:
            _read(path)
    except _NOTHING_READ as error:
        found = _judge(path, error)
        return found is not None and found.problem is Problem.UNREADABLE
    except UnknownFileError:
        pass
    return False


def _judge(path: Path, error: Exception) -> Finding | None:
    """What it means that nothing could be read out of a file; None if it is gone. Blocking."""
    if isinstance(error, (UnreadableError, NotOursError)):
        try:
            read_through(path)  # libav takes an error of the disk for the end of the file
            problem = Problem.BEING_WRITTEN if is_young(path.lstat()) else Problem.UNREADABLE
            return Finding(path.name, problem, str(error))
        except OSError as passing:
            error = passing
    if isinstance(error, FileNotFoundError):
        return None
    return Finding(path.name, Problem.NOT_READ, reason_of(error))


class _Look:
    """One look at a directory."""

    def __init__(self, directory: Path, binary: str, logger: logging.Logger) -> None:
        self._directory = directory
        self._binary = binary
        self._logger = logger
        self._frames = 0

    async def look(self, decode: bool, on_file: OnFile | None) -> Report:
        loop = asyncio.get_running_loop()
        opened, closed = await loop.run_in_executor(None, list_directory, self._directory)
        if not opened and not closed and not (self._directory / FILE_NAME).exists():
            raise NothingStoredError(f"There is no recording in {self._directory}: name a storage directory.")
        findings = await self._not_closed(opened)
        rows, trouble = await self._rows()
        if trouble:
            findings.append(Finding(FILE_NAME, Problem.INDEX_GONE, trouble))
        done, segments, suspicious = 0, 0, list[Finding]()
        async for name, found, segment in self._files(sorted(closed), decode):
            done += 1
            if on_file is not None:
                on_file(done, len(closed))
            findings += found
            segments += segment is not None
            if segment is not None and not trouble:
                suspicious += _compare(rows.pop(name, None), segment)
            else:
                rows.pop(name, None)
        suspicious += [Finding(name, Problem.NO_FILE) for name in rows]
        findings += await self._look_again(suspicious)
        return Report(segments, self._frames, tuple(findings))

    async def _not_closed(self, opened: list[str]) -> list[Finding]:
        loop = asyncio.get_running_loop()
        left = await loop.run_in_executor(None, self._without_writer, opened)
        if not left:
            return []
        await asyncio.sleep(_SETTLED_S)  # one that was just finished gets its name in a moment, or a writer shows
        still = await loop.run_in_executor(None, self._without_writer, list(left))
        names = [name for name, state in still.items() if left[name] == state]
        return [one for name in names if (one := await loop.run_in_executor(None, self._left, name)) is not None]

    def _without_writer(self, names: list[str]) -> dict[str, tuple[int, int]]:
        """Those to which no process writes, each with its size and when it was last changed. Blocking."""
        runs = {name: run[0] for name in names if (run := parse_open_name(name))}
        writers = find_orphans(self._directory, set(runs.values()))
        left = {}
        for name, run_us in runs.items():
            if run_us not in writers:
                with contextlib.suppress(FileNotFoundError):
                    status = (self._directory / name).lstat()
                    left[name] = status.st_size, status.st_mtime_ns
        return left

    def _left(self, name: str) -> Finding | None:
        try:
            read_fragments(self._directory / name)
        except (NotOursError, OSError) as error:
            return _judge(self._directory / name, error)
        return Finding(name, Problem.NOT_CLOSED)

    async def _rows(self) -> tuple[dict[str, Segment], str | None]:
        """What the index says of each file; and why it cannot be asked."""
        if not (self._directory / FILE_NAME).exists():
            return {}, "there is none"
        index = await Index.open_snapshot(self._directory, self._logger)
        try:
            if index.incomplete:
                return {}, "it is damaged or locked"
            rows: dict[str, Segment] = {}
            after = None
            while batch := await index.oldest(5000, after):
                after = batch[-1].start_us, batch[-1].file_name
                rows.update((row.file_name, row) for row in batch)
            return rows, None
        except sqlite3.Error as error:
            return {}, reason_of(error)
        finally:
            await index.close()

    async def _look_again(self, suspicious: list[Finding]) -> list[Finding]:
        """What is still so a moment later: a recorder may have closed, indexed or deleted a segment meanwhile."""
        if not suspicious:
            return []
        await asyncio.sleep(_SETTLED_S)
        rows, _ = await self._rows()
        still = []
        for one in suspicious:
            there = os.path.lexists(self._directory / one.file_name)
            gone = one.problem is Problem.NO_FILE
            if (gone and not there and one.file_name in rows) or (
                not gone and there and (one.problem is Problem.ROW_DIFFERS or one.file_name not in rows)
            ):
                still.append(one)
        return still

    async def _files(self, names: list[str], decode: bool) -> AsyncIterator[tuple[str, list[Finding], Segment | None]]:
        """Look at some files at a time, one for each core."""
        waiting = list(reversed(names))
        tasks: set[asyncio.Task[tuple[str, list[Finding], Segment | None]]] = set()
        try:
            while waiting or tasks:
                while waiting and len(tasks) < (os.cpu_count() or 1):
                    tasks.add(asyncio.create_task(self._file(waiting.pop(), decode)))
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _file(self, name: str, decode: bool) -> tuple[str, list[Finding], Segment | None]:
        path = self._directory / name
        loop = asyncio.get_running_loop()
        try:
            segment, frames, lost = await loop.run_in_executor(None, _read, path)
        except UnknownFileError:
            return name, [], None
        except _NOTHING_READ as error:
            judged = await loop.run_in_executor(None, _judge, path, error)
            return name, [judged] if judged is not None else [], None
        found = []
        if lost is not None:
            found.append(Finding(name, lost))
        if decode:
            reason, decoded = await self._decode(path)
            self._frames += decoded
            if reason is None and frames is not None and decoded < frames:
                reason = f"{decoded} of {frames} frames"
            if reason is not None and path.exists():
                found.append(Finding(name, Problem.NOT_DECODED, reason))
        return name, found, segment

    async def _decode(self, path: Path) -> tuple[str | None, int]:
        """What ffmpeg complains of when it decodes a file to its end, and how many frames came out."""
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
        return (complaints[0] if complaints else None), frames


def _read(path: Path) -> tuple[Segment, int | None, Problem | None]:
    """What a file says of itself, how many frames can be read (None if it is foreign), and how the others were lost."""
    segment = probe(path)
    if segment.run_us is None:
        return segment, None, None
    try:
        content = read_fragments(path)
    except NotOursError as error:
        raise UnreadableError(str(error)) from error
    lost = None
    if not content.finished and content.size_bytes != path.stat().st_size:
        lost = Problem.CUT_OFF if is_cut_off_behind(path, content.size_bytes) else Problem.DAMAGED
    return segment, len(content.times_us), lost


def _compare(row: Segment | None, segment: Segment) -> list[Finding]:
    if row is None:
        return [Finding(segment.file_name, Problem.NOT_INDEXED)]
    differing = [
        name for name in ("size_bytes", "width", "height", "codec") if getattr(row, name) != getattr(segment, name)
    ]
    tolerance_us = 0 if segment.run_us is not None else _DATED_US
    if abs(row.start_us - segment.start_us) > tolerance_us or abs(row.end_us - segment.end_us) > tolerance_us:
        differing.append("its time")
    if not differing:
        return []
    return [Finding(segment.file_name, Problem.ROW_DIFFERS, ", ".join(differing))]
