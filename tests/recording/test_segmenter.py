from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tests.support.recording import H264, LOGGER, START_US, capture_times, packet
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
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
    await run.finish()
    paths = await asyncio.to_thread(lambda: sorted(directory.iterdir()))
    assert [time_us for path in paths for time_us in read_fragments(path).times_us] == times
    assert output_pattern(directory, times[0]).startswith(str(directory).replace("%", "%%"))
