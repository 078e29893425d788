"""Coded video for tests: painted images in H.264, H.265 and other codecs, with keyframes at known places."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy
from av.video.reformatter import VideoReformatter
from PIL import Image

from tests.support.once import file_once_per_run, once_per_run
from tests.support.recording import LOGGER, SMALL, US, picture
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.h26x import inspect_keyframe, parameter_sets
from videostore.media.packet import Packet, StreamFormat
from videostore.recording.run import Run

GOP = 12
CODERS = {"h264": "libx264", "hevc": "libx265", "mjpeg": "mjpeg", "mpeg4": "mpeg4"}


class Painter:
    """Encodes painted images, without delay unless there are B frames."""

    def __init__(self, codec: str, *, gop: int = GOP, b_frames: int = 0, size: tuple[int, int] = SMALL) -> None:
        context: Any = av.CodecContext.create(CODERS[codec], "w")
        self.context = context
        self.context.width, self.context.height = size
        self.context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        self.context.time_base, self.context.framerate = Fraction(1, US), 20
        if codec in ("mjpeg", "mpeg4"):
            self.context.options = {"qmax": "3", "strict": "unofficial"}
            self.context.time_base = Fraction(1, 20)
        elif codec == "h264":
            self.context.options = {"preset": "ultrafast", "bf": str(b_frames), "g": str(gop), "tune": "zerolatency"}
            if b_frames:
                self.context.options |= {"preset": "veryfast", "tune": "", "x264-params": "b-adapt=0"}
        elif codec == "hevc":
            coding = f"log-level=error:keyint={gop}:bframes={b_frames}:rc-lookahead=0:frame-threads=1"
            if b_frames:
                coding = f"log-level=error:keyint={gop}:min-keyint={gop}:bframes={b_frames}:b-adapt=0:open-gop=0"
            self.context.options = {"preset": "ultrafast", "x265-params": coding}
        self.size = size
        # A new one for each frame costs more than the coding of it.
        self._reformatter = VideoReformatter()

    def code(self, captured_us: int, pts: int) -> list[Any]:
        image = Image.open(io.BytesIO(picture(captured_us, self.size)))
        frame = av.VideoFrame.from_ndarray(numpy.asarray(image.convert("RGB")), format="rgb24")
        frame = self._reformatter.reformat(frame, format=self.context.pix_fmt, threads=1)
        frame.pts, frame.time_base = pts, self.context.time_base
        return list(self.context.encode(frame))

    def finish(self) -> list[Any]:
        return list(self.context.encode(None))


def write_video(
    path: Path, codec: str, times: Sequence[int], *, gop: int = GOP, b_frames: int = 0, size: tuple[int, int] = SMALL
) -> None:
    """Write a file with an image for each of these times, at their intervals; an AVI has 20 frames a second."""
    _write_video(path, codec, tuple(times), gop, b_frames, size)


@file_once_per_run
def _write_video(
    path: Path, codec: str, times: tuple[int, ...], gop: int, b_frames: int, size: tuple[int, int]
) -> None:
    painter = Painter(codec, gop=gop, b_frames=b_frames, size=size)
    coded = [
        one
        for number, time_us in enumerate(times)
        for one in painter.code(time_us, number if path.suffix == ".avi" else time_us - times[0])
    ]
    coded += painter.finish()
    with av.open(str(path), "w") as container:
        stream: Any
        if codec in ("h264", "hevc"):  # the header needs the parameter sets
            with av.open(io.BytesIO(bytes(coded[0])), format=codec) as keyframe:
                stream = container.add_stream_from_template(keyframe.streams.video[0], opaque=True)
        else:
            stream = container.add_mux_stream(codec, rate=20, width=size[0], height=size[1])
        stream.time_base = painter.context.time_base
        for one in coded:
            one.stream = stream
            one.duration = one.duration or round(0.05 / one.time_base)  # players need a length
            container.mux(one)


def coded_packets(
    times: Sequence[int], codec: str, *, gop: int, b_frames: int = 0, size: tuple[int, int] = SMALL
) -> list[Packet]:
    """Packets of a source that passes on the stream of a camera."""
    return [*_coded_packets(tuple(times), codec, gop, b_frames, size)]


@once_per_run
def _coded_packets(times: tuple[int, ...], codec: str, gop: int, b_frames: int, size: tuple[int, int]) -> list[Packet]:
    painter = Painter(codec, gop=gop, b_frames=b_frames, size=size)
    coded = [one for time_us in times for one in painter.code(time_us, time_us - times[0])] + painter.finish()
    first = bytes(coded[0])
    format = StreamFormat(
        codec, *size, parameter_sets(codec, first), reordered=inspect_keyframe(codec, first).reordered
    )
    return [Packet(format, bytes(one), times[0] + one.pts, bool(one.is_keyframe)) for one in coded]


async def record_coded(directory: Path, packets: Sequence[Packet], *, segment_seconds: float = 2) -> Run:
    """Record one run without re-encoding. Its segments keep their open names."""
    directory.mkdir(parents=True, exist_ok=True)
    run = await Run.start(
        packets[0],
        binary=find_ffmpeg(),
        encoder=Encoder.copy(20),
        directory=directory,
        segment_seconds=segment_seconds,
        logger=LOGGER,
    )
    for one in packets:
        await run.write(one)
    await run.finish(patient=True)
    return run
