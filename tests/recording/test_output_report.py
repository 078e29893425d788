from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import paint
from tests.support.damaged_images import half
from tests.support.recording import H264, LOGGER, START_US, US, capture_times, packet, picture
from videostore.ffmpeg.encoder import Encoder
from videostore.media.images import picture_packet
from videostore.recording.frame_tally import FrameTally
from videostore.recording.output_report import follow_report
from videostore.recording.run import Run


async def follow(text: bytes, *, copies: bool = False) -> tuple[list[int], FrameTally]:
    """What a tally of three frames learns from a report."""
    came_out: list[int] = []
    tally = FrameTally("mjpeg", came_out.append, now_s=lambda: 0.0, copies=copies)
    for time_us in (0, 100, 200):
        tally.went_in(START_US + time_us)
    stream = asyncio.StreamReader(limit=1000)
    stream.feed_data(text)
    stream.feed_eof()
    await follow_report(stream, START_US, tally, copies=copies)
    return [time_us - START_US for time_us in came_out], tally


async def test_each_frame_that_is_printed_came_out() -> None:
    text = b"frame:0    pts:0       pts_time:0\nvideostore=1\nframe=1\nout_time_us=N/A\n"
    text += b"frame:1    pts:200     pts_time:0.0002\nvideostore=1\n"
    came_out, tally = await follow(text + b"x" * 5000 + b"\nout_time_us=200\nprogress=end\n")
    assert came_out == [0, 200] and tally.faulty == 1


async def test_of_what_is_copied_all_that_is_written_came_out() -> None:
    assert (await follow(b"frame=2\nout_time_us=150\n", copies=True))[0] == [0, 100]


@pytest.mark.parametrize("copies", [False, True])
async def test_ffmpeg_reports_each_frame_that_it_records(tmp_path: Path, binary: str, copies: bool) -> None:
    came_out: list[int] = []
    times: list[int] = []
    run = await Run.start(
        packet(START_US),
        binary=binary,
        encoder=Encoder.copy() if copies else H264,
        directory=tmp_path,
        segment_seconds=1,
        logger=LOGGER,
        on_frame=came_out.append,
    )
    for time_us in range(START_US, START_US + 150 * US, US // 20):
        times.append(time_us)
        await run.write(packet(time_us))
        if len(came_out) > 20:  # while it is running
            break
        await asyncio.sleep(0.02)  # ffmpeg 5.1 tells how far it has copied when a frame comes
    else:
        raise AssertionError("it tells nothing while it is running")
    await run.finish(patient=True)
    assert (came_out, run.tally.faulty) == (times, 0)


async def test_frames_are_reported_when_gray_and_colour_alternate(tmp_path: Path, binary: str) -> None:
    """ffmpeg makes its filters again then."""
    times = capture_times(2)
    came_out: list[int] = []
    images = [
        picture_packet(half(t) if n == 7 else paint(t, 0, width=320, height=180, gray=True) if n % 2 else picture(t), t)
        for n, t in enumerate(times)
    ]
    run = await Run.start(
        images[0],
        binary=binary,
        encoder=H264,
        directory=tmp_path,
        segment_seconds=1,
        logger=LOGGER,
        on_frame=came_out.append,
    )
    for image in images:
        await run.write(image)
    await run.finish(patient=True)
    assert came_out == times[:7] + times[8:] and run.tally.faulty == 1
    assert times[-1] - times[0] < 2 * US
