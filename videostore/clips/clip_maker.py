"""Makes the clip of a plan with ffmpeg: encodes its edges, cuts its sound, and joins all pieces."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import FFmpegError
from videostore.base.tasks import off_loop
from videostore.clips.clip_sound import cut_sound, video_starts
from videostore.clips.cut_commands import CutCommand, VideoStarts, group_commands, join_command
from videostore.clips.edge_encoder import EdgeEncoder, Joinable, OnTag, fitted_into
from videostore.clips.pieces import Pieces, pieces_of
from videostore.clips.place import Place
from videostore.clips.plan import ClipPart, Plan, groups_of
from videostore.clips.progress import CutProgress
from videostore.clips.sound_commands import encode_command, mix_command
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.late_input import LateInput
from videostore.ffmpeg.message_limit import MessageLimit
from videostore.ffmpeg.process import ffmpeg_output, loglevel

_REPORTING = ("-progress", "pipe:1")


@dataclass(frozen=True, slots=True)
class ClipOrder:
    """What is to be made of a plan."""

    output: str
    container: str
    comment: str
    work: Path
    place: Place | None = None


class _GivenUpError(Exception):
    """An ffmpeg was started early for nothing."""


class ClipMaker:
    """Runs the ffmpegs of clips."""

    def __init__(self, binary: str, logger: logging.Logger, recorder: str, encoder: Encoder | None) -> None:
        """`recorder` is the recorder's name, which clips tell; `encoder` is its, for segments that name none."""
        self._edges = EdgeEncoder(encoder, logger)
        self._binary = binary
        self._logger = logger
        self._message_limit = MessageLimit()
        self._recorder = recorder

    def forget_failures(self) -> None:
        """Try all ways to encode edges again: damage was the reason."""
        self._edges.forget_failures()

    async def make(self, plan: Plan, progress: CutProgress, order: ClipOrder) -> None:
        """Make the clip of a plan. While its edges are encoded, the ffmpeg that joins them loads.

        Raises:
            FFmpegError: ffmpeg failed.
        """
        async with contextlib.AsyncExitStack() as joining:
            early = _EarlyJoin(self, progress, joining)
            command = await self.prepare(plan, progress, order, early)
            output = await early.output(command)
            if output is None:
                output = await joining.enter_async_context(self.output(command, progress, *_REPORTING))
            await progress.follow(output)

    async def prepare(
        self, plan: Plan, progress: CutProgress, order: ClipOrder, early: _EarlyJoin | None = None
    ) -> CutCommand:
        """Encode what has to be encoded. Returns the command that joins the pieces of the clip, whose files are there.

        Raises:
            FFmpegError: ffmpeg failed.
        """
        work, place = order.work, order.place
        join = functools.partial(
            join_command,
            plan,
            output=order.output,
            container=order.container,
            comment=order.comment,
            recorder=self._recorder,
            work=work,
            place=place,
        )
        starts, groups, pieces, command = await off_loop(_divide, plan, join if place is None else None)
        if command is not None:
            return command
        fit = place.fit if place is not None else None
        if fit is not None and not fit.is_met_by(groups):
            pieces = None
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
            join = functools.partial(join, stop_us=pieces.stop_us, opens_us=pieces.opens_us)
            on_tag: OnTag | None = None
            if early is not None and place is None:
                on_tag = functools.partial(early.start, functools.partial(join, (), late=True))
            run = functools.partial(self._run_edge, progress=progress)
            joinable = await self._edges.encode(pieces, work, run, starts, on_tag)
        if place is not None and fit is None:
            joinable = fitted_into(joinable, place, plan.parts[0].first_us)
        if joinable is None:
            progress.decoded = [plan.parts]
            commands, listed = await off_loop(group_commands, groups, work, starts, fit)
            joinable, join = Joinable(listed), functools.partial(join, stop_us=None, opens_us=None)
            for command in commands:
                await off_loop(command.write_files)
                async with self.output(command, progress, *_REPORTING) as output:
                    await progress.follow(output)
        elif early is not None:
            join = functools.partial(join, late=early.started)
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
            await progress.follow(output)
        progress.complaints += complaints

    @contextlib.asynccontextmanager
    async def output(
        self, command: CutCommand, progress: CutProgress, *options: str, late: LateInput | None = None
    ) -> AsyncIterator[asyncio.StreamReader]:
        """Run a command, whose files are there, and read its output.

        Raises:
            FFmpegError: it failed; the log has the reason.
        """
        try:
            async with self._ffmpeg(command, progress.complaints, *options, late=late) as output:
                if late is None:
                    progress.begun.set()
                yield output
        except FFmpegError as error:
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


class _EarlyJoin:
    """The ffmpeg that joins a clip, started before the pieces are there, which it gets at its standard input."""

    def __init__(self, maker: ClipMaker, progress: CutProgress, joining: contextlib.AsyncExitStack) -> None:
        """It is ended with `joining`."""
        self._maker = maker
        self._progress = progress
        self._outer = joining
        self._running = contextlib.AsyncExitStack()
        self._list = LateInput()
        self._arguments: tuple[str, ...] = ()
        self._output: asyncio.StreamReader | None = None

    @property
    def started(self) -> bool:
        """Whether it waits for the list."""
        return self._output is not None

    async def start(self, join: Callable[..., CutCommand], tag: str | None) -> None:
        """Start what joins the pieces if they are tagged so."""
        command = await off_loop(functools.partial(join, tag=tag))
        self._arguments = command.arguments
        self._outer.push_async_exit(self._running)
        running = self._maker.output(command, self._progress, *_REPORTING, late=self._list)
        self._output = await self._running.enter_async_context(running)

    async def output(self, command: CutCommand) -> asyncio.StreamReader | None:
        """Let it carry out a command; None if it was started for another one, which is ended then."""
        if self._output is not None and command.late is not None and command.arguments == self._arguments:
            self._list.give(command.late.encode())
            return self._output
        error = _GivenUpError()
        await self._running.__aexit__(_GivenUpError, error, None)
        return None


def _divide(
    plan: Plan, join: Callable[..., CutCommand] | None
) -> tuple[VideoStarts, list[Sequence[ClipPart]], Pieces | None, CutCommand | None]:
    """Where its videos start, its groups, and its pieces if they can be joined; if nothing is to be made before, also
    the command that joins them, whose files are there. Blocking: for tens of thousands of segments it takes a while.
    """
    groups = groups_of(plan.parts)
    starts = video_starts(plan) if plan.sound_bytes else None
    pieces = pieces_of(groups[0]) if len(groups) == 1 else None
    if join is None or starts is not None or pieces is None or pieces.edges:
        return starts, groups, pieces, None
    command = _written(functools.partial(join, pieces.body, stop_us=pieces.stop_us, opens_us=pieces.opens_us))
    return starts, groups, pieces, command


def _written(join: Callable[[], CutCommand]) -> CutCommand:
    """A command whose files are there. Blocking."""
    command = join()
    command.write_files()
    return command
