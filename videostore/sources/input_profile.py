"""How an input is opened, and what is known about it: whether it is live, and whether it has to be re-encoded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from videostore.base.constants import US_PER_SECOND
from videostore.ffmpeg.encoder import Encoder
from videostore.media.h26x import COPYABLE, ReorderedError, UncopyableError
from videostore.media.packet import StreamFormat
from videostore.sources.ffmpeg_messages import FFmpegMessages
from videostore.sources.hidden_input import SCHEMES, SCHEMES_OF_STREAMS
from videostore.sources.input_url import Address

LOOK_S = (1.0, 5.0, 25.0)
"""How long ffmpeg analyses a live stream before it passes it on, which delays the start; longer from attempt to attempt
if no keyframe came in that time."""

PATIENT_FACTOR = 2.5
"""A stream that sends nothing for `patience_s` may be that of a slow camera, whose first frame is whole for ffmpeg when
the second one comes, perhaps two intervals after it was opened. 75 s instead of 30 are enough for one frame in 30 s."""
SLOW_US = 2 * US_PER_SECOND
"""Streams with more frames are opened without: of these the first frame is dated more exactly."""
_RIGHT_US = 60 * US_PER_SECOND
"""Times that were right for so long are believed after they were wrong once: the camera began again."""
_OFTEN = 2
_PATIENT_EVERY = 4
"""A camera that hangs is not noticed to be back while it is waited for: only every fourth attempt is so patient."""

ROTATED = "its video is rotated"
INTERLACED = "its video is interlaced"
_IN_BURSTS = {"hls": "HLS", "dash": "DASH"}
"""Formats that come a whole segment at a time, some time after capture, and once more when they are opened again."""
_UNTIMED = frozenset({"h264", "hevc", "avi"})
"""Formats that do not say when frames are shown."""
_OPTIONS_OF_TIMES = frozenset({"use_wallclock_as_timestamps", "framerate", "r"})
"""With these the user says how frames are dated of which the input does not tell it."""
_UNTIMED_FRAMES = "it has B frames, and does not say when they are shown"
_UNDATED_FRAMES = "it does not say when its B frames are decoded"
_NO_COPY = re.compile(
    r"not currently supported in container|No codec tag defined|[Cc]ould not find tag|incompatible with output codec"
    r"|unknown timestamp|Timestamps are unset|Negative pts not supported"
)
"""What ffmpeg reports if it has opened the input but cannot copy its video. Frames that are hidden at the start of a
video have a negative pts."""
_NO_SIZE = re.compile(r"dimensions not set|unspecified size|Could not find codec parameters")
"""What it reports if no keyframe came while it analysed the stream."""
_NO_SOUND = re.compile(r"does not contain any stream|[Oo]utput (?:file|stream) #1|\b[ao](?:ut|ost|f)?#1|Audio encoder")
"""What it reports if its second output, the sound, cannot be written."""
_WITHOUT_TIMES = re.compile(r"unknown timestamp|Timestamps are unset|Negative pts not supported")
"""What it reports of a live stream with B frames if it cannot make up for times that the stream does not tell."""
_NOT_CONNECTED = re.compile(r"Connection to \S+ failed")
"""What it reports if there was no stream that could have been silent."""
_RTP_SCHEMES = frozenset({"rtsp", "rtsps", "rtp"})
_RTP_FORMATS = frozenset({"rtsp", "rtp", "sdp"})
"""RTP tells when frames are shown, and not when they are decoded."""
_PARSED_SCHEMES = _RTP_SCHEMES | {"udp", "srt", "rist"}
_PARSED_FORMATS = _RTP_FORMATS | {"mpegts"}
"""They do not tell where a frame ends: ffmpeg's parser knows it when the next one begins."""
_RAW = {"wrapped_avframe": "rawvideo"}
"""What ffmpeg calls pictures that it makes itself, and what users know them as."""
_MESSAGE_TURNS = 5
"""Turns of the event loop in which messages that ffmpeg wrote before its first frame are read."""


class InputFault(Exception):
    """The input yields no video; the text says why, for the reason of a gap."""


class InputRefused(InputFault):
    """The input yields video that must not be recorded."""


class WrongTimes(InputFault):
    """The times that the input gives its frames cannot be right."""


