"""What a file of another program holds: its frames and their times, and whether they can be stored as they are."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import stat
import statistics
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videostore.base.constants import CAMERA_SILENCE_S, CAMERA_SLOW_FACTOR, US_PER_SECOND
from videostore.base.errors import RequestError, reason_of
from videostore.media.footage_sound import FootageSound, SoundSurvey
from videostore.media.h26x import COPYABLE, KeyframeInfo, UncopyableError, inspect_keyframe, parameter_sets
from videostore.media.import_tag import UNKNOWN_DIGEST
from videostore.media.lenient_tags import lenient_tags, tags_of
from videostore.media.libav import av
from videostore.media.packet_digest import PacketDigest
from videostore.media.recovery_point import recovers_later

KEYFRAMES_APART_US = 30 * US_PER_SECOND
"""Video with keyframes further apart is encoded: a segment ends at a keyframe."""

READ_OPTIONS = {
    "format_whitelist": "mov,matroska,webm,mpegts,mpeg,avi,flv,asf",
    "protocol_whitelist": "file",
}
"""Formats that tell the time of each frame, and lead to no other file and no host, as playlists do."""
_FORMATS = "MP4, MOV, Matroska, WebM, MPEG-TS, MPEG, AVI, FLV and WMV"
_CHANGES = "its format changes in the middle"
_REPORT_EVERY = 256
"""Packets between two reports of the progress."""
_BEGINNING_PACKETS = 512
"""So many tell how a file begins. No decoder holds so many frames back because of their order."""


@dataclass(frozen=True, slots=True)
class Footage:
    """The video of a file. Times are those of the file, in microseconds."""

    codec: str
    """ffmpeg's name: `h264`, `hevc` …"""
    width: int
    height: int
    """Of the largest pictures, if their size changes."""
    resized: bool
    """Whether it does."""
    frames: int
    """The frames that are shown, from the first one that can be decoded."""
    skipped: int
    """How many frames cannot be decoded: those before that one, and those that need them."""
    leads: bool
    """Whether some of these come behind it."""
    begin_us: int
    """Time of the first frame in the file."""
    first_us: int
    """Time of the first one that can be decoded."""
    last_us: int
    """Time of the last frame."""
    longest_us: int
    """The longest time from one frame to the next in a stretch."""
    usual_us: int
    """The usual time from one frame to the next."""
    stretches_us: tuple[int, ...]
    """Where its stretches begin, from the first frame that can be decoded on: before each other one is a gap."""
    gaps_us: tuple[tuple[int, int], ...]
    """The last frame before each of these gaps, and the first one behind it."""
    size_bytes: int
    """Size of its coded frames."""
    digest: str
    """The same for every copy of the file, and for no other."""
    uncopyable: str
    """Why it cannot be stored without encoding; empty if it can."""
    sound: FootageSound | None
    """None if it has none."""
    tags: Mapping[str, str]
    """What the file says of itself."""

    @property
    def length_us(self) -> int:
        """From the first frame that can be decoded to the last."""
        return self.last_us - self.first_us

    def begins_like(self, other: Footage) -> bool:
        """Whether the same is written of both, if no more is known of one than how it begins."""
        return (
            not (self.uncopyable or other.uncopyable)
            and len(self.stretches_us) == len(other.stretches_us) == 1
            and (self.codec, self.begin_us, self.first_us) == (other.codec, other.begin_us, other.first_us)
            and self.leads == other.leads
        )


def survey(path: Path, on_progress: Callable[[float], None], is_over: Callable[[], bool]) -> Footage:
    """Read all coded frames of a file, without decoding them. Blocking; it ends early when `is_over`.

    Raises:
        RequestError: it cannot be read, or has no video with times (`import-unreadable`).
        InterruptedError: it ended early.
    """
    return _read(path, on_progress, is_over, None)


def survey_beginning(path: Path) -> Footage:
    """The same of the first packets of a file. Blocking. How long the video is, is what the file says of itself.

    Raises:
        RequestError: it cannot be read, or its beginning has no video with times (`import-unreadable`).
    """
    return _read(path, lambda _: None, lambda: False, _BEGINNING_PACKETS)


