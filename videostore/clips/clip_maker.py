"""Makes the clip of a plan with ffmpeg: encodes its edges, cuts its sound, and joins all pieces."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import FFmpegError
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.clips.clip_sound import cut_sound, video_starts
from videostore.clips.cut_command import CutCommand, VideoStarts
from videostore.clips.cut_commands import TAGS, group_commands, join_command
from videostore.clips.early_join import EarlyJoin
from videostore.clips.edge_encoder import EdgeEncoder, Joinable, OnTag, fitted_into
from videostore.clips.pieces import Pieces, delayed, listable, pieces_of
from videostore.clips.place import Place
from videostore.clips.plan import ClipPart, Plan, groups_of
from videostore.clips.progress import CutProgress
from videostore.clips.sound_commands import encode_command, mix_command
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.ending import failure
from videostore.ffmpeg.late_input import LateInput
from videostore.ffmpeg.message_limit import MessageLimit
from videostore.ffmpeg.process import ffmpeg_output, loglevel, told_version
from videostore.media.segment import Segment

_SAMPLE = Plan(
    Range(0, 1), (), (ClipPart(Segment("0.mp4", 0, 1, 1, 2, 2, "h264"), Path("0.mp4"), 1, 0),), (Range(0, 1),), 1
)
"""A plan of nothing, for arguments that do not depend on it."""
_OUTPUT, _WORK = "/output.mp4", Path("/work")
"""Its output and workspace."""

_QUEUES_FROM = (6, 0)
"""The first ffmpeg that lets frames wait to be written."""
_REPORTING = ("-progress", "pipe:1")


@dataclass(frozen=True, slots=True)
class ClipOrder:
    """What is to be made of a plan."""

    output: str
    container: str
    comment: str
    work: Path
    place: Place | None = None


class ClipMaker:
    """Runs the ffmpegs of clips."""

    def __init__(self, binary: str, logger: logging.Logger, recorder: str, encoder: Encoder | None) -> None:
        """`recorder` is the recorder's name, which clips tell; `encoder` is its, for segments that name none."""
        self._edges = EdgeEncoder(encoder, logger)
        self._binary = binary
        self._logger = logger
        self._message_limit = MessageLimit()
        self._recorder = recorder
        self._usual = True
        """Whether the last clip had the usual arguments, so that those of the next one can be expected."""
        self._template: CutCommand | None = None
        self._queued = False

    def forget_failures(self) -> None:
        """Try all ways to encode edges again: damage was the reason."""
        self._edges.forget_failures()

    def early(self) -> EarlyJoin:
        """What joins a clip that is about to be planned."""
        return EarlyJoin(self._late_output)

    async def expected(self, order: ClipOrder) -> CutCommand | None:
        """The command that joins a clip, its list aside, if the clip is like the last one; None if none is expected.

        Most clips end between two frames of one segment and are copied as they are: their arguments are the same.
        """
        if not self._usual or order.container != "mp4":
            return None
        await self._look_at_ffmpeg()
        if self._template is None:
            sample = ClipOrder(_OUTPUT, "mp4", "", _WORK)
            self._template = await off_loop(
                functools.partial(self._join(_SAMPLE, sample), (), one_more=True, late=True)
            )
        places = {_OUTPUT: order.output, str(_WORK / TAGS): str(order.work.absolute() / TAGS)}
        return replace(self._template, arguments=tuple(places.get(one, one) for one in self._template.arguments))

    async def _look_at_ffmpeg(self) -> None:
        version = await told_version(self._binary)
        if (queued := version is not None and version >= _QUEUES_FROM) != self._queued:
            self._queued, self._template = queued, None

    def _join(self, plan: Plan, order: ClipOrder) -> Callable[..., CutCommand]:
        return functools.partial(
            join_command,
            plan,
            output=order.output,
            container=order.container,
            comment=order.comment,
            recorder=self._recorder,
            work=order.work,
            place=order.place,
            queued=self._queued,
        )

    async def make(self, plan: Plan, progress: CutProgress, order: ClipOrder, early: EarlyJoin | None = None) -> None:
        """Make the clip of a plan. The ffmpeg that joins it was started `early`, or loads while its edges are encoded.

        Raises:
            FFmpegError: ffmpeg failed.
        """
        early = early or self.early()
        await early.loaded()
        async with contextlib.AsyncExitStack() as joining:
            await joining.enter_async_context(early)
            command = await self.prepare(plan, progress, order, early)
            if order.container == "mp4":
                self._usual = command.usual
            output = await early.output(command)
            if output is not None:
                early.complaints[:0] = progress.complaints
                progress.complaints = early.complaints
                progress.begun.set()
            else:
                output = await joining.enter_async_context(self.output(command, progress, *_REPORTING))
            whole = await progress.follow(output)
        self.check_ended(whole)

    async def prepare(
        self, plan: Plan, progress: CutProgress, order: ClipOrder, early: EarlyJoin | None = None
    ) -> CutCommand:
        """Encode what has to be encoded. Returns the command that joins the pieces of the clip, whose files are there.

        Raises:
            FFmpegError: ffmpeg failed.
        """
        work, place = order.work, order.place
        if early is None or not early.started:
            await self._look_at_ffmpeg()
        join = self._join(plan, order)
        one_more = order.container == "mp4" and place is None
        ready = functools.partial(join, late=early is not None and early.started) if place is None else None
        starts, groups, pieces, command = await off_loop(_divide, plan, ready, one_more)
        if command is not None:
            return command
        fit = place.fit if place is not None else None
        if fit is not None and not fit.is_met_by(groups):
            pieces = None
        if pieces is not None and place is not None and place.delay_us:
            pieces = delayed(pieces, place.delay_us)
        if place is not None:
            mixed = await off_loop(place.mixed_sound, plan, work)
            if mixed is not None:
                await self._run_edge(encode_command(mixed.files, mixed.output, mixed.encoding), progress)
            sound = await off_loop(place.cut_sound, plan, work, starts is not None, mixed)
        else:
            sound = await self._sound(plan, progress, work) if starts is not None else None
        join = functools.partial(join, sound=sound, starts=starts)
        joinable: Joinable | None = None
        if pieces is not None:
            progress.add(sum(edge.length_us for edge in pieces.edges))
            progress.decoded += [edge.parts for edge in pieces.edges]
            join = functools.partial(join, **_ending(pieces))
            on_tag: OnTag | None = None
            if early is not None and place is None:
                on_tag = functools.partial(_start, early, functools.partial(join, (), late=True))
            run = functools.partial(self._run_edge, progress=progress)
            for_header = place is not None and place.header_of is not None
            joinable = await self._edges.encode(pieces, work, run, starts, on_tag, for_header=for_header)
        if place is not None and fit is None:
            joinable = fitted_into(joinable, place, (place.header_of or plan).parts)
        if joinable is None:
            progress.decoded = [plan.parts]
            bounds = groups if place is None or place.header_of is None else groups_of(place.header_of.parts)
            commands, listed = await off_loop(group_commands, groups, work, starts, fit, bounds)
            joinable, join = Joinable(listed), functools.partial(join, stop_us=None, opens_us=None, one_more=False)
            for command in commands:
                await off_loop(command.write_files)
                async with self.output(command, progress, *_REPORTING) as output:
                    whole = await progress.follow(output)
                self.check_ended(whole)
        elif early is not None:
            join = functools.partial(join, late=early.started)
        if place is not None and place.encoded is not None:
            place.encoded.set()
        return await off_loop(_written, functools.partial(join, joinable.files, tag=joinable.tag))

    async def _sound(self, plan: Plan, progress: CutProgress, work: Path) -> Path | None:
        """A file with the sound of a plan; None if it has none."""
        sounds = await off_loop(cut_sound, plan, work)
        if len(sounds.files) < 2:
            return sounds.files[0] if sounds.files else None
        mixed = work / "mixed.mp4"
        await self._run_edge(mix_command(sounds.files, mixed, length_us=sounds.length_us), progress)
        return mixed

    async def _run_edge(self, command: CutCommand, progress: CutProgress) -> None:
        """Run a command that may fail because another way of encoding is needed."""
        complaints: list[str] = []
        await off_loop(command.write_files)
        async with self._ffmpeg(command, complaints, *_REPORTING) as output:
            progress.begun.set()
            whole = await progress.follow(output)
        progress.complaints += complaints
        if not whole:
            raise failure(0)

    def check_ended(self, whole: bool) -> None:
        """Raises FFmpegError unless an ffmpeg that did not fail has done all of its work, and says why."""
        with self._telling():
            if not whole:
                raise failure(0)

    @contextlib.asynccontextmanager
    async def output(
        self, command: CutCommand, progress: CutProgress, *options: str
    ) -> AsyncIterator[asyncio.StreamReader]:
        """Run a command, whose files are there, and read its output.

        Raises:
            FFmpegError: it failed; the log has the reason.
        """
        with self._telling():
            async with self._ffmpeg(command, progress.complaints, *options) as output:
                progress.begun.set()
                yield output

    @contextlib.asynccontextmanager
    async def _late_output(
        self, command: CutCommand, complaints: list[str], late: LateInput
    ) -> AsyncIterator[asyncio.StreamReader]:
        with self._telling():
            async with self._ffmpeg(command, complaints, *_REPORTING, late=late) as output:
                yield output

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except FFmpegError as error:
            if error.code == "clip-failed":  # it is of another ffmpeg of this clip, and was told
                raise
            self._logger.error("A clip could not be made: %s", error)
            raise FFmpegError("clip-failed") from error

    @contextlib.asynccontextmanager
    async def _ffmpeg(
        self, command: CutCommand, complaints: list[str], *options: str, late: LateInput | None = None
    ) -> AsyncIterator[asyncio.StreamReader]:
        messages = ("-hide_banner", "-nostats", "-loglevel", loglevel(self._logger), "-y")
        arguments = [self._binary, *command.arguments, *options, *messages]
        async with ffmpeg_output(
            arguments,
            logger=self._logger,
            niceness=CUT_NICENESS,
            complaints=complaints,
            limit=self._message_limit,
            late=late,
        ) as output:
            yield output


