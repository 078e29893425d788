from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.recording import SMALL, capture_times, record, take_over
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.file_end import is_cut_off

MUXERS: dict[str, list[str]] = {
    "front.mp4": ["-movflags", "+faststart"],
    "back.mp4": [],
    "fragmented.mp4": ["-movflags", "+frag_keyframe+empty_moov+default_base_moof"],
    "video.mov": [],
    "video.mkv": [],
    "live.mkv": ["-f", "matroska", "-live", "1"],
    "video.webm": ["-c:v", "libvpx", "-deadline", "realtime"],
    "video.avi": ["-c:v", "mjpeg"],
    "video.flv": [],
    "video.wmv": ["-c:v", "wmv2"],
    "video.mjpeg": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"],
    "video.gif": ["-c:v", "gif", "-pix_fmt", "rgb8"],
}
"""File names, and how the files are written."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a file of each kind, all of the same second of video."""
    directory = tmp_path_factory.mktemp("videos")

    async def write() -> None:
        for name, options in {**MUXERS, "video.ts": []}.items():
            source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=20:duration=1"]
            coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-pix_fmt", "yuv420p", *options]
            await run_ffmpeg([find_ffmpeg(), "-v", "error", *source, *coding, str(directory / name)])

    asyncio.run(write())
    return directory


@pytest.mark.parametrize("name", MUXERS)
def test_a_file_that_is_cut_off_anywhere_is_known_and_a_whole_one_is_not_suspected(
    videos: Path, tmp_path: Path, name: str
) -> None:
    assert not is_cut_off(videos / name)
    data, cut = (videos / name).read_bytes(), tmp_path / name
    for part in range(2, 40):
        cut.write_bytes(data[: len(data) * part // 40 - 3])
        assert is_cut_off(cut), part


def test_a_transport_stream_that_ends_inside_a_packet_is_cut_off(videos: Path, tmp_path: Path) -> None:
    data, cut = (videos / "video.ts").read_bytes(), tmp_path / "cut.ts"
    assert not is_cut_off(videos / "video.ts")
    cut.write_bytes(data[: len(data) // 376 * 188 + 7])
    assert is_cut_off(cut)


async def test_segments_of_ours_are_whole(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(2), size=SMALL)
    await take_over(tmp_path)
    assert not any(is_cut_off(path) for path in tmp_path.glob("*.mp4"))


@pytest.mark.parametrize("data", [b"", b"\0", b"FLV", b"RIFF", b"\x1a\x45\xdf\xa3", b"\0\0\0\1\x67 raw", b"G" * 3000])
def test_a_file_of_any_content_is_answered(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert is_cut_off(path) in (True, False)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_cut_off(tmp_path / "missing.mkv")


@pytest.mark.parametrize("behind", [b"\0" * 4096, b"\0" * 3])
def test_what_follows_a_whole_file_does_not_matter(videos: Path, tmp_path: Path, behind: bytes) -> None:
    for name in ("back.mp4", "video.mkv", "video.avi", "video.mjpeg", "video.gif"):
        path = tmp_path / name
        path.write_bytes((videos / name).read_bytes() + behind)
        assert not is_cut_off(path)