def _read(
    path: Path, on_progress: Callable[[float], None], is_over: Callable[[], bool], most_packets: int | None
) -> Footage:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device could block for ever
            raise _unreadable(path, "it is not a regular file")
        if not _is_utf8(path.absolute()):
            raise _unreadable(path, "its path is not UTF-8, as ffmpeg needs it")
        # An absolute path: libav would take a name such as `http:…` for a URL.
        with av.open(f"file:{path.absolute()}", options=READ_OPTIONS, **lenient_tags()) as container:
            stream = _video_of(path, container)
            context = stream.codec_context
            beginning = f"{context.name} {stream.time_base} ".encode() + bytes(context.extradata or b"")
            with PacketDigest(beginning) as digest:
                report = functools.partial(_report, on_progress, max(1, status.st_size))
                found = _survey(path, container, stream, digest, report, is_over, most_packets)
            if most_packets is None:
                return found
            last_us = max(found.last_us, found.begin_us + (container.duration or 0))
            return replace(found, last_us=last_us, digest=UNKNOWN_DIGEST)
    except InterruptedError:
        raise
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise _unreadable(path, f"it is damaged, or none of {_FORMATS}") from error
    except (OSError, ValueError, OverflowError, av.error.FFmpegError) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or reason_of(error)) from error


def _unreadable(path: Path, reason: str) -> RequestError:
    return RequestError("import-unreadable", path=path, reason=reason)


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _report(on_progress: Callable[[float], None], size_bytes: int, at: int) -> None:
    on_progress(min(1.0, at / size_bytes))


def _video_of(path: Path, container: Any) -> Any:
    # The stream that ffmpeg takes as well: the first that is no cover picture.
    stream = next(
        (one for one in container.streams.video if not one.disposition & av.stream.Disposition.attached_pic), None
    )
    if stream is None or stream.codec_context is None:
        raise _unreadable(path, "it has no video")
    return stream


def _survey(
    path: Path,
    container: Any,
    stream: Any,
    digest: PacketDigest,
    on_read: Callable[[int], None],
    is_over: Callable[[], bool],
    most_packets: int | None,
) -> Footage:
    reader = _Reader(stream, digest, turned=_is_turned(path, stream.index))
    sound = SoundSurvey(container.streams.audio[0]) if container.streams.audio else None
    streams = [stream] if sound is None else [stream, sound.stream]
    for number, packet in enumerate(itertools.islice(container.demux(streams), most_packets)):
        if number % _REPORT_EVERY == 0:
            if is_over():
                raise InterruptedError
            on_read(packet.pos or 0)
        if sound is not None and packet.stream is sound.stream:
            if packet.size:
                sound.add(packet)
        elif packet.size:
            reader.add(packet)
    times = sorted(reader.times)
    if reader.untimed:
        raise _unreadable(path, "some of its frames have no times")
    if not times:
        raise _unreadable(path, "it has no frame that can be decoded")
    if reader.goes_back:
        raise _unreadable(path, "its times go back, as of files that were put together")
    base = stream.time_base * US_PER_SECOND
    uncopyable = reader.uncopyable or _far_apart(reader.keyframes, times[-1], base)
    intervals = list(itertools.pairwise(times))
    gaps = _gaps(intervals, None if uncopyable else frozenset(reader.keyframes), base)
    return Footage(
        codec=stream.codec_context.name,
        width=reader.size[0],
        height=reader.size[1],
        resized=reader.resized,
        frames=len(times),
        skipped=reader.skipped,
        leads=reader.leads,
        begin_us=round(min(reader.begin, times[0]) * base),
        first_us=round(times[0] * base),
        last_us=round(times[-1] * base),
        longest_us=round(max((b - a for a, b in intervals if (a, b) not in gaps), default=0) * base),
        usual_us=round(statistics.median(b - a for a, b in intervals) * base) if intervals else 0,
        stretches_us=tuple(round(one * base) for one in (times[0], *(after for _, after in gaps))),
        gaps_us=tuple((round(before * base), round(after * base)) for before, after in gaps),
        size_bytes=reader.size_bytes,
        digest=digest.hexdigest(),
        uncopyable=uncopyable,
        sound=sound.result() if sound is not None else None,
        tags=tags_of(container),
    )


def _gaps(intervals: list[tuple[int, int]], keyframes: frozenset[int] | None, base: Any) -> dict[tuple[int, int], None]:
    """The intervals in which the camera was silent, as a recorder judges it, if a segment can begin behind them.

    That takes a keyframe; None: anywhere, since what is encoded gets one.
    """
    usual = statistics.median(b - a for a, b in intervals) if intervals else 0
    limit = max(CAMERA_SILENCE_S * US_PER_SECOND / base, CAMERA_SLOW_FACTOR * usual)
    return {one: None for one in intervals if one[1] - one[0] > limit and (keyframes is None or one[1] in keyframes)}


