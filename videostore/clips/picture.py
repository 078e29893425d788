"""Makes the JPEG of one frame of the recording. Another process decodes it: no frame can crash this one.

That is a decoder that stays (`picture_decoder`), or else an ffmpeg for this picture alone, which tells what is wrong.
"""

from __future__ import annotations

import asyncio
import io
import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ffmpeg

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import FFmpegError, RequestError
from videostore.base.ranges import UNREADABLE
from videostore.base.system import subordinate
from videostore.base.tasks import off_loop
from videostore.clips.picture_decoder import PictureDecoders
from videostore.ffmpeg.message_limit import MessageLimit
from videostore.ffmpeg.process import end_process, log_messages, start_ffmpeg
from videostore.media.coded_picture import CodedPicture
from videostore.media.exif import with_capture_time
from videostore.media.images import read_picture
from videostore.media.libav import av
from videostore.media.nut_header import with_decode_delay
from videostore.media.shown_picture import QUALITY, WIDEST, ShownFrames, scaling

NARROWEST = 16
"""Of widths that can be asked for. The widest is `WIDEST`."""

_TIMEOUT_S = 30.0
"""Half a minute of 4K between keyframes takes a third of it."""
_MOST_DELAY = 16
"""Frames that H.264 and H.265 can hold back to reorder them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A picture of the recording."""

    jpeg: bytes
    """A JPEG, upright, with its capture time in its EXIF data."""
    captured_us: int
    """Capture time of its frame, in microseconds UTC."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    exact: bool
    """Whether its frame is the one that is shown at the moment that was asked for; otherwise it is a keyframe before
    it."""
    damaged: str | None = None
    """Why it may show something wrong, a word as in `DamagedRange`; None if nothing is known."""


def check_width(width: object) -> None:
    """Check the width that is asked for.

    Raises:
        RequestError: it is no whole number, or too small or too large.
    """
    if width is None:
        return
    if isinstance(width, bool) or not isinstance(width, int) or not NARROWEST <= width <= WIDEST:
        expected = f"a whole number of pixels from {NARROWEST} to {WIDEST}"
        raise RequestError("field-wrong", field="width", value=width, expected=expected)


async def make_snapshot(
    binary: str,
    picture: CodedPicture,
    width: int | None,
    logger: logging.Logger,
    *,
    damaged: str | None,
    decoders: PictureDecoders | None = None,
) -> Snapshot:
    """Decode a picture, at most `width` pixels wide, and never enlarged. `damaged` is what its mark says.

    What one of the `decoders` does not show is made by an ffmpeg.

    Raises:
        FFmpegError: it cannot be decoded, or not in time.
    """
    if decoders is not None and picture.whole:
        shown = await decoders.show(shown_frames(picture, width))
        if shown is not None:
            return _finish(shown, picture, damaged)
    stream = await off_loop(_nut, picture)
    arguments = await off_loop(_command, binary, picture, width)
    process = await start_ffmpeg(await off_loop(subordinate, arguments, CUT_NICENESS), stdin=True, stdout=True)
    try:
        jpeg, reported = await asyncio.wait_for(process.communicate(stream), _TIMEOUT_S)
    except asyncio.TimeoutError as error:
        raise FFmpegError("ffmpeg-timeout", timeout_s=_TIMEOUT_S) from error
    finally:
        await end_process(process)
    complaints: list[str] = []
    first = await _read_messages(reported, logger, complaints)
    if process.returncode or not jpeg:
        reason = "; ".join(first) or "it gave no reason"
        raise FFmpegError("ffmpeg-failed", exit_code=process.returncode, reason=reason)
    if damaged is None and (complaints or not picture.whole):
        damaged = UNREADABLE
    return await off_loop(_finish, jpeg, picture, damaged)


def shown_frames(picture: CodedPicture, width: int | None) -> ShownFrames:
    """What a decoder gets of a picture."""
    frames = tuple(zip(_places(picture), (data for _, data in picture.frames), strict=True))
    return ShownFrames(picture.codec, picture.size, picture.look, frames, width)


def _finish(jpeg: bytes, picture: CodedPicture, damaged: str | None) -> Snapshot:
    format, _ = read_picture(jpeg)
    jpeg = with_capture_time(jpeg, picture.captured_us)
    return Snapshot(jpeg, picture.captured_us, format.width, format.height, picture.exact, damaged)


async def _read_messages(reported: bytes, logger: logging.Logger, complaints: list[str]) -> list[str]:
    reader = asyncio.StreamReader()
    reader.feed_data(reported)
    reader.feed_eof()
    return await log_messages(reader, logger, complaints, limit=MessageLimit())


def _nut(picture: CodedPicture) -> bytes:
    """The frames as a stream in which each has its place in the order of showing as its time, in seconds.

    So the wanted one is found by its time, whichever of the others do not decode. Blocking.
    """
    places = _places(picture)
    delay = max(number - place for number, place in enumerate(places))
    output = io.BytesIO()
    with av.open(output, "w", format="nut") as container:
        width, height = picture.size
        stream: Any = container.add_mux_stream(picture.codec, rate=1, width=width, height=height)
        for number, (place, (_, data)) in enumerate(zip(places, picture.frames, strict=True)):
            packet = av.Packet(data)
            packet.stream = stream
            packet.time_base = Fraction(1)
            packet.pts, packet.dts = place + delay, number
            packet.is_keyframe = number == 0
            container.mux_one(packet)
    data = output.getvalue()
    return with_decode_delay(data, _MOST_DELAY) if delay else data


def _places(picture: CodedPicture) -> list[int]:
    """The place of each frame in the order of showing."""
    place: dict[int, int] = {}
    for number, time_us in enumerate(sorted(time_us for time_us, _ in picture.frames)):
        place.setdefault(time_us, number)
    return [place[time_us] for time_us, _ in picture.frames]


def _command(binary: str, picture: CodedPicture, width: int | None) -> list[str]:
    places = _places(picture)
    time = places[-1] + max(number - place for number, place in enumerate(places))
    threads = {"threads": 1} if len(picture.frames) == 1 else {}
    video = ffmpeg.input("pipe:0", f="nut", protocol_whitelist="pipe", format_whitelist="nut", **threads).video
    video = video.filter("select", f"between(t,{time}-0.25,{time}+0.25)")
    shape = picture.look.pixel_shape
    if shape != 1:
        video = video.filter("setsar", f"{shape.numerator}/{shape.denominator}")
    sizes, options = scaling(picture.size, picture.look, width)
    video = video.filter("scale", *sizes, **options)
    video = video.filter("setsar", 1).filter("format", "yuvj420p")
    output = video.output(
        "pipe:1", f="image2pipe", **{"c:v": "mjpeg", "q:v": QUALITY, "frames:v": 1, "fps_mode": "passthrough"}
    )
    arguments: list[str] = output.global_args(
        "-copyts", "-hide_banner", "-nostats", "-loglevel", "level+warning"
    ).compile(cmd=binary)
    return arguments
