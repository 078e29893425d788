"""What a clip shows of pictures that differ in the shape of their pixels, in their colours and in their fields."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from PIL import Image

from tests.support.amount import some
from tests.support.colour_patches import (
    PICTURES,
    TOLERANCE,
    expected_patches,
    frame_patches,
    largest_difference,
    patches,
)
from tests.support.recording import H264, LOGGER, START_US, US, Cutter, capture_times, record, take_over
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.options import CLIP_TIMESCALE
from videostore.media.h26x import parameter_sets
from videostore.media.images import read_picture
from videostore.media.look import Look
from videostore.media.packet import Packet, StreamFormat
from videostore.recording.run import Run

OpenOver = Callable[[Path], Awaitable[Cutter]]
CONTAINERS = ["mp4", "fmp4"]
STEP_US = 50_000
FRAMES = 4


async def record_packets(directory: Path, packets: Sequence[Packet], binary: str, encoder: Encoder = H264) -> None:
    """Record a run of its own."""
    directory.mkdir(exist_ok=True)
    run = await Run.start(
        packets[0], binary=binary, encoder=encoder, directory=directory, segment_seconds=5, logger=LOGGER
    )
    for one in packets:
        await run.write(one)
    await run.finish(patient=True)


def images(data: bytes, start_us: int) -> list[Packet]:
    """A camera that sends the same picture again and again."""
    format, coded = read_picture(data)
    return [Packet(format, coded, start_us + number * STEP_US) for number in range(FRAMES)]


def white(size: tuple[int, int], shape: tuple[int, int]) -> bytes:
    """A white JPEG that says in its header which shape its pixels have."""
    output = io.BytesIO()
    Image.new("RGB", size, "white").save(output, "JPEG")
    data = bytearray(output.getvalue())
    data[13:18] = b"\0" + shape[0].to_bytes(2, "big") + shape[1].to_bytes(2, "big")
    return bytes(data)


def coded(frames: Sequence[Any], pix_fmt: str, start_us: int, **options: str) -> list[Packet]:
    """What a camera sends that encodes H.264 itself."""
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = frames[0].width, frames[0].height, pix_fmt
    context.time_base, context.framerate = Fraction(1, US), 20
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "1", "crf": "4"} | options
    packets = []
    for number, frame in enumerate(frames):
        converted = frame.reformat(format=pix_fmt) if frame.format.name != pix_fmt else frame
        converted.pts, converted.time_base = number * STEP_US, context.time_base
        packets += context.encode(converted)
    packets += context.encode(None)
    format = StreamFormat("h264", context.width, context.height, parameter_sets("h264", bytes(packets[0])))
    return [Packet(format, bytes(one), start_us + one.pts, bool(one.is_keyframe)) for one in packets]


@dataclass
class Clip:
    """What a player gets of a clip."""

    look: Look
    time_base: Fraction
    frames_a_second: float
    frames: list[Any]


def decode(clip: bytes) -> Clip:
    with av.open(io.BytesIO(clip)) as container:
        stream = container.streams.video[0]
        assert stream.time_base and stream.average_rate
        frames = list(container.decode(video=0))
        return Clip(Look.of_stream(stream), stream.time_base, float(stream.average_rate), frames)


def shown_shape(frame: Any, pixel_shape: Fraction) -> float:
    """Width of what is white, divided by its height, as a player shows it."""
    rows, columns = numpy.nonzero(frame.to_ndarray(format="gray") > 128)
    return float(numpy.ptp(columns) + 1) * float(pixel_shape) / float(numpy.ptp(rows) + 1)


SECOND_US = START_US + FRAMES * STEP_US
END_US = SECOND_US + FRAMES * STEP_US


@pytest.mark.parametrize("container", CONTAINERS)
@some(
    ("first", "second"),
    [
        (((360, 288), (16, 11)), ((160, 120), (1, 1))),
        (((160, 120), (1, 1)), ((360, 288), (16, 11))),
        (((288, 360), (11, 16)), ((160, 120), (1, 1))),  # portrait
        (((360, 288), (16, 11)), ((320, 240), (12, 11))),
        (((360, 288), (16, 11)), ((360, 288), (12, 11))),  # the same size
        (((361, 289), (10, 11)), ((120, 160), (40, 33))),
    ],
    3,
)
async def test_pictures_keep_their_shape_over_a_change(
    tmp_path: Path, binary: str, cutter: OpenOver, container: str, first: Any, second: Any
) -> None:
    for (size, shape), start_us in ((first, START_US), (second, SECOND_US)):
        await record_packets(tmp_path, images(white(size, shape), start_us), binary)
    await take_over(tmp_path)
    clip = decode(await (await cutter(tmp_path)).cut(START_US, END_US, container))
    frames = clip.frames
    assert len(frames) == 2 * FRAMES
    for (size, shape), shown in ((first, frames[:FRAMES]), (second, frames[FRAMES:])):
        even = [side + side % 2 for side in size]
        for frame in shown:
            found = shown_shape(frame, clip.look.pixel_shape)
            assert found == pytest.approx(even[0] * shape[0] / shape[1] / even[1], rel=0.025)


@some("container", CONTAINERS, 1)
async def test_a_recording_in_full_range_is_shown_right_beside_one_in_limited_range(
    tmp_path: Path, binary: str, cutter: OpenOver, container: str
) -> None:
    """As after an update: JPEG cameras were recorded in full range before."""
    picture = av.VideoFrame.from_ndarray(numpy.asarray(patches()), format="rgb24")
    old = coded([picture] * FRAMES, "yuvj420p", START_US)
    await record_packets(tmp_path, old, binary, Encoder.copy())
    await record_packets(tmp_path, images(PICTURES["JPEG 4:2:0"](), SECOND_US), binary, FINE)
    await take_over(tmp_path)
    clip = decode(await (await cutter(tmp_path)).cut(START_US, END_US, container))
    frames = clip.frames
    assert clip.look.colours == (6, 6, 6, False)
    assert len(frames) == 2 * FRAMES
    expected = expected_patches("JPEG")
    # The old part has been coded once more, in 8 bits.
    assert max(largest_difference(frame_patches(one), expected) for one in frames[:FRAMES]) <= TOLERANCE + 1
    assert max(largest_difference(frame_patches(one), expected) for one in frames[FRAMES:]) <= TOLERANCE


FINE = Encoder("libx264", 20_000_000, "ultrafast", 20)


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_stream_that_is_recorded_as_it_comes_keeps_its_colours(
    tmp_path: Path, binary: str, cutter: OpenOver, container: str
) -> None:
    picture = av.VideoFrame.from_ndarray(numpy.asarray(patches()), format="rgb24")
    tagged = {"x264-params": "fullrange=on:colorprim=bt709:transfer=bt709:colormatrix=bt709"}
    packets = coded([picture] * FRAMES, "yuvj420p", START_US, **tagged)
    await record_packets(tmp_path, packets, binary, Encoder.copy())
    await take_over(tmp_path)
    clip = decode(await (await cutter(tmp_path)).cut(START_US, SECOND_US, container))
    assert clip.look.colours == (1, 1, 1, True)
    assert len(clip.frames) == FRAMES


def woven(number: int) -> Any:
    """A frame of two fields between which everything moved."""
    height, width = 240, 320
    rows, columns = numpy.indices((height, width))
    gray = numpy.where((columns + (8 * (2 * number + rows % 2))) % 40 < 20, 40, 210).astype(numpy.uint8)
    return av.VideoFrame.from_ndarray(numpy.repeat(gray[:, :, None], 3, axis=2), format="rgb24")


def combed(frame: Any) -> bool:
    """Whether neighbouring lines differ much more than lines of the same field."""
    gray = frame.to_ndarray(format="gray").astype(int)
    return float(numpy.abs(gray[1:] - gray[:-1]).mean()) > 2 * float(numpy.abs(gray[2:] - gray[:-2]).mean()) + 5


@pytest.mark.parametrize("container", CONTAINERS)
async def test_interlaced_video_stays_interlaced_as_it_comes_and_is_deinterlaced_where_it_is_re_encoded(
    tmp_path: Path, binary: str, cutter: OpenOver, container: str
) -> None:
    fields = {"x264-params": "interlaced=1:tff=1", "flags": "+ildct+ilme"}
    packets = coded([woven(number) for number in range(FRAMES)], "yuv420p", START_US, **fields)
    await record_packets(tmp_path, packets, binary, Encoder.copy())
    await record_packets(tmp_path, images(white((160, 120), (1, 1)), SECOND_US), binary)
    await take_over(tmp_path)
    clips = await cutter(tmp_path)
    alone = decode(await clips.cut(START_US, SECOND_US, container))
    assert [frame.interlaced_frame and combed(frame) for frame in alone.frames] == [True] * FRAMES
    beside = decode(await clips.cut(START_US, END_US, container))
    assert [frame.interlaced_frame or combed(frame) for frame in beside.frames] == [False] * 2 * FRAMES


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_clip_counts_time_in_units_of_90_khz_and_tells_its_frame_rate(
    tmp_path: Path, binary: str, cutter: OpenOver, container: str
) -> None:
    """Of ffmpeg's tools, those that take the time base for the frame rate repeated each frame a thousand times."""
    times = capture_times(4)
    await record(tmp_path, times)
    await take_over(tmp_path)
    clips = await cutter(tmp_path)
    for from_us, to_us in ((times[0], times[-1] + 1), (times[0], times[1]), (times[0], times[0] + 100_000)):
        shown = [time_us for time_us in times if from_us <= time_us < to_us]
        clip = decode(await clips.cut(from_us, to_us, container))
        assert clip.time_base == Fraction(1, CLIP_TIMESCALE)
        after_us = next((time_us for time_us in times if time_us >= to_us), None)
        found = [round(float(frame.pts * frame.time_base) * US) for frame in clip.frames]
        assert len(clip.frames) == len(shown)
        assert all(abs(a - (b - shown[0])) <= 12 for a, b in zip(found, shown, strict=True))
        if after_us is not None:
            assert clip.frames_a_second == pytest.approx(len(shown) * US / (after_us - shown[0]), rel=0.001)
