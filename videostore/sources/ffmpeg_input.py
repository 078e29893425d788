"""An input of ffmpeg as a source: a file, a device or a URL, recorded without encoding anew where that can be."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import statistics
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from videostore.base.clock import Clock, SteadyClock, SystemClock
from videostore.base.constants import (
    CAMERA_PATIENCE_S,
    CAMERA_SILENCE_S,
    CAMERA_SLOW_FACTOR,
    FFMPEG_BACKOFF_S,
    US_PER_SECOND,
)
from videostore.base.errors import RequestError, VideoStoreError
from videostore.base.time_format import format_seconds
from videostore.config import parse_video
from videostore.ffmpeg.encoder import Encoder, choose_encoder
from videostore.ffmpeg.process import check_version, find_ffmpeg, list_encoders
from videostore.media.h26x import UncopyableError
from videostore.media.packet import Gap, Packet
from videostore.sources.arrival_time import ArrivalTimeEstimator
from videostore.sources.demuxer import NUT_OPTIONS, CodedFrame, Demuxer, FFmpegMessages
from videostore.sources.input_url import Address

ARRIVAL_SETTLE_S = 0.5
"""At the start of a live input the arrivals of so long are weighed before the first frame is dated: what ffmpeg looked
at to know the stream comes late, and at once."""

CATCH_UP_S = 0.02
"""Pause between the frames of an input that came at once: the recorder drops what its backlog cannot take."""

LOOK_S = (1.0, 5.0, 25.0)
"""How long ffmpeg looks at a live stream before it passes it on, which delays the start; longer from attempt to attempt
where no keyframe has come in that time."""

RTSP_TIMEOUT_S = 10.0
"""A camera that answers nothing for this long is told as such by ffmpeg itself, with its reason."""

KEYFRAME_PATIENCE_S = 30
"""Keyframes further apart are made anew: until the next one a segment cannot be closed, nor the quota be kept. Cameras
that save keyframes while nothing moves send one every 10 s or so."""

_INTERVALS = 8
"""So many frame intervals tell how slow an input usually is."""
_PAD_TO_EVEN = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
_TURNED = "its pictures are to be turned"
_NO_REASON = "ffmpeg gave no reason"
_IN_BURSTS = {"hls": "HLS", "dash": "DASH"}
"""Formats that come whole segments at a time, some time after their capture, and again where they are opened again."""
_VIDEO = "0:V:0"
"""The first stream of video that is no cover picture."""
_NO_COPY = re.compile(
    r"not currently supported in container|No codec tag defined|[Cc]ould not find tag|incompatible with output codec"
    r"|unknown timestamp|Timestamps are unset|Negative pts not supported"
)
"""What ffmpeg says where it has opened the input, and cannot pass its video on as it is. Negative are the times of
frames before those that are to be shown."""
_NO_SIZE = re.compile(r"dimensions not set|unspecified size|Could not find codec parameters")
"""What it says where no keyframe has come while it looked at the stream."""
_MISTAKES = (
    (r"matches no streams", "it holds no video"),
    (r"No such file or directory", "there is no such file or device"),
    (r"[Ii]s a directory", "it is a directory"),
    (r"Permission denied", "it may not be read"),
    (r"Protocol not found", "this ffmpeg does not know its protocol"),
    (r"Unknown input format", "this ffmpeg does not know its format"),
    (r"Option not found|Unrecognized option|parsing option|setting option", "an option is unknown, or its value wrong"),
    (r"\b40[134]\b", "the server refuses it"),
)
"""Faults that no time heals, whatever the input is; all else that a device or a server says may pass."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What an input holds."""

    codec: str
    """As ffmpeg calls it; of what is recorded, where only that could be looked at."""
    width: int
    height: int
    live: bool
    """Whether it goes on without end, and is to be dated by when it arrives."""
    reencoded: str
    """Why it cannot be recorded as it is; empty where it can."""


class _Fault(Exception):
    """The input does not deliver: the sentence says why."""


