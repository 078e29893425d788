"""Cutting clips: how ffmpeg cuts a range of the recording to the frame, without encoding anew."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import ffmpeg

from videostore.base.constants import (
    CUT_NICENESS,
    FASTSTART_BYTES,
    KNOWN_WITHIN_S,
    NEIGHBOUR_US,
    RANGE_SLOP_US,
    REENCODED_FACTOR,
    US_PER_SECOND,
)
from videostore.base.errors import (
    FFmpegError,
    NothingStoredError,
    RequestError,
    UnreadableRangeError,
    VideoStoreError,
    reason_of,
    shown,
)
from videostore.base.ranges import Range, merge_ranges
from videostore.base.time_format import format_utc_exact
from videostore.clips.plan import ClipPart, Plan, groups_of, make_plan, sort_segments
from videostore.clips.progress import CutProgress, OnProgress
from videostore.clips.segment_links import SegmentLinks
from videostore.clips.workspace import Workspaces
from videostore.ffmpeg.options import _EXACT_TIMES, _REENCODED
from videostore.ffmpeg.process import ffmpeg_output, loglevel
from videostore.media.segment import Segment
from videostore.storage.archive import Archive
from videostore.storage.retention_holds import RetentionHolds

FETCHES_AT_ONCE = 2
SAVES_AT_ONCE = 1
STREAMS_AT_ONCE = 4
"""ffmpeg children that cut clips at the same time; the rest wait in order. Long saves must not keep fetches waiting,
nor must streams, which last as long as their reader takes."""

_BLOCK_BYTES = 1 << 16
_BROKEN_OFF = re.compile(
    r"Impossible to open|Error during demuxing|Error retrieving a packet|Input/output error|No such file"
)
"""What ffmpeg says of an input that it could not read to its end."""
_REASONS = 3
_FRAGMENTED = "+frag_keyframe+empty_moov+default_base_moof"


CheckSize = Callable[[int, int], Awaitable[None]]
"""Gets the bytes that a clip is about to take, and its length in microseconds; raises RequestError if it may not."""

OpenSegments = Callable[[int, int], Awaitable[list[tuple[Segment, Path]]]]
"""Segments that are not closed, or not yet in the index, and overlap a range."""


class ClipCutter:
    """Cuts clips out of one storage directory. Owns every ffmpeg that it starts."""

    def __init__(
        self,
        archive: Archive,
        holds: RetentionHolds,
        workspaces: Workspaces,
        binary: str,
        logger: logging.Logger,
        open_segments: OpenSegments,
    ) -> None:
        self._archive = archive
        self._holds = holds
        self._workspaces = workspaces
        self._directory = archive.directory
        self._binary = binary
        self._logger = logger
        self._open_segments = open_segments
        self._save_turn = asyncio.Semaphore(SAVES_AT_ONCE)
        self._fetch_turn = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._stream_turn = asyncio.Semaphore(STREAMS_AT_ONCE)

    @contextlib.asynccontextmanager
    async def plan(self, from_us: int, to_us: int, check_size: CheckSize | None = None) -> AsyncIterator[Plan]:
        """Choose the segments of [from_us, to_us); until the context ends, nobody can take them away.

        Raises:
            NothingStoredError: nothing at all is stored in the range; the sentence names the nearest that is.
            RequestError: `check_size` refuses the clip, before any work where its size is far beyond.
        """
        if check_size is not None:
            total_bytes, largest_bytes, length_us = await self._archive.index.amount(from_us, to_us)
            # Of the first and the last the clip may take next to nothing: what lies far beyond is refused at once.
            if total_bytes > 4 * largest_bytes:
                asked_us = min(length_us, to_us - from_us)
                await check_size(min(total_bytes - 2 * largest_bytes, total_bytes * asked_us // length_us), asked_us)
        asked = Range(from_us, to_us)
        with self._holds.hold(from_us, to_us):
            async with self._workspaces.make() as work:
                with SegmentLinks(self._directory, work, read_only=self._archive.read_only) as pins:
                    try:
                        found = await self._find_known(asked, work, pins)
                        plan = await self._plan(asked, found, work)
                    except OSError as error:
                        raise VideoStoreError(f"The recording cannot be read just now: {reason_of(error)}.") from error
                    if not plan.parts:
                        raise await self._nothing_stored(plan)
                    if check_size is not None:
                        await check_size(plan.estimated_bytes, plan.longest_us)
                    yield plan

    async def _find_known(self, asked: Range, work: Path, pins: SegmentLinks) -> list[tuple[Segment, Path]]:
        """What is stored of the range; not what an index knows that has just been lost."""
        while True:
            await self._archive.known(asked.from_us, KNOWN_WITHIN_S)
            try:
                found = await self._find(asked, work, pins)
            except FileNotFoundError:
                if not self._archive.read_only:
                    raise
                continue  # somebody else closed a segment just now
            if self._archive.knows(asked.from_us):
                return found

    async def estimate(self, from_us: int, to_us: int) -> tuple[int, int]:
        """About so many bytes and microseconds has a clip of what is closed; costs no reading of files."""
        total_bytes, _, length_us = await self._archive.index.amount(from_us, to_us)
        asked_us = min(length_us, to_us - from_us)
        return total_bytes * asked_us // max(length_us, 1), asked_us

    async def _plan(
        self, asked: Range, found: Sequence[tuple[Segment, Path]], work: Path, *, doubting: bool = False
    ) -> Plan:
        loop = asyncio.get_running_loop()
        make = functools.partial(make_plan, found, asked, self._logger, doubting=doubting)
        plan = await loop.run_in_executor(None, make)
        return replace(plan, parts=tuple([await loop.run_in_executor(None, _mend, part, work) for part in plan.parts]))

    async def cut(
        self,
        plan: Plan,
        output: Path,
        *,
        container: str = "mp4",
        comment: str = "",
        for_save: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Plan:
        """Write the clip of a plan to a file, which must not be there yet; waits its turn behind others of its kind.

        Returns the plan that was carried out: what could not be read after all is not in it. `on_progress` gets the
        share that is done, from 0 to 1.

        Raises:
            FFmpegError: ffmpeg failed. No file is left then, nor when cancelled.
        """
        async with self._save_turn if for_save else self._fetch_turn, self._workspaces.make(plan.work_bytes) as work:
            try:
                progress = CutProgress(plan.ffmpeg_us, on_progress)
                try:
                    command = await self._command(plan, str(output), container, comment, work, progress)
                    await self._run(command, progress)
                except FFmpegError:
                    if (better := await self._doubt(plan, work)) is None:
                        raise
                else:
                    better = await self._doubt(plan, work) if progress.complaints else None
                if better is not None:
                    plan = better
                    progress = CutProgress(plan.ffmpeg_us, on_progress)
                    command = await self._command(plan, str(output), container, comment, work, progress)
                    await self._run(command, progress)
                self._check_whole(progress)
                if not output.exists() or output.stat().st_size == 0:
                    raise RequestError("The clip came out empty: the recording of this range cannot be read.")
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    output.unlink()
                raise
            return plan

    async def stream(self, plan: Plan, *, comment: str = "") -> AsyncGenerator[bytes, None]:
        """The clip of a plan as a fragmented MP4, block by block, as fast as it is taken; nothing is kept of it.

        Raises:
            FFmpegError: ffmpeg failed, or could not read all of the plan; what came before is not the whole clip.
        """
        async with self._stream_turn, self._workspaces.make(plan.work_bytes) as work:
            progress = CutProgress(plan.ffmpeg_us)
            command = self._compiled(await self._command(plan, "pipe:1", "fmp4", comment, work, progress))
            with self._explained():
                async with ffmpeg_output(
                    command, logger=self._logger, niceness=CUT_NICENESS, complaints=progress.complaints
                ) as output:
                    while block := await output.read(_BLOCK_BYTES):
                        yield block
            self._check_whole(progress)
            if progress.complaints and await self._lost(plan, work):
                raise self._incomplete(progress)

    async def _lost(self, plan: Plan, work: Path) -> bool:
        """Whether not all that a plan takes can be read any more, or ever could."""
        try:
            return await self._doubt(plan, work) is not None
        except (OSError, RequestError):
            return True

    def _check_whole(self, progress: CutProgress) -> None:
        """ffmpeg need not fail where it cannot go on reading: it ends the clip there.

        Raises:
            FFmpegError: it said that it could not.
        """
        if any(_BROKEN_OFF.search(complaint) for complaint in progress.complaints):
            raise self._incomplete(progress)

    def _incomplete(self, progress: CutProgress) -> FFmpegError:
        self._logger.error("A clip lacks some of what it was to hold: %s.", "; ".join(progress.complaints[:_REASONS]))
        return FFmpegError(
            "The clip is not complete: some of its recording could not be read any more; ask again for what is left."
        )

    async def _doubt(self, plan: Plan, work: Path) -> Plan | None:
        """A plan without the segments that turn out to be damaged, now that ffmpeg complains; None if none is."""
        better = await self._plan(plan.asked, plan.found, work, doubting=True)
        if [replace(part, path=Path()) for part in better.parts] == [replace(part, path=Path()) for part in plan.parts]:
            return None
        if not better.parts:
            raise await self._nothing_stored(better)
        return better

    @contextlib.asynccontextmanager
    async def temporary(self, size_bytes: int = 0) -> AsyncIterator[Path]:
        """A path for a clip of about this size that nobody keeps; it is removed at the end."""
        async with self._workspaces.make(size_bytes) as work:
            yield work / "clip.mp4"

    async def _find(self, asked: Range, work: Path, pins: SegmentLinks) -> list[tuple[Segment, Path]]:
        """Stored segments and the neighbours of the range, under names that last as long as the pins.

        Open ones are copied, for they grow; of closed ones a second name survives whoever deletes the first.
        """
        loop = asyncio.get_running_loop()
        from_us, to_us = asked.from_us - NEIGHBOUR_US, asked.to_us + NEIGHBOUR_US
        async with self._archive.steady():
            opened = await self._open_segments(from_us, to_us)
            closed = await self._archive.index.select(from_us, to_us)
            # Read-only, one that somebody else is just closing may have both names.
            known = {(segment.run_us, segment.start_us) for segment in closed}
            found = []
            for segment, path in opened:
                if (segment.run_us, segment.start_us) in known:
                    continue
                copy = work / segment.file_name
                if segment.start_us < asked.to_us and segment.end_us > asked.from_us:
                    await loop.run_in_executor(None, _copy_head, path, copy, segment.size_bytes)
                found.append((segment, copy))
            found += await loop.run_in_executor(None, pins.pin, closed)
        return sort_segments(found)

    async def _nothing_stored(self, plan: Plan) -> RequestError:
        from_us, to_us = plan.asked.from_us, plan.asked.to_us
        asked = f"the range from {format_utc_exact(from_us)} to {format_utc_exact(to_us)}"
        if any(segment.start_us < to_us and segment.end_us > from_us for segment, _ in plan.found) and not plan.ranges:
            return UnreadableRangeError(f"The recording of {asked} cannot be read: its files are damaged or gone.")
        asked = f"Nothing is stored in {asked}"
        open_ranges = [Range(s.start_us, s.end_us) for s, _ in await self._open_segments(0, 1 << 62)]
        known = merge_ranges([*self._archive.timeline.ranges(), *open_ranges], RANGE_SLOP_US)
        if not known:
            return NothingStoredError(f"{asked}: the storage is empty.")
        nearest = min(known, key=lambda r: max(r.from_us - to_us, from_us - r.to_us))
        return NothingStoredError(
            f"{asked}: the nearest stored range is {format_utc_exact(nearest.from_us)} "
            f"to {format_utc_exact(nearest.to_us)}."
        )

    async def _run(self, stream: Any, progress: CutProgress) -> None:
        command = self._compiled(stream.global_args("-progress", "pipe:1"))
        with self._explained():
            async with ffmpeg_output(
                command, logger=self._logger, niceness=CUT_NICENESS, complaints=progress.complaints
            ) as output:
                await progress.follow(output)

    def _compiled(self, stream: Any) -> list[str]:
        stream = stream.global_args("-hide_banner", "-nostats", "-loglevel", loglevel(self._logger), "-y")
        command: list[str] = stream.compile(cmd=self._binary)
        return command

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FFmpegError as error:
            self._logger.error("A clip could not be cut: %s", error)
            raise FFmpegError("The clip could not be cut; the module's log tells why.") from error

    async def _command(
        self, plan: Plan, output: str, container: str, comment: str, work: Path, progress: CutProgress
    ) -> Any:
        first_us = plan.parts[0].first_us
        # In milliseconds, the muxer's default, the edit list could end before the last frame.
        options: dict[str, Any] = {"f": "mp4", "map_metadata": 1, "movie_timescale": US_PER_SECOND}
        last_length_us = plan.parts[-1].last_length_us
        if last_length_us is not None:
            # Up to ffmpeg 7.1 the demuxer tells no length of fragments' frames, later a guess at a segment's end. The
            # muxer asks the last frame alone: of the others it takes the distances.
            options["bsf:v"] = f"setts=duration={_seconds(last_length_us)}/TB"
        if container == "fmp4":
            options["movflags"] = _FRAGMENTED
        elif plan.estimated_bytes <= FASTSTART_BYTES:
            options["movflags"] = "+faststart"
        tags = work / "tags.txt"
        tags.write_text(_metadata_file({"creation_time": _iso(first_us), "comment": comment}), encoding="utf-8")
        extra = ffmpeg.input(str(tags), f="ffmetadata")

        groups = groups_of(plan.parts)
        # A head encoded anew can be joined with what was recorded in H.264, and in our unit of time, alone.
        first = plan.parts[0].segment
        inexact = container == "fmp4" and plan.parts[0].skip_us > 0 and (first.codec != "h264" or first.run_us is None)
        if len(groups) > 1 or inexact:
            video = await self._join_differing(groups, work, progress)
            options["c"] = "copy"
        elif container == "fmp4" and plan.parts[0].skip_us > 0:
            video = await self._head_and_rest(groups[0], work, progress)
            options["c"] = "copy"
        else:
            video = _concat_input(groups[0], work / "list.txt").video
            options["c"] = "copy"
        return ffmpeg.output(video, extra["v?"], output, **options)  # it has no video; ffmpeg-python must map it

    async def _head_and_rest(self, parts: Sequence[ClipPart], work: Path, progress: CutProgress) -> Any:
        """A fragmented clip cannot hide what lies between the keyframe and its first frame: encode that much anew."""
        first = parts[0]
        head_end_us = first.keyframe_us if first.keyframe_us is not None else first.end_us
        if first.stop_us is not None:
            head_end_us = min(head_end_us, first.stop_us)
        if head_end_us <= first.first_us:  # it begins at a keyframe
            return _concat_input(parts, work / "list.txt").video
        head = work / "head.mp4"
        source = _concat_input([replace(first, stop_us=head_end_us - 1)], work / "head.txt")
        await self._run(source.video.output(str(head), f="mp4", **_REENCODED, **_EXACT_TIMES), progress)
        lines = [_file_line(head), f"duration {_seconds(head_end_us - first.first_us)}"]
        rest_us = head_end_us - first.segment.start_us
        ended = first.keyframe_us is None or first.stop_us == head_end_us
        if not ended:
            lines += [_file_line(first.path), f"inpoint {_seconds(rest_us)}"]
            lines.append(f"duration {_seconds(first.length_us - rest_us)}")
        lines += _list_lines(parts[1:])
        last = parts[-1]
        options = {}
        if last.stop_us is not None and not (ended and len(parts) == 1):
            before_us = sum(part.length_us for part in parts[:-1])
            options["t"] = _seconds(before_us + last.stop_us - last.segment.start_us - first.skip_us)
        list_path = work / "list.txt"
        list_path.write_text("\n".join(["ffconcat version 1.0", *lines, ""]), encoding="utf-8")
        return ffmpeg.input(str(list_path), f="concat", safe=0, **options).video

    async def _join_differing(self, groups: Sequence[Sequence[ClipPart]], work: Path, progress: CutProgress) -> Any:
        """All of the range in one picture size, the largest, for a clip cannot change it midway; encoded anew.

        Each group by itself, for ffmpeg's filter that joins them guesses how long the last frame of each is shown.
        """
        largest = max((part.segment for group in groups for part in group), key=lambda s: s.width * s.height)
        width, height = largest.width + largest.width % 2, largest.height + largest.height % 2
        lines = []
        for number, group in enumerate(groups):
            encoded = work / f"group{number}.mp4"
            video = _concat_input(group, work / f"list{number}.txt").video
            video = video.filter("scale", width, height, force_original_aspect_ratio="decrease")
            video = video.filter("pad", width, height, "(ow-iw)/2", "(oh-ih)/2").filter("setsar", 1)
            output = video.output(str(encoded), f="mp4", **_REENCODED, **_EXACT_TIMES, **_bounded(group))
            await self._run(output, progress)
            length_us = sum(part.length_us for part in group) - group[0].skip_us
            lines += [_file_line(encoded), f"duration {_seconds(length_us)}"]
        list_path = work / "list.txt"
        list_path.write_text("\n".join(["ffconcat version 1.0", *lines, ""]), encoding="utf-8")
        return ffmpeg.input(str(list_path), f="concat", safe=0).video


def _concat_input(parts: Sequence[ClipPart], list_path: Path) -> Any:
    """An input that shows exactly the frames of the parts. `-ss` lies on the first, `-t` between two frames."""
    list_path.write_text("\n".join(["ffconcat version 1.0", *_list_lines(parts), ""]), encoding="utf-8")
    options: dict[str, Any] = {"f": "concat", "safe": 0}
    skip_us = parts[0].skip_us
    if skip_us > 0:
        options["ss"] = _seconds(skip_us)
    stop_us = parts[-1].stop_us
    if stop_us is not None:
        before_us = sum(part.length_us for part in parts[:-1])
        options["t"] = _seconds(before_us + stop_us - parts[-1].segment.start_us - skip_us)
    return ffmpeg.input(str(list_path), **options)


def _list_lines(parts: Sequence[ClipPart]) -> list[str]:
    lines = []
    for part in parts:  # every one: the demuxer seeks only where it knows all lengths
        lines += [_file_line(part.path), f"duration {_seconds(part.length_us)}"]
    return lines


def _file_line(path: Path) -> str:
    quoted = str(path.absolute()).replace("'", "'\\''")
    if "\n" in quoted or "\r" in quoted:
        raise RequestError(f"The path {shown(quoted)} has a line break, which ffmpeg's lists cannot hold.")
    return f"file '{quoted}'"


def _seconds(time_us: int) -> str:
    return f"{time_us / US_PER_SECOND:.6f}"


def _iso(time_us: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=time_us)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _metadata_file(tags: dict[str, str]) -> str:
    """ffmpeg's own format, which takes what a command line cannot: any length, any character but NUL.

    The last line goes without an end: its reader takes that for escaped behind a value that ends in a backslash.
    """
    lines = [";FFMETADATA1"]
    for name, value in tags.items():
        escaped = "".join("\\" + c if c in "=;#\\\n\r" else c for c in value.replace("\0", ""))
        if escaped:
            lines.append(f"{name}={escaped}")
    return "\n".join(lines)


def _bounded(parts: Sequence[ClipPart]) -> dict[str, Any]:
    """Options that keep what is encoded anew within `REENCODED_FACTOR` times its source."""
    length_us = sum(part.length_us for part in parts)
    bits = 8 * REENCODED_FACTOR * sum(part.segment.size_bytes for part in parts) * US_PER_SECOND // max(length_us, 1)
    return {"maxrate": bits, "bufsize": bits}


def _mend(part: ClipPart, work: Path) -> ClipPart:
    """Replace a file that has lost its end by a copy of what is whole of it. Blocking."""
    if part.lost_end_at is None:
        return part
    copy = work / f"mended-{part.path.name}"
    _copy_head(part.path, copy, part.lost_end_at)
    return replace(part, path=copy)


def _copy_head(source: Path, target: Path, size_bytes: int) -> None:
    """Copy the first bytes of a file. Blocking."""
    with source.open("rb") as reader, target.open("wb") as writer:
        left = size_bytes
        while left > 0 and (block := reader.read(min(left, 1 << 20))):
            writer.write(block)
            left -= len(block)
