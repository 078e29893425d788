"""What the ffmpeg of an input reports: logged without secrets, and searched for what it tells about the input."""

from __future__ import annotations

import itertools
import logging
import re
from collections import deque
from collections.abc import Callable

_DURATION = re.compile(r"Duration: \d")
_SOUND = re.compile(r"Stream #0:\d+.*: Audio: (\w+)")
_OPENED = re.compile(r"Input #0, (\S+), from ")
_JOINING = re.compile(
    r"non-existing [SPV]PS|[SPV]PS id out of range|no frame!|Could not find ref|First slice in a frame missing"
    r"|decode_slice_header error|Error parsing NAL unit|Skipping invalid undecodable NALU"
)
"""What decoders report many times a second until the first keyframe comes."""
_VIDEO = re.compile(r"Stream #0:\d+.*?: Video: (\w+)(.*)")
_TICKS = re.compile(r"\b(\w+) tbn\b")
_MADE_UP_TICKS = "1200k"
"""The time base of all streams of bare frames (raw H.264, H.265 and JPEG), whose times ffmpeg makes up."""
_MADE_UP_PICTURE_TICKS = "25"
"""The same of pictures over HTTP."""
_OF_MPEG_TS = re.compile(r"\[0\]\[0\]\[0\] / 0x00(?:1B|24)\)")
"""How ffmpeg describes the H.264 and the H.265 of MPEG-TS, also behind a list, of which it names the format instead."""
_FIELDS = re.compile(r"\b(?:top|bottom)(?: coded)? first\b")
"""How ffmpeg describes the order of fields: `yuv420p(tv, top first)`, `top coded first (swapped)`."""
_INCOMPLETE = re.compile(
    r"File ended prematurely|partial file|Stream ends prematurely|[Pp]acket corrupt|corrupt input packet|[Tt]runcated"
    r"|corrupt decoded frame|concealing \d+|error while decoding MB|I/O error|Input/output error|unexpected end"
)
"""What demuxers and decoders report of a file that is cut off, or damaged inside."""
_LOST = re.compile(
    r"RTP: missed|max delay reached|jitter buffer full|bad cseq|received too late|[Pp]acket corrupt"
    r"|corrupt input packet|Continuity check failed|[Cc]ircular buffer overrun|RCV-DROPPED|corrupt decoded frame"
    r"|concealing \d+|error while decoding|Too short data for FU|Nal size exceeds length"
)
"""What is reported of a live stream of which something is lost on the way."""
_ENCODER_FAILED = re.compile(r"while opening encoder|Could not open encoder")
_PICTURE_FORMAT = re.compile(r"image2|apng|gif|\w+_pipe|webp\w*")
_PICTURE_BRAND = re.compile(r"major_brand\s*: (?:avif|avis|heic|heix|hevc|mif1|msf1)")
_FOLLOWS = re.compile(
    r"^(?:\[[^\]]*\] )?(?:Error opening (?:input|output)|Impossible to open|Could not write header|dimensions not set"
    r"|Nothing was written|Conversion failed|Error (?:initializing|parsing options for) output|Task finished with error"
    r"|Terminating (?:demuxer|muxer)|\S+: (?:Invalid data found|Input/output error|End of file))"
)
"""What ffmpeg reports after the fault itself, in terms of its own command line."""
_STRERROR = re.compile(r"(?:Error opening input|^\S+): (.+)")
_PLACE = re.compile(r"^(?:\[[^\]]*\] )+")
_DETAIL_CHARS = 160
_QUOTED = 3
_KEPT = 12
_MESSAGE_CHARS = 300