class _Refused(_Fault):
    """It delivers, but must not be recorded."""


class FFmpegInput:
    """A `Source` of H.264 or H.265 from anything that ffmpeg can open. Owns its ffmpeg while it is iterated.

    What players of MP4 files cannot show in order is encoded on the way in, all else is passed on as it comes; so the
    recorder's encoder is `Encoder.copy()`. A regular file is played in real time, as if it were a camera, from now on;
    its frames keep their distances, and its end is the end. A live input is dated by when its frames arrive.
    """

    def __init__(
        self,
        input: str,
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
    ) -> None:
        """`options` and `format` are ffmpeg's for the input (`{"rtsp_transport": "udp"}`, `v4l2`), without a dash.

        `encoder` is for what cannot be recorded as it is, or with `reencode` for all. `patience_s` is how long a live
        input may take for its first frame; where keyframes are further apart than `keyframe_patience_s`, it is encoded.

        Raises:
            RequestError: the input or an option cannot be meant.
        """
        self._options = dict(options or {})
        self._format = format
        self._address = Address(input, self._options, format)
        self._binary = binary
        self._encoder = encoder
        self._steady = SteadyClock(clock or SystemClock())
        self._logger = logger
        self._patience_s = patience_s
        self._keyframe_patience_s = keyframe_patience_s
        self._reencoded = "so it was asked for" if reencode else ""
        self._look_s = list(LOOK_S)
        self._ends = False
        """Whether ffmpeg has told a length, so that it is no live stream whatever serves it."""
        self._last_us = 0
        self.info: StreamInfo | None = None
        """What it holds, as far as `open` could look at it."""
        self.fault = ""
        """Why a file could not be read to its end; empty while nothing is wrong with it."""
        self._steps = 0
        """Steps of the clock before `_last_us`, which nothing after them has to come behind."""

    @classmethod
    async def open(
        cls,
        input: str,
        *,
        codec: str | None = None,
        bitrate: int | None = None,
        preset: str | None = None,
        framerate: int | None = None,
        options: Mapping[str, str] | None = None,
        format: str | None = None,
        reencode: bool = False,
        logger: logging.Logger | None = None,
    ) -> FFmpegInput:
        """An input that was looked at, with the ffmpeg at hand: `info` tells what it holds.

        `codec`, `bitrate`, `preset` and `framerate` are those of the machine config (README, Attributes), for what is
        encoded. Record it with `VideoStore.record(directory, source, codec="copy", live=source.live, size_gb=…)`.

        Raises:
            RequestError: the input cannot be meant, or nobody will ever record it.
            ConfigError: a setting is wrong.
            FFmpegError: there is no ffmpeg that can be used.
        """
        video, rate = parse_video({"codec": codec, "bitrate": bitrate, "preset": preset}, framerate)
        binary = find_ffmpeg()
        await check_version(binary)
        encoder = Encoder(choose_encoder(video.codec, await list_encoders(binary)), video.bitrate, video.preset, rate)
        source = cls(
            input,
            binary=binary,
            encoder=encoder,
            logger=logger or logging.getLogger("videostore"),
            options=options,
            format=format,
            reencode=reencode,
        )
        source.info = await source.probe()
        return source

    @property
    def live(self) -> bool:
        """Whether it goes on without end: frames that nobody takes in time are lost. Known for sure after `probe`."""
        return not (self._ends or self._format == "lavfi" or self._address.is_file)

    async def probe(self) -> StreamInfo | None:
        """Open the input once and look at it; None where it is a device or a server that does not answer just now.

        Raises:
            RequestError: nobody will ever record it: the sentence says what is wrong with it, without passwords.
            FFmpegError: ffmpeg cannot be started.
        """
        if self._address.is_missing:
            raise self._mistake("there is no such file or device")
        while True:
            words = FFmpegMessages(self._logger, self._address.conceal, quiet=True)
            demuxer = await Demuxer.start(self._command(), self._steady, words)
            reason = ""
            try:
                frame = await demuxer.next(self._patience_s)
                await self._learn(words)
                if frame is None and not await demuxer.succeeded():
                    reason = demuxer.ending
                if frame is not None:
                    self._reencoded = self._reencoded or (_TURNED if words.turned else "")
                    return self._info(demuxer)
            except UncopyableError as error:
                try:
                    await self._learn(words)
                except _Refused as refused:
                    raise self._mistake(str(refused)) from refused
                if not self._reencoded:
                    self._reencoded = str(error)
                    return self._info(demuxer)
                reason = str(error)
            except _Refused as refused:
                raise self._mistake(str(refused)) from refused
            except asyncio.TimeoutError:
                reason = f"nothing came within {self._patience_s:g} s"
            finally:
                await demuxer.end()
            if self._must_encode(words):
                continue
            mistake = next((text for pattern, text in _MISTAKES if words.heard(pattern)), None)
            if mistake or not self.live:
                raise self._mistake(mistake or reason or "it holds no video that can be read", words.first)
            self._logger.warning("The input %s does not answer: %s.", self._address, words.last or reason or _NO_REASON)
            return None

    def _info(self, demuxer: Demuxer) -> StreamInfo:
        return StreamInfo(demuxer.codec, demuxer.width, demuxer.height, self.live, self._reencoded)

    def _mistake(self, what: str, said: str = "") -> RequestError:
        said = f" (ffmpeg: {said})" if said else ""
        return RequestError(
            f"The input {self._address} cannot be recorded: {what}{said}. Name a file with video, a device such as "
            "/dev/video0, or a URL such as rtsp://host/path."
        )

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        """Yield what comes, and a gap whenever nothing does; a file's end is the end, a live input is opened again."""
        first_s, longest_s = FFMPEG_BACKOFF_S
        pause_s, resume_us, gap_told = first_s, 0, False
        while True:
            session = _Session(resume_us, encoded=bool(self._reencoded), quiet=gap_told)
            reason, does = "", "does not deliver"
            try:
                async with contextlib.aclosing(self._session(session)) as packets:  # type: ignore[type-var]
                    async for packet in packets:
                        pause_s, gap_told = first_s, False
                        yield packet
                if not self.live:
                    return
                reason = "it has ended"
            except UncopyableError as error:
                if not session.encoded:
                    self._reencoded = str(error)
                    self._logger.info("The input %s is encoded anew: %s.", self._address, error)
                    resume_us = 0 if self.live else session.next_pts_us
                    if session.frames:
                        yield Gap(f"the input {self._address} is encoded anew from here on: {error}")
                    continue
                reason = f"what the encoder {self._encoder.name} makes of it cannot be recorded: {error}"
            except (_Fault, VideoStoreError) as error:
                reason = str(error).rstrip(".")
                does = "cannot be recorded" if isinstance(error, _Refused) else does
            gap = f"the input {self._address} {does}: {reason}"
            if not gap_told:
                self._logger.warning("Not recording: %s.", gap)
                yield Gap(gap)
            gap_told = True
            if not self.live:
                self.fault = gap
                return
            await asyncio.sleep(pause_s)
            pause_s = min(longest_s, 2 * pause_s)

    async def _session(self, session: _Session) -> AsyncIterator[Packet]:
        """All that one ffmpeg delivers.

        Raises:
            UncopyableError: it has to be encoded anew.
            _Fault: it failed, or delivers nothing.
            FFmpegError: it cannot be started.
        """
        words = FFmpegMessages(self._logger, self._address.conceal, quiet=session.quiet)
        demuxer = await Demuxer.start(self._command(session.resume_us), self._steady, words)
        try:
            try:
                frame = await demuxer.next(self._patience_s)
            except asyncio.TimeoutError as error:
                raise _Fault(words.last or f"nothing came within {self._patience_s:g} s") from error
            await self._learn(words)
            if frame is None and not await demuxer.succeeded():
                self._look_longer(words)
                if self._must_encode(words):
                    raise UncopyableError(self._reencoded)
                raise _Fault(_why(demuxer, words))
            if frame is not None:
                if words.turned and not self._reencoded:
                    raise UncopyableError(_TURNED)
                play = self._play_live if self.live else self._play_file
                async with contextlib.aclosing(play(demuxer, frame, session)) as packets:  # type: ignore[type-var]
                    async for packet in packets:
                        yield packet
            if not await demuxer.succeeded():
                raise _Fault(_why(demuxer, words))
        finally:
            await demuxer.end()

    async def _play_file(self, demuxer: Demuxer, frame: CodedFrame | None, session: _Session) -> AsyncIterator[Packet]:
        """In real time, from now on; what has been read ahead waits."""
        steady, offset_us, steps = self._steady, 0, -1
        while frame is not None:
            pts_us = frame.pts_us + session.resume_us
            early_us = pts_us + offset_us - steady.now_us()
            if steps == steady.steps and early_us > 0:
                await asyncio.sleep(early_us / US_PER_SECOND)
                steady.now_us()
            if steps != steady.steps:  # at the beginning, and where the clock was stepped: then it is now
                offset_us, steps = steady.now_us() - pts_us, steady.steps
            self._check(frame, session)
            yield self._packet(frame, pts_us + offset_us, steps)
            session.frames += 1
            session.next_pts_us = pts_us + 1
            try:
                frame = await demuxer.next(self._patience_s)
            except asyncio.TimeoutError as error:
                raise _Fault(f"nothing came within {self._patience_s:g} s") from error

    async def _play_live(self, demuxer: Demuxer, frame: CodedFrame | None, session: _Session) -> AsyncIterator[Packet]:
        """Dated by their arrivals; the first ones once it is known how much they were delayed."""
        assert frame is not None
        held = deque([frame])
        settled_us = frame.arrived_us + round(ARRIVAL_SETTLE_S * US_PER_SECOND)
        ended = False
        while (
            not ended
            and (left_us := settled_us - self._steady.now_us()) > 0
            and self._steady.steps == frame.clock_steps
        ):
            with contextlib.suppress(asyncio.TimeoutError):
                following = await demuxer.next(left_us / US_PER_SECOND)
                ended = following is None
                held += [following] if following else []
        dates, steps = ArrivalTimeEstimator(), -1
        weighed: deque[CodedFrame] = deque()
        intervals: deque[int] = deque(maxlen=_INTERVALS)
        last_pts_us: int | None = None
        while True:
            while held:
                frame = held.popleft()
                if frame.clock_steps != steps:
                    dates, steps = ArrivalTimeEstimator(), frame.clock_steps
                if not dates.observe(frame.pts_us, frame.arrived_us):
                    raise _Fault("its time has leaped")
                if last_pts_us is not None:
                    intervals.append(frame.pts_us - last_pts_us)
                last_pts_us = frame.pts_us
                weighed.append(frame)
            while weighed:
                frame = weighed.popleft()
                self._check(frame, session)
                yield self._packet(frame, dates.date(frame.pts_us), frame.clock_steps)
                session.frames += 1
                if weighed or demuxer.waiting:
                    await asyncio.sleep(CATCH_UP_S)
            if ended:
                return
            usual_s = statistics.median(intervals) / US_PER_SECOND if intervals else 0.0
            patience_s = max(CAMERA_SILENCE_S, CAMERA_SLOW_FACTOR * usual_s) if intervals else self._patience_s
            try:
                following = await demuxer.next(patience_s)
            except asyncio.TimeoutError as error:
                raise _Fault(f"nothing came for {patience_s:g} s") from error
            ended = following is None
            held += [following] if following else []

    def _check(self, frame: CodedFrame, session: _Session) -> None:
        """Before a frame is passed on: a segment must come to its end.

        Raises:
            UncopyableError: keyframes are too far apart.
        """
        if frame.keyframe or session.keyframe_us is None:
            session.keyframe_us = frame.pts_us
        elif not session.encoded and frame.pts_us - session.keyframe_us > self._keyframe_patience_s * US_PER_SECOND:
            raise UncopyableError(f"no keyframe has come for {self._keyframe_patience_s:g} s")

    def _packet(self, frame: CodedFrame, captured_us: int, steps: int) -> Packet:
        if steps == self._steps:
            captured_us = max(captured_us, self._last_us + 1)
        self._last_us, self._steps = captured_us, steps
        return Packet(frame.format, frame.data, captured_us, frame.keyframe)

    async def _learn(self, words: FFmpegMessages) -> None:
        """What ffmpeg said of the input before its first frame.

        Raises:
            _Refused: it is of a kind whose time cannot be known.
        """
        for _ in range(5):  # let it come in
            await asyncio.sleep(0)
        for name in words.formats & _IN_BURSTS.keys():
            raise _Refused(
                f"it is {_IN_BURSTS[name]}, which comes late and in bursts, so that its time cannot be trusted: record "
                "the camera's RTSP stream instead"
            )
        if self._address.scheme in ("http", "https", "ftp", "sftp"):
            self._ends = words.length_told

    def _look_longer(self, words: FFmpegMessages) -> None:
        """Keyframes may be far apart."""
        if len(self._look_s) > 1 and words.heard(_NO_SIZE):
            del self._look_s[0]

    def _must_encode(self, words: FFmpegMessages) -> bool:
        """Whether ffmpeg could not pass on what it has opened, and has not been told to encode it yet."""
        if self._reencoded or not words.heard(_NO_COPY):
            return False
        hidden = words.heard("Negative pts")
        self._reencoded = (
            "it begins with frames that are not to be shown" if hidden else "it cannot be passed on as it is"
        )
        return True

    def _command(self, resume_us: int = 0) -> list[str]:
        options: dict[str, str] = {}
        if self._address.scheme in ("rtsp", "rtsps"):
            options = {"rtsp_transport": "tcp", "timeout": str(round(RTSP_TIMEOUT_S * US_PER_SECOND))}
        if self.live:
            options["fpsprobesize"] = "0"  # so many frames would come late, and at once
            options["analyzeduration"] = str(round(self._look_s[0] * US_PER_SECOND))
            if self._reencoded:
                options["thread_type"] = "slice"  # threads for whole frames hold pictures back
        if self._format:
            options["f"] = self._format
        if resume_us:
            options["ss"] = format_seconds(resume_us)
        if self._reencoded:
            coding = ["-vf", _PAD_TO_EVEN]
            for name, value in self._encoder.options().items():
                coding += [f"-{name}", str(value)]
        else:
            coding = ["-c", "copy", "-copytb", "1"]
            if not self.live:
                options["fflags"] = "+genpts"  # of bare H.264, and of AVI files
                coding += ["-avoid_negative_ts", "disabled"]
        options |= self._options
        return [
            *(self._binary, "-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+info"),
            *(word for name, value in options.items() for word in ((f"-{name}", value) if value else (f"-{name}",))),
            *("-i", self._address.argument, "-map", _VIDEO),
            *coding,
            *NUT_OPTIONS,
            "pipe:1",
        ]


class _Session:
    """What became of one ffmpeg."""

    def __init__(self, resume_us: int, *, encoded: bool, quiet: bool) -> None:
        self.encoded = encoded
        self.quiet = quiet
        """Whether it repeats one that failed: then that has been told."""
        self.resume_us = resume_us
        """Where in a file it begins."""
        self.next_pts_us = resume_us
        self.frames = 0
        self.keyframe_us: int | None = None
        """The last keyframe's time."""


def _why(demuxer: Demuxer, words: FFmpegMessages) -> str:
    """Why an ffmpeg has failed."""
    return "; ".join(filter(None, (demuxer.ending, words.last))) or _NO_REASON