async def _start(early: EarlyJoin, join: Callable[..., CutCommand], tag: str | None) -> None:
    await early.start(await off_loop(functools.partial(join, tag=tag)))


def _divide(
    plan: Plan, join: Callable[..., CutCommand] | None, one_more: bool
) -> tuple[VideoStarts, list[Sequence[ClipPart]], Pieces | None, CutCommand | None]:
    """Where its videos start, its groups, and its pieces if they can be joined; if nothing is to be made before, also
    the command that joins them, whose files are there. Blocking: for tens of thousands of segments it takes a while.
    """
    groups = groups_of(plan.parts)
    starts = video_starts(plan) if plan.sound_bytes else None
    one_more = one_more and starts is None
    pieces = None
    if len(groups) == 1:
        pieces = listable(pieces_of(groups[0], one_more=one_more), starts)
    if join is None or starts is not None or pieces is None or pieces.edges:
        return starts, groups, pieces, None
    return starts, groups, pieces, _written(functools.partial(join, pieces.body, **_ending(pieces)))


def _ending(pieces: Pieces) -> dict[str, Any]:
    return {"stop_us": pieces.stop_us, "opens_us": pieces.opens_us, "one_more": pieces.one_more}


def _written(join: Callable[[], CutCommand]) -> CutCommand:
    """A command whose files are there. Blocking."""
    command = join()
    command.write_files()
    return command
