"""Clips: which segments a range takes, and how ffmpeg cuts them to the frame without encoding anew."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import ffmpeg

from videostore.archive import Archive
from videostore.const import (
    CUT_NICENESS,
    FASTSTART_BYTES,
    FETCHES_AT_ONCE,
    FOREIGN_SLACK_US,
    JOIN_US,
    NEIGHBOUR_US,
    RANGE_SLOP_US,
    SAVES_AT_ONCE,
    TOUCHING_US,
    US_PER_SECOND,
)
from videostore.errors import FFmpegError, NothingStoredError, RequestError
from videostore.ffmpeg import loglevel, run_ffmpeg
from videostore.segment import Segment, UnreadableError, frame_times_us
from videostore.timeline import Range, merge_ranges
from videostore.timestamps import format_utc_exact

WORK_DIRECTORY = ".cuts"
"""Below the storage path: lists, copies of the open segment, and clips on their way to the client."""
_TOLD_US = 1000
_REENCODED = {"c:v": "libx264", "preset": "veryfast", "crf": 18, "bf": 0, "pix_fmt": "yuv420p"}
_EXACT_TIMES = {"fps_mode": "passthrough", "enc_time_base": f"1/{US_PER_SECOND}"}
_FRAGMENTED = "+frag_keyframe+empty_moov+default_base_moof"


@dataclass(frozen=True, slots=True)
class Part:
    """What a clip takes of one segment."""

    segment: Segment
    path: Path
    end_us: int
    """Where its last frame ends: where the next segment begins if they touch, for the file's own word is a guess."""
    first_us: int
    """Capture time of the first frame that is shown."""
    stop_us: int | None = None
    """Between the last frame that is shown and the next of the segment; None where all up to its end is shown."""
    keyframe_us: int | None = None
    """First keyframe at or after `first_us`; None where the first frame is the segment's own first."""

    @property
    def length_us(self) -> int:
        """Its share of the clip's time, what is skipped included. Names date foreign segments only to the second."""
        return (self.end_us if self.segment.run_us is not None else self.segment.end_us) - self.segment.start_us

    @property
    def skip_us(self) -> int:
        """What is left out at the segment's start."""
        return self.first_us - self.segment.start_us

    @property
    def trimmed(self) -> bool:
        """Whether the segment is not taken whole."""
        return self.skip_us > 0 or self.stop_us is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a clip will be made."""

    asked: Range
    parts: tuple[Part, ...]
    ranges: tuple[Range, ...]
    """What the clip holds of the range."""
    estimated_bytes: int

    @property
    def complete(self) -> bool:
        """Whether all of the range is there, to the millisecond in which it is told."""
        missing_us = self.asked.to_us - self.asked.from_us - self.longest_us
        return len(self.ranges) == 1 and missing_us < _TOLD_US

    @property
    def longest_us(self) -> int:
        """Length of what is held, in microseconds."""
        return sum(one.to_us - one.from_us for one in self.ranges)


OpenSegments = Callable[[int, int], Awaitable[list[tuple[Segment, Path]]]]
"""Segments that are not closed, or not yet in the index, and overlap a range."""


class Clips:
    """Cuts clips out of one storage directory. Owns its work directory and every ffmpeg that it starts."""

    def __init__(self, archive: Archive, binary: str, logger: logging.Logger, open_segments: OpenSegments) -> None:
        self._archive = archive
        self._directory = archive.directory
        self._binary = binary
        self._logger = logger
        self._open_segments = open_segments
        self._save_turn = asyncio.Semaphore(SAVES_AT_ONCE)
        self._fetch_turn = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._in_use: Counter[str] = Counter()

    def in_use(self, file_name: str) -> bool:
        """Whether a cut that is planned or under way needs this segment."""
        return self._in_use[file_name] > 0

    @contextlib.asynccontextmanager
    async def plan(self, from_us: int, to_us: int) -> AsyncIterator[Plan]:
        """Choose the segments of [from_us, to_us); until the context ends, they are in use.

        Raises:
            NothingStoredError: nothing at all is stored in the range; the sentence names the nearest that is.
        """
        async with self._workspace() as work:
            found = await self._find(from_us, to_us, work)
            names = [segment.file_name for segment, _ in found]
            self._in_use.update(names)
            try:
                loop = asyncio.get_running_loop()
                asked = Range(from_us, to_us)
                parts, held = await loop.run_in_executor(None, _choose_parts, found, asked, self._logger)
                if not parts:
                    raise await self._nothing_stored(from_us, to_us)
                yield Plan(asked, tuple(parts), tuple(held), sum(map(_estimate_bytes, parts)))
            finally:
                self._in_use.subtract(names)
                self._in_use += Counter()  # drop the names that nobody uses any more

    async def cut(
        self, plan: Plan, output: Path, *, container: str = "mp4", comment: str = "", for_save: bool = False
    ) -> None:
        """Write the clip of a plan to a file, which must not be there yet; waits its turn behind others of its kind.

        Raises:
            FFmpegError: ffmpeg failed. No file is left then, nor when cancelled.
        """
        async with self._save_turn if for_save else self._fetch_turn, self._workspace() as work:
            try:
                command = await self._command(plan, output, container, comment, work)
                await self._run(command)
                if not output.exists() or output.stat().st_size == 0:
                    raise RequestError("The clip came out empty: the recording of this range cannot be read.")
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    output.unlink()
                raise

    @contextlib.asynccontextmanager
    async def temporary(self) -> AsyncIterator[Path]:
        """A path for a clip that nobody keeps; it is removed at the end."""
        async with self._workspace() as work:
            yield work / "clip.mp4"

    def sweep(self) -> None:
        """Remove what earlier processes left in the work directory. Blocking; for the start alone."""
        shutil.rmtree(self._directory / WORK_DIRECTORY, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def _workspace(self) -> AsyncIterator[Path]:
        base = self._directory / WORK_DIRECTORY
        base.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=base))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)

    async def _find(self, from_us: int, to_us: int, work: Path) -> list[tuple[Segment, Path]]:
        """Stored segments and the neighbours of the range; copies of open ones, which grow and are renamed."""
        loop = asyncio.get_running_loop()
        found = []
        async with self._archive.steady():
            asked = Range(from_us, to_us)
            from_us, to_us = from_us - NEIGHBOUR_US, to_us + NEIGHBOUR_US
            for segment, path in await self._open_segments(from_us, to_us):
                copy = work / segment.file_name
                if segment.start_us < asked.to_us and segment.end_us > asked.from_us:
                    await loop.run_in_executor(None, _copy_head, path, copy, segment.size_bytes)
                found.append((segment, copy))
            for segment in await self._archive.index.select(from_us, to_us):
                found.append((segment, self._directory / segment.file_name))
        return sorted(found, key=lambda pair: pair[0].start_us)

    async def _nothing_stored(self, from_us: int, to_us: int) -> NothingStoredError:
        asked = f"Nothing is stored in the range from {format_utc_exact(from_us)} to {format_utc_exact(to_us)}"
        open_ranges = [Range(s.start_us, s.end_us) for s, _ in await self._open_segments(0, 1 << 62)]
        known = merge_ranges([*self._archive.timeline.ranges(), *open_ranges], RANGE_SLOP_US)
        if not known:
            return NothingStoredError(f"{asked}: the storage is empty.")
        nearest = min(known, key=lambda r: max(r.from_us - to_us, from_us - r.to_us))
        return NothingStoredError(
            f"{asked}: the nearest stored range is {format_utc_exact(nearest.from_us)} "
            f"to {format_utc_exact(nearest.to_us)}."
        )

    async def _run(self, stream: Any) -> None:
        command = stream.global_args("-hide_banner", "-nostats", "-loglevel", loglevel(self._logger), "-y")
        try:
            await run_ffmpeg(command.compile(cmd=self._binary), logger=self._logger, niceness=CUT_NICENESS)
        except FFmpegError as error:
            self._logger.error("A clip could not be cut: %s", error)
            raise FFmpegError("The clip could not be cut; the module's log tells why.") from error

    async def _command(self, plan: Plan, output: Path, container: str, comment: str, work: Path) -> Any:
        first_us = plan.parts[0].first_us
        # ffmpeg 5.1 gives the last frame no length; in milliseconds, its default, the edit list would end before it.
        options: dict[str, Any] = {"f": "mp4", "map_metadata": 1, "movie_timescale": US_PER_SECOND}
        if container == "fmp4":
            options["movflags"] = _FRAGMENTED
        elif plan.estimated_bytes <= FASTSTART_BYTES:
            options["movflags"] = "+faststart"
        tags = work / "tags.txt"
        tags.write_text(_metadata_file({"creation_time": _iso(first_us), "comment": comment}), encoding="utf-8")
        extra = ffmpeg.input(str(tags), f="ffmetadata")

        groups = _groups(plan.parts)
        # A head encoded anew can be joined with what was recorded in H.264 alone.
        inexact = container == "fmp4" and plan.parts[0].skip_us > 0 and plan.parts[0].segment.codec != "h264"
        if len(groups) > 1 or inexact:
            video = await self._join_differing(groups, work)
            options["c"] = "copy"
        elif container == "fmp4" and plan.parts[0].skip_us > 0:
            video = await self._head_and_rest(groups[0], work)
            options["c"] = "copy"
        else:
            video = _concat_input(groups[0], work / "list.txt").video
            options["c"] = "copy"
        return ffmpeg.output(video, extra["v?"], str(output), **options)  # it has no video; ffmpeg-python must map it

    async def _head_and_rest(self, parts: Sequence[Part], work: Path) -> Any:
        """A fragmented clip cannot hide what lies between the keyframe and its first frame: encode that much anew."""
        first = parts[0]
        head_end_us = first.keyframe_us if first.keyframe_us is not None else first.end_us
        if first.stop_us is not None:
            head_end_us = min(head_end_us, first.stop_us)
        if head_end_us <= first.first_us:  # it begins at a keyframe
            return _concat_input(parts, work / "list.txt").video
        head = work / "head.mp4"
        source = _concat_input([replace(first, stop_us=head_end_us - 1)], work / "head.txt")
        await self._run(source.video.output(str(head), f="mp4", **_REENCODED, **_EXACT_TIMES))
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

    async def _join_differing(self, groups: Sequence[Sequence[Part]], work: Path) -> Any:
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
            await self._run(video.output(str(encoded), f="mp4", **_REENCODED, **_EXACT_TIMES))
            length_us = sum(part.length_us for part in group) - group[0].skip_us
            lines += [_file_line(encoded), f"duration {_seconds(length_us)}"]
        list_path = work / "list.txt"
        list_path.write_text("\n".join(["ffconcat version 1.0", *lines, ""]), encoding="utf-8")
        return ffmpeg.input(str(list_path), f="concat", safe=0).video


def _choose_parts(
    found: Sequence[tuple[Segment, Path]], asked: Range, logger: logging.Logger
) -> tuple[list[Part], list[Range]]:
    """Find the first and last frame of the range in the segments at its ends; tell also what of the range is held.

    Neighbours outside of the range are among the segments found: they tell where the last frame before them ends.
    """
    from_us, to_us = asked.from_us, asked.to_us
    parts: list[Part] = []
    held: list[Range] = []
    for number, (segment, path) in enumerate(found, 1):
        after = found[number][0] if number < len(found) else None
        end_us = after.start_us if after is not None and _touch(segment, after) else segment.end_us
        if end_us <= from_us or segment.start_us >= to_us:
            continue
        part = Part(segment, path, end_us, segment.start_us)
        if segment.start_us < from_us or end_us > to_us:
            try:
                times, keyframes = frame_times_us(segment, path)
            except UnreadableError as error:
                logger.warning("Segment %s cannot be read and is left out of a clip: %s", path.name, error)
                continue
            held.append(Range(max(from_us, segment.start_us), min(to_us, end_us)))
            first, stop = bisect.bisect_left(times, from_us), bisect.bisect_left(times, to_us)
            if first == stop:  # its last frame lasts into the range, and was captured before it
                continue
            later = bisect.bisect_left(keyframes, times[first])
            part = Part(
                segment,
                path,
                end_us,
                times[first],
                (times[stop - 1] + times[stop]) // 2 if stop < len(times) else None,
                keyframes[later] if later < len(keyframes) else None,
            )
        elif not path.exists():
            logger.warning("Segment %s has vanished and is left out of a clip.", path.name)
            continue
        else:
            held.append(Range(segment.start_us, end_us))
        parts.append(part)
    return parts, merge_ranges(held)


def _touch(one: Segment, other: Segment) -> bool:
    distance_us = other.start_us - one.end_us
    if one.run_us is None or other.run_us is None:
        return abs(distance_us) <= FOREIGN_SLACK_US
    if one.run_us != other.run_us:
        return abs(distance_us) <= JOIN_US
    # A run has no gaps, but a segment between the two may have been deleted.
    if one.run_number is not None and other.run_number is not None:
        return other.run_number == one.run_number + 1
    return abs(distance_us) <= max(TOUCHING_US, one.duration_us // 2)


def _estimate_bytes(part: Part) -> int:
    segment = part.segment
    shown_us = (part.stop_us or part.end_us) - part.first_us
    return segment.size_bytes * min(shown_us, segment.duration_us) // max(segment.duration_us, 1)


def _groups(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts that ffmpeg can join without encoding: of one picture size, in sequence, trimmed only at the outer ends."""
    groups: list[list[Part]] = []
    for part in parts:
        if groups and _joins(groups[-1][-1], part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def _joins(one: Part, other: Part) -> bool:
    if one.stop_us is not None or other.skip_us > 0:
        return False
    a, b = one.segment, other.segment
    if (a.codec, a.width, a.height) != (b.codec, b.width, b.height):
        return False
    # The concat demuxer repeats H.264's parameter sets in the stream; those of other codecs must be the same.
    return a.codec == "h264" or a.setup == b.setup


def _concat_input(parts: Sequence[Part], list_path: Path) -> Any:
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


def _list_lines(parts: Sequence[Part]) -> list[str]:
    lines = []
    for part in parts:  # every one: the demuxer seeks only where it knows all lengths
        lines += [_file_line(part.path), f"duration {_seconds(part.length_us)}"]
    return lines


def _file_line(path: Path) -> str:
    quoted = str(path.absolute()).replace("'", "'\\''")
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


def _copy_head(source: Path, target: Path, size_bytes: int) -> None:
    """Copy the first bytes of a file. Blocking."""
    with source.open("rb") as reader, target.open("wb") as writer:
        left = size_bytes
        while left > 0 and (block := reader.read(min(left, 1 << 20))):
            writer.write(block)
            left -= len(block)
