from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.foreign_recording import CODINGS, FRAME_US, write_foreign_video
from tests.support.recording import START_US, capture_times, record
from videostore.clips.edge_variants import variants
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.decoder_setup import NoSetupError, read_setup

TIMES = [START_US + n * FRAME_US for n in range(20)]


async def fits(binary: str, segment: Path, name: str, encoder: Encoder | None = None) -> bool:
    """Encode half a second of a segment in one way, if that may meet it, and see whether it joins the rest."""
    setup = read_setup(segment)
    way = next((way for way in variants(setup, encoder) if way.name == name), None)
    if way is None:
        return False
    edge = segment.with_name("edge.mp4")
    options = [word for key, value in way.options.items() for word in (f"-{key}", str(value))]
    times = ["-fps_mode", "passthrough", "-enc_time_base", f"1/{setup.timescale}"]
    await run_ffmpeg([binary, "-v", "error", "-y", "-t", "0.5", "-i", str(segment), *options, *times, str(edge)])
    return way.fit(setup, segment, [edge])


@pytest.mark.parametrize("preset", ["ultrafast", "veryfast", "medium", "slower"])
async def test_x264_writes_the_sets_of_our_recordings_again(binary: str, tmp_path: Path, preset: str) -> None:
    await record(tmp_path, capture_times(1.5), encoder=Encoder("libx264", 1_000_000, preset, 20))
    assert await fits(binary, next(tmp_path.iterdir()), "same-sets")


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
async def test_x265_writes_the_sets_of_our_recordings_again(binary: str, tmp_path: Path, preset: str) -> None:
    encoder = Encoder("libx265", 1_000_000, preset, 20)
    await record(tmp_path, capture_times(1.5), encoder=encoder)
    segment = next(tmp_path.iterdir())
    assert await fits(binary, segment, "same-encoder", encoder)
    assert read_setup(segment.with_name("edge.mp4")).sets == read_setup(segment).sets
    assert not await fits(binary, segment, "same-encoder", Encoder("libx265", 1_000_000, "slow", 20))


@pytest.mark.parametrize("coding", ["h264 baseline", "h264 10 bit", "h264 set 1", "h264 interlaced", "h265 10 bit"])
async def test_other_streams_get_more_sets(binary: str, tmp_path: Path, coding: str) -> None:
    segment = tmp_path / "1.mp4"
    await write_foreign_video(segment, TIMES, CODINGS[coding])
    setup = read_setup(segment)
    if setup.codec == "h264":
        assert not await fits(binary, segment, "same-sets")
        assert variants(setup, None)[0].name == "more-sets", "what cannot meet it is not tried"
    assert await fits(binary, segment, "more-sets")
    made = read_setup(segment.with_name("edge.mp4"))
    assert set(setup.sets) < set(made.sets) and len(made.sets) == 2 * len(setup.sets)


async def test_sets_that_are_not_in_the_header_cannot_be_met(tmp_path: Path) -> None:
    segment = tmp_path / "1.mp4"
    await write_foreign_video(segment, TIMES, CODINGS["h264 baseline"])
    setup = read_setup(segment)
    empty = type(setup)("h264", setup.timescale, setup.config[:5] + b"\xe0\0")
    with pytest.raises(NoSetupError):
        variants(empty, None)
    with pytest.raises(NoSetupError):
        variants(type(setup)("hevc", 90_000, bytes(23)), None)