def _is_turned(path: Path, index: int) -> bool:
    """Whether players show the picture turned, as that of a phone."""
    try:
        with av.open(f"file:{path.absolute()}", options=READ_OPTIONS, **lenient_tags()) as container:
            return bool(next(iter(container.decode(container.streams[index]))).rotation)
    except (av.error.FFmpegError, StopIteration):
        return False


def _far_apart(keyframes: array[int], last: int, base: Any) -> str:
    apart = max((b - a for a, b in zip(keyframes, [*keyframes[1:], last], strict=True)), default=0)
    apart_us = round(apart * base)
    return f"no keyframe for {apart_us / US_PER_SECOND:g} s" if apart_us > KEYFRAMES_APART_US else ""


class _Reader:
    """Takes the packets of a stream one after the other."""

    def __init__(self, stream: Any, digest: PacketDigest, *, turned: bool) -> None:
        context = stream.codec_context
        self.times = array("q")
        self.keyframes = array("q")
        self.skipped = self.size_bytes = 0
        self.begin = 1 << 62
        self.untimed = self.goes_back = self._changes = False
        self.leads = False
        self._shown = self._shown_before = -(1 << 62)
        self._decoded = -(1 << 62)
        self.uncopyable = ""
        self.size = stream.width, stream.height
        self.resized = False
        self._codec = context.name
        extradata = bytes(context.extradata or b"")
        self._in_band = extradata[:1] != b"\1"
        self._sets = b""
        self._digest = digest
        try:
            if self._codec not in COPYABLE:
                raise UncopyableError(f"its codec is {self._codec}")
            if turned:
                raise UncopyableError("its video is rotated")
            KeyframeInfo(stream.width, stream.height, str(context.pix_fmt), reordered=0).check(self._codec)
        except UncopyableError as error:
            self.uncopyable = str(error)

    def add(self, packet: Any) -> None:
        data = memoryview(packet)
        self.size_bytes += len(data)
        self._digest.add(packet.pts, data)
        if packet.pts is None:
            self.untimed = True
            return
        if packet.dts is not None:
            self.goes_back |= packet.dts < self._decoded
            self._decoded = packet.dts
        if not packet.is_discard:
            self.begin = min(self.begin, packet.pts)
        if not self.keyframes and not packet.is_keyframe:
            self.skipped += 1
            return
        if len(self.keyframes) == 1 and packet.pts < self.keyframes[0]:  # of an open GOP
            self.skipped += 1
            self.leads = True
            return
        if packet.is_keyframe:
            self._shown_before = self._shown
        self._shown = max(self._shown, packet.pts)
        looks = self._codec in COPYABLE and (packet.is_keyframe or not self.uncopyable)
        fault = self._fault(packet) if looks else ""
        self._changes |= fault == _CHANGES
        self.uncopyable = self.uncopyable or fault
        if packet.is_keyframe:
            if self._changes:
                self._learn_size(bytes(packet))
            self.keyframes.append(packet.pts)
        if not packet.is_discard:
            self.times.append(packet.pts)

    def _learn_size(self, keyframe: bytes) -> None:
        with contextlib.suppress(UncopyableError):
            info = inspect_keyframe(self._codec, keyframe)
            self.resized |= (info.width, info.height) != self.size
            self.size = max(self.size, (info.width, info.height), key=lambda size: size[0] * size[1])

    def _fault(self, packet: Any) -> str:
        """Why this frame cannot be stored as it is."""
        if packet.is_discard:
            return "it starts with hidden frames"
        if self._codec == "h264" and self.keyframes and packet.pts < self.keyframes[-1]:  # players cannot begin there
            return "its frames need those of the group before (open GOP)"
        if packet.pts <= self._shown_before:
            return "its frames are shown before some that come before their keyframe"
        if packet.has_sidedata("new_extradata"):
            return _CHANGES
        if packet.is_keyframe and self._in_band:
            data = bytes(packet)
            if self._codec == "h264" and recovers_later(data):
                return "it has no keyframes: its pictures are refreshed bit by bit"
            sets = parameter_sets(self._codec, data)
            if self._sets and sets and sets != self._sets:
                return _CHANGES
            self._sets = sets or self._sets
        return ""
