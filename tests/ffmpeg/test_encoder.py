from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.coding import coded_packets, record_coded
from tests.support.recording import H264, H265, START_US, US, capture_times, record
from videostore.base.errors import ConfigError
from videostore.config import PRESETS
from videostore.ffmpeg.encoder import Encoder, choose_encoder
from videostore.ffmpeg.process import list_encoders
from videostore.media.fmp4 import read_fragments


@pytest.mark.parametrize(("codec", "name"), [("h264", "libx264"), ("h265", "libx265"), ("libx264", "libx264")])
async def test_a_codec_is_recorded_with_an_encoder_of_the_installed_ffmpeg(binary: str, codec: str, name: str) -> None:
    assert choose_encoder(codec, await list_encoders(binary)) == name


def test_without_x264_another_h264_encoder_is_used() -> None:
    assert choose_encoder("h264", ["libx265", "libopenh264"]) == "libopenh264"


@pytest.mark.parametrize("encoder", [H264, H265])
def test_rate_control_begins_with_the_frame_rate_that_is_expected(encoder: Encoder) -> None:
    (parameters,) = (value for name, value in encoder.options().items() if name.endswith("-params"))
    assert f"fps={encoder.framerate}" in str(parameters).split(":")


@pytest.mark.parametrize("codec", ["h264", "h265", "h264_nvenc"])
def test_an_encoder_that_is_not_available_is_refused_and_the_available_ones_are_listed(codec: str) -> None:
    with pytest.raises(ConfigError) as error:
        choose_encoder(codec, ["rawvideo", "libopenhevc", "h264_v4l2m2m", "gif"])
    assert f"video.codec is '{codec}'" in str(error.value)
    assert "h264_v4l2m2m" in str(error.value)
    assert "gif" not in str(error.value)
    assert (error.value.code, error.value.attribute, error.value.value) == ("encoder-unavailable", "video.codec", codec)
    assert error.value.fields["available"] == ["h264_v4l2m2m", "libopenhevc"]


def test_an_ffmpeg_without_any_encoder_is_refused_in_a_whole_sentence() -> None:
    with pytest.raises(ConfigError, match=r"Set VIDEOSTORE_FFMPEG to another ffmpeg\.$") as error:
        choose_encoder("h264", [])
    assert (error.value.code, error.value.attribute) == ("no-encoders", "video.codec")


def stored(directory: Path) -> list[tuple[Any, list[Any]]]:
    """Profile and frames of each segment."""
    found = []
    for path in sorted(directory.glob("*.open")):
        with av.open(str(path), format="mp4") as container:
            frames = list(container.decode(video=0))
            found.append((container.streams.video[0].codec_context, frames))
    return found


@pytest.mark.parametrize("encoder", [H264, H265])
async def test_no_frame_depends_on_a_later_one(tmp_path: Path, encoder: Encoder) -> None:
    """B frames would, and a save up to now would have to wait for it."""
    await record(tmp_path, capture_times(2.5), encoder=encoder)
    for _, frames in stored(tmp_path):
        kinds = [frame.pict_type for frame in frames]
        assert av.video.frame.PictureType.B not in kinds


@pytest.mark.parametrize("encoder", [H264, H265])
@pytest.mark.parametrize("fps", [4, 25])
async def test_there_is_a_keyframe_every_second_at_any_frame_rate(tmp_path: Path, encoder: Encoder, fps: int) -> None:
    times = capture_times(4, fps=fps)
    await record(tmp_path, times, encoder=encoder, segment_seconds=10)
    (path,) = tmp_path.glob("*.open")
    keyframes = read_fragments(path).keyframes_us
    assert keyframes == [min(t for t in times if t >= START_US + n * US) for n in range(4)]


@pytest.mark.parametrize("preset", [p for p in PRESETS if p not in ("slower", "veryslow")])
async def test_each_preset_records_all_frames(tmp_path: Path, preset: str) -> None:
    times = capture_times(1.2)
    await record(tmp_path, times, encoder=Encoder("libx264", 500_000, preset, 20))
    (path,) = tmp_path.glob("*.open")
    assert read_fragments(path).times_us == times


@pytest.mark.parametrize("name", ["libx264", "libx265"])
async def test_more_bitrate_makes_larger_segments(tmp_path: Path, name: str) -> None:
    times = capture_times(3)
    sizes = []
    for bitrate in (100_000, 2_000_000):
        directory = tmp_path / str(bitrate)
        await record(directory, times, encoder=Encoder(name, bitrate, "ultrafast", 10))
        sizes.append(sum(path.stat().st_size for path in directory.glob("*.open")))
    assert sizes[1] > 2 * sizes[0]
    assert sizes[0] < 4 * 100_000 / 8 * 3


async def test_images_with_an_odd_number_of_lines_are_recorded(tmp_path: Path) -> None:
    """Cropped images can have such sizes, but colour at half the size needs even ones."""
    times = capture_times(1.2)
    await record(tmp_path, times, size=(177, 145))
    (path,) = tmp_path.glob("*.open")
    content = read_fragments(path)
    assert content.times_us == times
    assert (content.width, content.height) == (178, 146)
    assert [frame.captured_us for _, frame in read_clip(path, [(177, 145)]) if frame] == times


@pytest.mark.parametrize(("codec", "tag"), [("h264", b"avc1"), ("hevc", b"hvc1")])
async def test_copying_records_the_frames_of_the_source_without_re_encoding(
    tmp_path: Path, codec: str, tag: bytes
) -> None:
    times = capture_times(2.5)
    packets = coded_packets(times, codec, gop=8)
    await record_coded(tmp_path, packets)
    shown = [frame for path in sorted(tmp_path.glob("*.open")) for _, frame in read_clip(path.read_bytes())]
    assert [frame.captured_us for frame in shown if frame] == times
    stored = [path.read_bytes() for path in sorted(tmp_path.glob("*.open"))]
    assert all(tag in data for data in stored)
    assert sum(map(len, stored)) < 1.3 * sum(len(one.data) for one in packets) + 4000
    assert Encoder.copy().copies and not H264.copies


async def test_copied_frames_keep_their_times_regardless_of_the_frame_rate_in_the_stream(tmp_path: Path) -> None:
    """Cameras write a wrong frame rate into the stream."""
    times = [START_US, START_US + 1, START_US + 2_345_678, START_US + 2_345_700, START_US + 9_999_999]
    for codec in ("h264", "hevc"):
        await record_coded(tmp_path / codec, coded_packets(times, codec, gop=100))
        (path,) = (tmp_path / codec).glob("*.open")
        assert read_fragments(path).times_us == times
