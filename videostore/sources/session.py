"""A session: one ffmpeg that has an input open, and how far it has come."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from types import TracebackType

from videostore.base.clock import SteadyClock
from videostore.base.constants import FFMPEG_FINISH_S, FFMPEG_STUCK_S, US_PER_SECOND
from videostore.base.tasks import off_loop
from videostore.media.h26x import COPYABLE, UncopyableError
from videostore.media.sound import SoundFormat, SoundPacket
from videostore.sources.demuxer import Demuxer
from videostore.sources.ffmpeg_messages import FFmpegMessages
from videostore.sources.handover import CodedFrame
from videostore.sources.input_command import input_command, input_list, sound_command
from videostore.sources.input_profile import INTERLACED, ROTATED, InputFault, InputProfile, WrongTimes
from videostore.sources.network_buffer import buffered_us
from videostore.sources.pacing import DatedFrame, FileTimes, pace_file, pace_live
from videostore.sources.server_look import explained
from videostore.sources.settling import SETTLE_MOST_S
from videostore.sources.sound_reader import SOUND_LATER_US
from videostore.sources.stream_fault import other_fault, stream_fault

NO_REASON = "ffmpeg gave no reason"

_OTHER_SOUND = "its sound is another"
_UNTIMED = "it does not tell when its frames were captured"
_SOUND_KNOWN_S = 1.0
"""Sound that is announced but does not come holds the video up so long, once."""

_AFTER_FRAME_US = 1000
"""ffmpeg starts at the nearest unit of a file's time, so one microsecond later would be the same frame again."""