class FFmpegMessages(logging.Logger):
    """Passes on what an ffmpeg reports, with the input's secrets removed, and keeps the last warnings and errors."""

    def __init__(
        self,
        logger: logging.Logger,
        redact: Callable[[str], str],
        *,
        quiet: bool = False,
        now_us: Callable[[], int] = lambda: 0,
    ) -> None:
        """`quiet` passes everything on at debug level. `now_us` is for `lost_us`."""
        super().__init__(logger.name, logging.DEBUG)
        self._quiet = quiet
        self._logger = logger
        self._redact = redact
        self._kept: deque[str] = deque(maxlen=_KEPT)
        self._originals: deque[str] = deque(maxlen=_KEPT)
        """The same messages with their secrets, since `contains` may look for a part of one."""
        self._now_us = now_us
        self.losses = 0
        """How many messages told that something of a live stream was lost."""
        self.lost_us = 0
        """When the last of them came."""
        self.rotated = False
        """Whether the input's video has to be rotated for display."""
        self.codec = ""
        """ffmpeg's name of the input's first video codec; empty until it is opened."""
        self.interlaced = False
        """Whether the input's video is interlaced."""
        self.untimed = False
        """Whether the input does not tell when its frames were captured: ffmpeg makes up times of 25 frames a second.
        """
        self.has_duration = False
        """Whether the input has a known duration."""
        self.sound = ""
        """ffmpeg's name of the codec of the input's first sound track; empty as far as ffmpeg has found none."""
        self.incomplete = ""
        """What ffmpeg reports of a part of the input that is missing or damaged; empty if it reports nothing."""
        self.holds_pictures = False
        """Whether the input is a file of pictures: a still, or an animation of some."""
        self.formats: frozenset[str] = frozenset()
        """The format of the input in ffmpeg's words; empty until it is opened."""

    def handle(self, record: logging.LogRecord) -> None:
        """As of any logger."""
        original = record.getMessage()
        text = self._redact(original)
        record.msg, record.args = text, ()
        if record.levelno != logging.INFO and _LOST.search(text):  # at debug level those that are not logged again
            self.losses, self.lost_us = self.losses + 1, self._now_us()
        joining = record.levelno >= logging.WARNING and _JOINING.search(text) is not None
        if joining:
            pass
        elif record.levelno >= logging.WARNING:
            message = text.removeprefix("ffmpeg: ")[:_MESSAGE_CHARS]
            if not self.incomplete and _INCOMPLETE.search(text):
                self.incomplete = message
            if message not in self._kept:
                self._kept.append(message)
                self._originals.append(original)
        elif record.levelno == logging.INFO:
            self.rotated |= "rotation of" in original and "rotation of -0.00" not in original
            self._learn_video(original)
            self.has_duration |= bool(_DURATION.search(original))
            sound = _SOUND.search(original)
            self.sound = sound[1] if sound and not self.sound else self.sound
            opened = _OPENED.search(original)
            self.formats = frozenset(opened[1].split(",")) if opened and not self.formats else self.formats
            self.holds_pictures |= any(map(_PICTURE_FORMAT.fullmatch, self.formats))
            self.holds_pictures |= bool(_PICTURE_BRAND.search(original))
        follows = _FOLLOWS.match(text.removeprefix("ffmpeg: ")) is not None
        if self._quiet or joining or follows or record.levelno == logging.INFO:  # ffmpeg describes every input at info
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        if self._logger.isEnabledFor(record.levelno):
            self._logger.handle(record)

    def _learn_video(self, line: str) -> None:
        described = _VIDEO.search(line)
        if described and not self.codec and "(attached pic)" not in line:  # the lines of the output follow
            self.codec = described[1]
            self.interlaced = _FIELDS.search(described[2]) is not None
            if _OF_MPEG_TS.search(described[2]):
                self.formats |= {"mpegts"}
            ticks = _TICKS.search(described[2])
            made_up = (_MADE_UP_TICKS, _MADE_UP_PICTURE_TICKS) if self.codec == "mjpeg" else (_MADE_UP_TICKS,)
            self.untimed = ticks is not None and ticks[1] in made_up

    @property
    def first(self) -> str:
        """The first of the kept warnings and errors: why an input could not be opened."""
        return "; ".join(list(self._kept)[:_QUOTED])

    @property
    def detail(self) -> str:
        """What ffmpeg said last of the fault itself, in short; empty if it said nothing. Where an encoder cannot be
        opened, that is what it said before."""
        before = itertools.takewhile(lambda one: not _ENCODER_FAILED.search(one), self._kept)
        told = [one for one in before if not _FOLLOWS.match(one)]
        if not told:
            told = [found[1] for one in self._kept if (found := _STRERROR.search(one))]
        if not told:
            return ""
        one = _PLACE.sub("", told[-1]).rstrip(".")
        return one if len(one) <= _DETAIL_CHARS else f"{one[:_DETAIL_CHARS]}…"

    def found(self, pattern: re.Pattern[str]) -> str:
        """The first group of a pattern that is not empty, where it is found first; empty if it is not found."""
        matches = (pattern.search(original) for original in self._originals)
        return next((next(filter(None, match.groups()), "") for match in matches if match), "")

    @property
    def encoder_failed(self) -> bool:
        """Whether an encoder could not be opened."""
        return self.contains(_ENCODER_FAILED)

    def contains(self, pattern: str | re.Pattern[str]) -> bool:
        """Whether one of the kept warnings and errors matches a pattern."""
        return any(re.search(pattern, original) for original in self._originals)
