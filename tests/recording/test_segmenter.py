from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from tests.support.amount import some
from tests.support.colour_patches import (
    PICTURES,
    TOLERANCE,
    expected_patches,
    frame_patches,
    largest_difference,
)
from tests.support.recording import H264, LOGGER, START_US, capture_times, packet, picture
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import list_encoders
from videostore.media.fmp4 import read_fragments
from videostore.media.images import read_picture
from videostore.media.look import Look
from videostore.media.packet import Packet
from videostore.recording.run import Run
from videostore.recording.segmenter import output_pattern, recording_command


def command(encoder: Encoder, *, pad_to_even: bool = False) -> str:
    words = recording_command(
        "ffmpeg",
        encoder=encoder,
        directory=Path("/storage"),
        epoch_us=START_US,
        segment_seconds=30,
        logger=logging.getLogger("videostore.tests.segmenter"),
        source_codec="h264",
        pad_to_even=pad_to_even,
    )
    return " ".join(words)


def test_images_of_odd_size_are_padded_only_if_they_are_encoded() -> None:
    assert "pad=" in command(H264, pad_to_even=True)
    assert "pad=" not in command(H264)
    assert "pad=" not in command(Encoder.copy(), pad_to_even=True)


def test_fragments_of_copied_video_do_not_wait_for_its_keyframes() -> None:
    assert "frag_duration=1000000" in command(Encoder.copy())
    assert "frag_duration" not in command(H264)


@pytest.mark.parametrize("name", ["100%", "%d %s", "it's a b"])
async def test_the_directory_may_have_any_name(tmp_path: Path, binary: str, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    times = capture_times(1.5)
    run = await Run.start(
        packet(times[0]), binary=binary, encoder=H264, directory=directory, segment_seconds=1, logger=LOGGER
    )
    for time_us in times:
        await run.write(packet(time_us))
    await run.finish(patient=True)
    paths = await asyncio.to_thread(lambda: sorted(directory.iterdir()))
    assert [time_us for path in paths for time_us in read_fragments(path).times_us] == times
    assert output_pattern(directory, times[0]).startswith(str(directory).replace("%", "%%"))


def first_frame(path: Path) -> tuple[Look, Any]:
    """How the frames of a segment are to be shown, and the first one."""
    with av.open(str(path), format="mp4") as container:
        return Look.of_stream(container.streams.video[0]), next(container.decode(video=0))


async def record_image(directory: Path, data: bytes, binary: str, encoder: Encoder) -> Path:
    """Record an image three times; returns the segment."""
    directory.mkdir(exist_ok=True)
    format, coded = read_picture(data)
    packets = [Packet(format, coded, START_US + number * 100_000) for number in range(3)]
    run = await Run.start(
        packets[0], binary=binary, encoder=encoder, directory=directory, segment_seconds=5, logger=LOGGER
    )
    for one in packets:
        await run.write(one)
    await run.finish(patient=True)
    (path,) = await asyncio.to_thread(lambda: list(directory.iterdir()))
    return path


@some("name", list(PICTURES), 6)
async def test_colours_of_any_image_are_recorded_in_the_way_that_every_player_shows(
    tmp_path: Path, binary: str, name: str
) -> None:
    encoder = replace(H264, bitrate=20_000_000)
    path = await record_image(tmp_path, PICTURES[name](), binary, encoder)
    look, frame = first_frame(path)
    assert largest_difference(frame_patches(frame), expected_patches(name)) <= TOLERANCE
    assert look == Look(colours=(6, 6, 6, False))
    entries = path.read_bytes()
    assert b"colrnclx\0\6\0\6\0\6\0" in entries


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libopenh264", "libsvtav1", "libvpx-vp9"])
async def test_every_encoder_writes_the_colours_into_its_bitstream(tmp_path: Path, binary: str, encoder: str) -> None:
    if encoder not in await list_encoders(binary):
        pytest.skip(f"this ffmpeg has no {encoder}")
    path = await record_image(tmp_path, PICTURES["JPEG 4:2:2"](), binary, Encoder(encoder, 20_000_000, "ultrafast", 20))
    _, frame = first_frame(path)
    assert (frame.color_range, frame.colorspace) == (1, 6)
    # Without the box of the file, a decoder has only what the encoder wrote.
    hidden = tmp_path / "hidden.mp4"
    hidden.write_bytes(path.read_bytes().replace(b"colrnclx", b"freenclx"))
    look, frame = first_frame(hidden)
    assert look.colours == (6, 6, 6, False) and (frame.color_range, frame.colorspace) == (1, 6)
    assert largest_difference(frame_patches(frame), expected_patches("JPEG")) <= TOLERANCE + 1


async def test_the_shape_of_pixels_that_a_jpeg_declares_is_recorded(tmp_path: Path, binary: str) -> None:
    data = bytearray(picture(START_US))
    data[13:18] = b"\0" + (16).to_bytes(2, "big") + (11).to_bytes(2, "big")
    look, _ = first_frame(await record_image(tmp_path, bytes(data), binary, H264))
    assert look.pixel_shape == Fraction(16, 11)
