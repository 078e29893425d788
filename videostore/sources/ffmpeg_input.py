"""An input of ffmpeg as a source: a file, a device or a URL, recorded without re-encoding if possible."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from videostore.base.clock import Clock, SteadyClock, SystemClock
from videostore.base.constants import CAMERA_PATIENCE_S
from videostore.base.errors import RequestError, VideoStoreError
from videostore.base.files import AnyPath
from videostore.base.tasks import off_loop
from videostore.config import parse_video
from videostore.ffmpeg.encoder import Encoder, choose_encoder, preferred_encoder
from videostore.ffmpeg.known_options import option_fault
from videostore.ffmpeg.message_limit import MessageLimit
from videostore.ffmpeg.process import check_version, find_ffmpeg, list_encoders
from videostore.media.h26x import UncopyableError
from videostore.media.packet import Gap, Packet, StreamFormat
from videostore.media.sound import SoundFormat
from videostore.sources.completeness import Completeness
from videostore.sources.damage_watch import DamageWatch
from videostore.sources.hidden_input import can_be_hidden
from videostore.sources.input_profile import InputFault, InputProfile, InputRefused, InputSettings
from videostore.sources.input_url import Address
from videostore.sources.pacing import DatedFrame, FileTimes
from videostore.sources.probing import StreamInfo, probe
from videostore.sources.retry_pause import RetryPause
from videostore.sources.session import InputSession
from videostore.sources.until_set import until_set

KEYFRAME_PATIENCE_S = 30
"""Video with keyframes further apart is re-encoded: until the next keyframe a segment cannot be closed, so the quota
cannot be kept. Cameras that save keyframes while nothing moves send one about every 10 s."""


class FFmpegInput:
    """A `Source` of H.264 or H.265 from anything that ffmpeg can open. Owns its ffmpeg while it is iterated.

    Video that MP4 players cannot show in order is re-encoded, everything else is copied, so the recorder's encoder is
    `Encoder.copy()`. A regular file is played in real time, as if it were a camera that starts now: its frames keep
    their distances, and the recording ends where the file ends. Frames of a live input are dated by when they arrive.
    """

    def __init__(
        self,
        input: AnyPath,
        *,
        binary: str,
        encoder: Encoder,
        clock: Clock | None = None,
        logger: logging.Logger,
        options: Mapping[str, str] | None = None,
        format: str | None = None,
        reencode: bool = False,
        patience_s: float = CAMERA_PATIENCE_S,
        keyframe_patience_s: float = KEYFRAME_PATIENCE_S,
        streams_only: bool = False,
        hide_url: bool = False,
        sound: bool = False,
    ) -> None:
        """`options` and `format` are ffmpeg's for the input (`{"rtsp_transport": "udp"}`, `v4l2`), without a dash; the
        option `f` is a format.

        `encoder` is for video that has to be re-encoded; with `reencode` for all video. `patience_s` is how long the
        first frame of a live input may take; if keyframes are further apart than `keyframe_patience_s`, it is
        re-encoded. With `streams_only` it never ends by itself, and a file over HTTP is refused as a gap. With
        `hide_url` ffmpeg gets no URL as an argument, where every user of the machine sees it; RTSP, RTMP, SRT and RIST
        are always hidden. `sound` is whether its sound is recorded too.

        Raises:
            RequestError: the input or an option is invalid.
        """
        options = dict(options or {})
        format = options.pop("f", format)
        self._address = Address(os.fsdecode(input), options, format)
        if hide_url and not can_be_hidden(self._address.scheme):
            raise RequestError("input-unhidden", input=str(self._address))
        self._encoder = encoder
        self._profile = InputProfile(
            InputSettings(
                self._address,
                options,
                format,
                binary,
                encoder,
                patience_s,
                keyframe_patience_s,
                streams_only,
                hide_url,
                sound,
            ),
            reencode=reencode,
        )
        self._clock = clock or SystemClock()
        self._steady = SteadyClock(self._clock)
        self._logger = logger
        self.info: StreamInfo | None = None
        """What it contains, as far as `open` could find out."""
        self.fault = ""
        """Why a file could not be read to its end; empty while nothing is wrong with it."""
        self.shortfall = ""
        """What was missing of a file that was read to its end; empty as far as nothing is known to be missing."""
        self.first_us: int | None = None
        """Capture time of the first frame; None before it came. A live input that sends what it kept began earlier."""
        self.waited_for = False
        """Whether it was opened with `wait`: its first frame may take any time."""
        self._length_us: int | None = None
        self._stopping = asyncio.Event()
        self._times: FileTimes | None = None
        self._sound_told = False
        self._sound: SoundFormat | None = None
        self._formats: tuple[StreamFormat, StreamFormat] | None = None
        """The last format of the video, without and with its sound."""
        self._damage_limit = MessageLimit()
        self._last_us = 0
        self._steps = 0
        """Steps of the clock before `_last_us`: only frames after the same step have to be later."""
        self._before_us = 0
        """The last capture time before this opening of the input."""

    @classmethod
    async def open(
        cls,
        input: AnyPath,
        *,
        codec: str | None = None,
        bitrate: int | None = None,
        preset: str | None = None,
        framerate: int | None = None,
        options: Mapping[str, str] | None = None,
        format: str | None = None,
        reencode: bool = False,
        hide_url: bool = False,
        wait: bool = False,
        sound: bool = True,
        logger: logging.Logger | None = None,
    ) -> FFmpegInput:
        """An input that was probed, with the ffmpeg that is found: `info` tells what it contains.

        `codec`, `bitrate`, `preset` and `framerate` are those of the machine config (docs/reference/attributes.md),
        for video that is re-encoded. `hide_url` and `wait` are those of the constructor and of `probe`. `sound=False`
        leaves its sound out. Record it with
        `VideoStore.record(directory, source, codec="copy", live=source.live, size_gb=…)`.

        Raises:
            RequestError: the input is invalid, or can never be recorded.
            ConfigError: a setting is wrong.
            FFmpegError: there is no usable ffmpeg.
        """
        video, rate = parse_video({"codec": codec, "bitrate": bitrate, "preset": preset}, framerate)
        binary = await off_loop(find_ffmpeg)
        await check_version(binary)
        given = dict(options or {})
        format = given.pop("f", format)  # of which another error tells
        if fault := await option_fault(binary, given):
            if fault.value is None:
                raise RequestError("input-option", value=fault.name)
            value = fault.value
            raise RequestError("input-option-value", field=fault.name, value=value, expected=fault.expected)
        choose = preferred_encoder if codec is None and not reencode else choose_encoder
        encoder = Encoder(choose(video.codec, await list_encoders(binary)), video.bitrate, video.preset, rate)
        make = functools.partial(
            cls,
            input,
            binary=binary,
            encoder=encoder,
            logger=logger or logging.getLogger("videostore"),
            options=given,
            format=format,
            reencode=reencode,
            hide_url=hide_url,
            sound=sound,
        )
        source = await off_loop(make)
        source.waited_for = wait
        source.info = await source.probe(wait=wait)
        return source

    @property
    def live(self) -> bool:
        """Whether it goes on without an end: frames that are not taken in time are lost. Certain only after `probe`."""
        return self._profile.live

    @property
    def has_sound(self) -> bool:
        """Whether it has sound, as far as is known."""
        return bool(self._profile.sound)

    @property
    def records_sound(self) -> bool:
        """Whether it has sound that is recorded, as far as is known."""
        return bool(self._profile.recorded_sound)

    async def probe(self, *, wait: bool = False) -> StreamInfo | None:
        """Open the input once and look at it; None if it is a device or a server that does not answer at the moment.

        With `wait` also if a device is missing, or a server refuses: `packets` tries that again and again.

        Raises:
            RequestError: it can never be recorded: the sentence says what is wrong with it, without passwords.
            FFmpegError: ffmpeg cannot be started.
        """
        info = await probe(self._profile, self._steady, self._logger, wait=wait)
        self._tell_of_sound()
        return info

    def end_after(self, length_us: int) -> None:
        """Let a file end where so much of it is recorded, however long that takes. To be called before `packets`."""
        self._length_us = length_us

    def stop(self) -> None:
        """End the iterator of `packets`: at once if the input is live; of a file what is due by now still comes."""
        self._stopping.set()
        if self._times is not None:
            self._times.stop()

    @property
    def told_to_end(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        """Yield packets as they come, and a gap whenever none do; another one if the reason changes.

        The end of a file ends the iterator, and so does `stop`; a live input is opened again.
        """
        async with contextlib.aclosing(self.batches()) as batches:  # type: ignore[type-var]
            async for batch in batches:
                for item in batch:
                    yield item

    async def batches(self) -> AsyncIterator[Sequence[Packet | Gap]]:
        """Yield the same, what comes together at once."""
        async with contextlib.aclosing(self._batches()) as batches:  # type: ignore[type-var]
            if not self.live:
                async for batch in batches:
                    yield batch
                return
            stopped = until_set(batches, self._stopping)
            async with contextlib.aclosing(stopped) as until_stopped:  # type: ignore[type-var]
                async for batch in until_stopped:
                    yield batch

    async def _batches(self) -> AsyncIterator[Sequence[Packet | Gap]]:
        profile, complete = self._profile, Completeness()
        times = self._times = FileTimes(self._steady, self._length_us)
        if self._stopping.is_set():
            times.stop()
        pause, resume_us, reported = RetryPause(self._clock), 0, ""
        while True:
            session = InputSession(
                profile, self._steady, self._logger, times=times, resume_us=resume_us, quiet=bool(reported)
            )
            watch = DamageWatch(
                session.messages,
                self._address,
                self._logger,
                self._damage_limit,
                hidden_keyframes=session.reencodes and profile.codec != "mjpeg",
            )
            reason, verb = "", "failed"
            self._before_us = self._last_us
            try:
                async with session, contextlib.aclosing(session.frames()) as frames:  # type: ignore[type-var]
                    async for dated in frames:
                        pause.frame()
                        reported = ""
                        self._tell_of_sound()
                        yield [self._packet(one, session, watch if profile.live else complete) for one in dated]
                if not profile.live:
                    if session.read_to_end:
                        await self._look_for_rest(complete, session)
                    return
                reason = "the stream ended"
            except UncopyableError as error:
                profile.learn_video(session.messages)
                if profile.live or not session.frames_passed:
                    profile.learn_order(error)
                if session.outdated:
                    if session.frames_passed:
                        yield [Gap(f"the input {self._address} is opened again: {error}")]
                    continue
                if not session.reencodes:
                    profile.reencoded = str(error)
                    self._logger.info("Re-encoding the input %s: %s.", self._address, error)
                    resume_us = 0 if profile.live else session.next_pts_us
                    if session.frames_passed:
                        yield [Gap(f"the input {self._address} is re-encoded from here on: {error}")]
                    continue
                reason = f"the output of the encoder {self._encoder.name} cannot be recorded: {error}"
            except (InputFault, VideoStoreError) as error:
                reason = str(error).rstrip(".")
                verb = "cannot be recorded" if isinstance(error, InputRefused) else verb
            gap = f"the input {self._address} {verb}: {reason}"
            if gap != reported:
                self._logger.warning("Not recording: %s.", gap)
                yield [Gap(gap)]
            reported = gap
            if not profile.live:
                self.fault = gap
                return
            await asyncio.sleep(pause.next_s())

    async def _look_for_rest(self, complete: Completeness, session: InputSession) -> None:
        settings = self._profile.settings
        self.shortfall = await complete.missing(settings.address.path, frozenset(settings.options), session.messages)
        if self.shortfall:
            self._logger.warning("The input %s %s.", self._address, self.shortfall)

    def _tell_of_sound(self) -> None:
        profile = self._profile
        if profile.sound and not profile.recorded_sound and not self._sound_told:
            self._sound_told = True
            reason = f": {profile.sound_fault}" if profile.sound_fault else ""
            level = logging.WARNING if reason else logging.INFO  # else it was asked for
            self._logger.log(level, "The sound of the input %s is not recorded%s.", self._address, reason)

    def _packet(self, dated: DatedFrame, session: InputSession, watch: DamageWatch | Completeness) -> Packet:
        frame, captured_us = dated.frame, dated.captured_us
        if dated.clock_steps == self._steps:
            earlier_us = self._before_us if frame.format.reordered else self._last_us
            captured_us = max(captured_us, earlier_us + 1)
            self._last_us = max(self._last_us, captured_us)
        else:
            self._last_us = self._before_us = captured_us
        self._steps = dated.clock_steps
        if self.first_us is None:
            self.first_us = captured_us
        format, sound = frame.format, session.sound_until(dated)
        if frame.keyframe:  # a run begins with one, and its sound with it
            self._sound = session.sound_format
        if self._sound is not None:
            format = self._with_sound(format, self._sound)
        mark = watch.look(frame, captured_us) if isinstance(watch, DamageWatch) else None
        packet = Packet(format, frame.data, captured_us, frame.keyframe, sound if self._sound else (), mark)
        if isinstance(watch, Completeness):
            watch.passed(packet)
        return packet

    def _with_sound(self, format: StreamFormat, sound: SoundFormat) -> StreamFormat:
        """The same object as long as nothing changes: every frame is compared with the one before it."""
        if self._formats is None or self._formats[0] is not format or self._formats[1].sound is not sound:
            self._formats = format, replace(format, sound=sound)
        return self._formats[1]