@dataclass(frozen=True, slots=True)
class InputSettings:
    """How an input is opened."""

    address: Address
    options: Mapping[str, str]
    """ffmpeg's options for the input, without a dash."""
    format: str | None
    """ffmpeg's name of the format; None: ffmpeg detects it."""
    binary: str
    encoder: Encoder
    """For video that has to be re-encoded."""
    patience_s: float
    """How long the first frame may take."""
    keyframe_patience_s: float
    """Video whose keyframes are further apart is re-encoded."""
    streams_only: bool = False
    """Whether it has to be a stream or a device, which never ends, and whose URL no other process may see."""
    hide_url: bool = False
    """Whether no other process may see the URL."""
    sound: bool = False
    """Whether its sound is recorded too."""

    @property
    def hidden(self) -> bool:
        """Whether ffmpeg gets the URL in a list instead of as an argument."""
        scheme = self.address.scheme
        return scheme in SCHEMES or ((self.streams_only or self.hide_url) and scheme in SCHEMES_OF_STREAMS)


class InputProfile:
    """What is known about an input. Each ffmpeg that opens it adds to this."""

    def __init__(self, settings: InputSettings, *, reencode: bool) -> None:
        self.settings = settings
        self.reencoded = "as requested" if reencode else ""
        """Why it has to be re-encoded; empty if it can be copied."""
        self._always_reencodes = reencode
        self.codec = ""
        """ffmpeg's name of the video's codec; empty if it is not known yet."""
        self.interlaced = False
        """Whether its frames consist of two fields."""
        self.untimed = False
        """Whether it is live and does not tell when its frames were captured: each is dated by when it arrives."""
        self.timed_from_us = 0
        """From when the times of such frames are counted where they are encoded, UTC."""
        self.sound = ""
        """ffmpeg's name of the codec of its sound; empty if it has none, or none is known yet."""
        self.sound_fault = ""
        """Why its sound cannot be recorded; empty if it can, as far as is known."""
        self.reordered = False
        """Whether its frames are reordered, which it does not say, or whose times of decoding it does not."""
        self._look_s = list(LOOK_S)
        self._wrong_times = 0
        """How many times in a row an opening ended soon because the times of the frames could not be right."""
        self._silent = 0
        """How many attempts in a row have got no frame, although nothing was refused."""
        self._ends = False
        """Whether ffmpeg has reported a duration, so that it is not a live stream, whatever serves it."""

    @property
    def live(self) -> bool:
        """Whether it goes on without an end."""
        if self.settings.streams_only:
            return True
        return not (self._ends or self.settings.format == "lavfi" or self.settings.address.is_file)

    @property
    def recorded_sound(self) -> str:
        """The codec of its sound, if that is to be recorded; else empty."""
        return self.sound if self.settings.sound and not self.sound_fault else ""

    @property
    def look_s(self) -> float:
        """How long ffmpeg is to analyse the stream, in seconds."""
        return self._look_s[0]

    @property
    def patient(self) -> bool:
        """Whether it is opened as one that sends few frames."""
        return self._silent % _PATIENT_EVERY == 1

    @property
    def patience_s(self) -> float:
        """How long a frame may take, as long as its interval is not known."""
        return self.settings.patience_s * (PATIENT_FACTOR if self.patient else 1)

    def is_silent(self, messages: FFmpegMessages) -> bool:
        """Whether ffmpeg reports that an open stream sends nothing, and no more than that."""
        return messages.contains("timed out") and not messages.contains(_NOT_CONNECTED)

    def learn_silence(self) -> None:
        """Take in that no frame came, although nothing was refused."""
        self._silent += self.live

    def learn_pace(self, frames: int, length_us: int) -> None:
        """Take in how many frames have come, and in which time: whether it needs patience when it is opened again."""
        if frames > 1 and length_us < SLOW_US * (frames - 1):
            self._silent = 0

    def learn_wrong_times(self, passed: int, length_us: int) -> bool:
        """Take in that times cannot be right, after so many frames and so much time; whether those of the input are not
        used from now on. Then its sound has none to go by; it is given up only where nothing could be recorded."""
        self._wrong_times = 1 if length_us > _RIGHT_US else self._wrong_times + 1
        if _OPTIONS_OF_TIMES & self.settings.options.keys() or (passed and self._wrong_times < _OFTEN):
            return False
        if self.recorded_sound:
            if passed:
                return False
            reason = "the times of its video cannot be right"
            self.sound_fault = reason
        self.untimed = True
        return True

    def silence(self, told: str) -> str:
        """Why no frame came in time, where ffmpeg has `told` something or nothing. From the second attempt on it is the
        same for each, however long it was."""
        usual_s = self.settings.patience_s
        reason = told or f"no frame within {usual_s:g} s"
        if self._silent:
            longest_s = usual_s * PATIENT_FACTOR
            reason = f"no frame within {longest_s:g} s: it sends none, or less than one in {usual_s:g} s"
        return reason

    async def learn(self, messages: FFmpegMessages) -> None:
        """Take in what ffmpeg reported about the input before its first frame.

        Raises:
            InputRefused: it is of a kind whose capture times cannot be known.
        """
        for _ in range(_MESSAGE_TURNS):
            await asyncio.sleep(0)
        earlier = self.codec
        self.learn_video(messages)
        if earlier not in ("", self.codec) and not self._always_reencodes:
            self.reencoded = ""  # what kept the other codec from being copied
        if messages.codec:
            self.sound = messages.sound
        for name in messages.formats & _IN_BURSTS.keys():
            raise InputRefused(
                f"it is {_IN_BURSTS[name]}, which arrives late and in bursts, so capture times would be wrong. Record "
                "the camera's RTSP stream instead"
            )
        if self.settings.address.scheme in ("http", "https", "ftp", "sftp"):
            self._ends = messages.has_duration

    def learn_video(self, messages: FFmpegMessages) -> None:
        """Take in what ffmpeg has reported about the input's video so far."""
        self.interlaced |= messages.interlaced
        self.untimed |= messages.untimed and self.live and not _OPTIONS_OF_TIMES & self.settings.options.keys()
        self.codec = messages.codec or self.codec

    @property
    def makes_times(self) -> bool:
        """Whether times of decoding are made up where a live input tells none."""
        return self.live and self.reordered

    def is_parsed(self, messages: FFmpegMessages) -> bool:
        """Whether ffmpeg passes a frame on when the next one comes: it does not know earlier where it ends."""
        settings, codec = self.settings, messages.codec or self.codec
        formats = messages.formats | {settings.format}
        by_format = settings.address.scheme in _PARSED_SCHEMES or bool(formats & _PARSED_FORMATS)
        return by_format and (not codec or codec in COPYABLE)

    def learn_order(self, error: UncopyableError) -> None:
        """Take in that frames are reordered, if that is what kept them from being copied."""
        self.reordered |= isinstance(error, ReorderedError)

    def check_order(self, format: StreamFormat, messages: FFmpegMessages) -> None:
        """Whether it is known when frames are shown that are decoded in another order.

        Raises:
            ReorderedError: it is if the input is opened in another way.
            UncopyableError: it is not; ffmpeg's own guess may be wrong.
        """
        if not format.reordered:
            return
        if messages.formats & _UNTIMED or self.untimed:
            raise UncopyableError(_UNTIMED_FRAMES)
        settings = self.settings
        by_rtp = settings.address.scheme in _RTP_SCHEMES or messages.formats & _RTP_FORMATS
        if by_rtp and self.live and not self.reordered:
            raise ReorderedError(_UNDATED_FRAMES)

    def check_times(self, messages: FFmpegMessages) -> None:
        """After ffmpeg failed: whether it would not if the input was opened in another way.

        Raises:
            ReorderedError: it would not.
        """
        if self.live and not self.reencoded and not self.reordered and messages.contains(_WITHOUT_TIMES):
            raise ReorderedError(_UNDATED_FRAMES)

    def gives_up_sound(self, messages: FFmpegMessages) -> bool:
        """Whether ffmpeg failed because of the sound; then the video is recorded without."""
        if not self.recorded_sound or not messages.contains(_NO_SOUND):
            return False
        if messages.codec and not messages.sound:
            self.sound = ""
        else:
            self.sound_fault = messages.first
        return True

    def look_longer(self, messages: FFmpegMessages) -> None:
        """After ffmpeg failed: let it analyse the stream for longer if no keyframe came, since they may be far apart,
        or wait for longer if it was too long without a frame."""
        if len(self._look_s) > 1 and messages.contains(_NO_SIZE):
            del self._look_s[0]
        if self.is_silent(messages):
            self.learn_silence()

    def must_reencode(self, messages: FFmpegMessages) -> bool:
        """Whether ffmpeg could not copy what it opened and was not told to re-encode it; then it will be."""
        if self.reencoded or not messages.contains(_NO_COPY):
            return False
        codec = _RAW.get(messages.codec, messages.codec)
        if codec and codec not in COPYABLE:
            self.reencoded = f"its codec is {codec}"
        elif messages.contains("Negative pts"):
            self.reencoded = "it starts with hidden frames"
        else:
            self.reencoded = "ffmpeg cannot copy it as it is"
        return True