class InputSession:
    """Owns an ffmpeg that reads an input, as an asynchronous context manager, which starts and ends it."""

    demuxer: Demuxer

    def __init__(
        self,
        profile: InputProfile,
        clock: SteadyClock,
        logger: logging.Logger,
        *,
        times: FileTimes | None = None,
        resume_us: int = 0,
        quiet: bool = False,
    ) -> None:
        """`times` are those of a file's frames, of which it starts at `resume_us`.

        `quiet`: what ffmpeg reports is logged at debug level only.
        """
        self.profile = profile
        self.reencodes = bool(profile.reencoded)
        self._deinterlaces = profile.interlaced
        self._sound = profile.recorded_sound
        self._reorders = profile.reordered
        self._untimed = profile.untimed
        self._opened_us: int | None = None
        self.messages = FFmpegMessages(logger, profile.settings.address.redact, quiet=quiet, now_us=clock.now_us)
        self.frames_passed = 0
        """How many frames were passed on."""
        self.next_pts_us = resume_us
        """Where in a file another session has to resume."""
        self.read_to_end = False
        """Whether ffmpeg has read the input to its end."""
        self._clock = clock
        self._logger = logger
        self._times = times or FileTimes(clock)
        self._resume_us = resume_us
        self._length_us = 0
        """How much was passed on."""
        self._keyframe_us: int | None = None
        """Time of the last keyframe, by the input's own clock."""

    async def __aenter__(self) -> InputSession:
        """Start ffmpeg.

        Raises:
            FFmpegError: it cannot be started.
        """
        await off_loop(self.profile.settings.address.look)
        self._opened_us = self._clock.now_us() if self._untimed else None
        self.profile.timed_from_us = self._opened_us or 0
        self.demuxer = await Demuxer.start(
            input_command(self.profile, self._resume_us),
            self._clock,
            self.messages,
            held_back=self._held_back,
            gathers=self.profile.live and not (self._untimed and not self.reencodes),
            untimed=self._untimed and not self.reencodes,
            timed_from_us=self._opened_us if self.reencodes else None,
            reordered=self._reorders,
            list_text=input_list(self.profile),
            sound_command=sound_command(self.profile),
            sound_later_us=0 if self.profile.makes_times else SOUND_LATER_US,  # those of the video are then later too
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.demuxer.end()
        self.profile.learn_pace(self.frames_passed, self._length_us)

    async def frames(self) -> AsyncIterator[list[DatedFrame]]:
        """Yield every frame of the input, dated, when it is due; those that come together as one list.

        Raises:
            UncopyableError: the video has to be re-encoded.
            InputFault: ffmpeg failed, or passes on no frames.
        """
        try:
            first = await self.demuxer.next(self.profile.patience_s)
        except asyncio.TimeoutError as error:
            reason = self._silence
            self.profile.learn_silence()
            raise InputFault(reason) from error
        await self.profile.learn(self.messages)
        if first is None and not await self.demuxer.succeeded():
            reason = self._silence if self.profile.is_silent(self.messages) else self._failure or NO_REASON
            self.profile.look_longer(self.messages)
            self.profile.check_times(self.messages)
            if self.profile.must_reencode(self.messages):
                raise UncopyableError(self.profile.reencoded)
            if self.profile.gives_up_sound(self.messages):
                raise UncopyableError(_OTHER_SOUND)
            raise InputFault(await explained(reason, self.profile.settings.address))
        if first is not None:
            if self.reencodes and not self.profile.reencoded:
                raise InputFault("its codec has changed")
            if self.messages.rotated and not self.profile.reencoded:
                raise UncopyableError(ROTATED)
            await self._learn_sound()
            if self.outdated:
                if self._sound != self.profile.recorded_sound:
                    raise UncopyableError(_OTHER_SOUND)
                raise UncopyableError(INTERLACED if self._untimed == self.profile.untimed else _UNTIMED)
            self.profile.check_order(first.format, self.messages)
            try:
                async with contextlib.aclosing(self._paced(first)) as paced:  # type: ignore[type-var]
                    async for together in paced:
                        if self.profile.live:
                            await self.demuxer.hear_reports()
                        dated = together[: self._within_patience(together)]
                        if dated:
                            yield dated
                            self.frames_passed += len(dated)
                            last_us = max(one.frame.pts_us for one in dated)
                            self._length_us = last_us - first.pts_us
                            self.next_pts_us = max(self.next_pts_us, last_us + self._resume_us + _AFTER_FRAME_US)
                        if len(dated) < len(together):
                            raise UncopyableError(f"no keyframe for {self.profile.settings.keyframe_patience_s:g} s")
            except WrongTimes as fault:
                self._learn_wrong_times(fault)
                raise
            if self._times.over:
                return
        if not await self.demuxer.succeeded(FFMPEG_FINISH_S if self.profile.live else FFMPEG_STUCK_S):
            raise InputFault(self._failure or NO_REASON)
        self.read_to_end = True

    def _learn_wrong_times(self, fault: WrongTimes) -> None:
        """The times of the input cannot be right.

        Raises:
            UncopyableError: it is to be opened as one that tells none.
        """
        if self.profile.learn_wrong_times(self.frames_passed, self._length_us):
            address = self.profile.settings.address
            self._logger.warning("Frames of the input %s are dated by when they arrive: %s.", address, fault)
            raise UncopyableError(str(fault)) from fault

    def _held_back(self) -> int:
        """How many more frames ffmpeg has to get before it passes a frame on."""
        if not self.profile.live:
            return 0
        if self._untimed:  # each is read when it comes, or timed by a filter
            return int(self._deinterlaces if self.reencodes else True)
        parsed = self.profile.is_parsed(self.messages)
        if self.reencodes:  # the encoder waits for the next one too
            return 1 + self._deinterlaces + parsed
        return self.profile.makes_times + parsed

    @property
    def _failure(self) -> str:
        """Why ffmpeg failed; empty if that is not known."""
        split = self.profile.settings.address.ends_in_password
        told = stream_fault(self.messages, ends_in_password=split) if self.profile.live else ""
        return told or other_fault(self.messages, self.demuxer.killed)

    @property
    def _silence(self) -> str:
        """Why no frame came in time: if ffmpeg tells more than that itself, that."""
        failure = self._failure
        if failure and not self.profile.is_silent(self.messages):
            return failure
        return self.profile.silence(failure)

    @property
    def outdated(self) -> bool:
        """Whether it works without what has been learned about the input."""
        if self._sound != self.profile.recorded_sound:
            return True
        if self.profile.untimed and not self._untimed and (self.reencodes or self.profile.codec in COPYABLE):
            return True
        if not self.reencodes:
            return self.profile.reordered and not self._reorders
        return self.profile.interlaced and not self._deinterlaces

    @property
    def sound_format(self) -> SoundFormat | None:
        """The format of its sound; None as long as it has none."""
        return self.demuxer.sound.format if self.demuxer.sound is not None else None

    def sound_until(self, dated: DatedFrame) -> tuple[SoundPacket, ...]:
        """The sound up to a frame that has not been taken yet. It keeps its distance from the frame."""
        sound = self.demuxer.sound
        if sound is None or sound.format is None:
            return ()
        pts_us = dated.frame.pts_us
        return tuple(SoundPacket(dated.captured_us + at_us - pts_us, data) for at_us, data in sound.take(pts_us))

    async def _learn_sound(self) -> None:
        """Before the first frame is passed on: a run records sound only if it begins with it."""
        sound = self.demuxer.sound
        if sound is not None:
            await sound.known(_SOUND_KNOWN_S)
            if sound.unusable:
                self.profile.sound = sound.unusable

    def _paced(self, first: CodedFrame) -> AsyncIterator[list[DatedFrame]]:
        settings, patience_s = self.profile.settings, self.profile.patience_s
        if self.profile.live:
            return pace_live(
                self.demuxer,
                first,
                self._clock,
                patience_s=patience_s,
                opened_us=self._opened_us,
                held_back=self._held_back(),
                most_s=patience_s if self.profile.patient else SETTLE_MOST_S,
                buffered_us=buffered_us(settings.address.scheme, settings.address.argument, settings.options),
            )
        return pace_file(
            self.demuxer, first, self._clock, times=self._times, resume_us=self._resume_us, patience_s=patience_s
        )

    def _within_patience(self, together: Sequence[DatedFrame]) -> int:
        """How many of these may be passed on: a segment ends at a keyframe, so they must not be too far apart."""
        patience_us = self.profile.settings.keyframe_patience_s * US_PER_SECOND
        for number, (frame, _, _) in enumerate(together):
            if frame.keyframe or self._keyframe_us is None:
                self._keyframe_us = frame.pts_us
            elif not self.reencodes and frame.pts_us - self._keyframe_us > patience_us:
                return number
        return len(together)
