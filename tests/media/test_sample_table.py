from __future__ import annotations

from pathlib import Path

import av
import av.error
import pytest

from tests.support.recording import SMALL
from videostore.base.files import open_regular
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.lenient_tags import lenient_tags
from videostore.media.sample_table import SampleTable, read_table

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:bframes=0:keyint=5")
READ = {
    "as the Go module writes": X264,
    "its header at the beginning": (*X264, "-movflags", "+faststart"),
    "other units of time": (*X264, "-video_track_timescale", "1000", "-movie_timescale", "90000"),
    "no edit list": (*X264, "-use_editlist", "0"),
    "uneven times": (*X264, "-vf", "setpts='PTS+N*N*0.003/TB'", "-fps_mode", "passthrough"),
    "only keyframes": (*X264, "-g", "1"),
    "odd pixels, named colours": (*X264, "-vf", "setsar=4/3", "-color_range", "pc", "-colorspace", "bt709"),
    "H.265": (*X265, "-tag:v", "hvc1"),
    "H.265 with its sets in the video": (*X265, "-tag:v", "hev1"),
}
LEFT = {
    "B frames": ("-c:v", "libx264", "-bf", "2", "-g", "5"),
    "a late start": (*X264, "-output_ts_offset", "1.3"),
    "fragments": (*X264, "-movflags", "frag_keyframe+empty_moov"),
    "another codec": ("-c:v", "mpeg4"),
    "sound": ("-f", "lavfi", "-i", "sine=duration=1", *X264),
}


async def write(path: Path, *coding: str) -> Path:
    source = f"testsrc=size={SMALL[0]}x{SMALL[1]}:rate=10:duration=2"
    await run_ffmpeg([find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", source, *coding, str(path)])
    return path


def read(path: Path) -> SampleTable | None:
    with open_regular(path) as file:
        return read_table(file, path.stat().st_size)


def by_libav(path: Path) -> tuple[str, bytes, list[tuple[int, int, int, bool]]] | None:
    """The codec, its config, and time, place, size and kind of each frame."""
    try:
        with av.open(str(path), format="mp4", **lenient_tags()) as container:
            stream = container.streams.video[0]
            frames = [one for one in container.demux(stream) if one.pts is not None and one.size and not one.is_discard]
            context = stream.codec_context
            found = [(one.pts or 0, one.pos or 0, one.size, one.is_keyframe) for one in frames]
            return context.name, bytes(context.extradata or b""), found
    except (av.error.FFmpegError, IndexError):
        return None


def by_table(table: SampleTable) -> tuple[str, bytes, list[tuple[int, int, int, bool]]]:
    keyframes = set(table.keyframes)
    pairs = enumerate(zip(table.times, table.places, strict=True))
    return table.codec, table.config, [(time, *place, number in keyframes) for number, (time, place) in pairs]


@pytest.mark.parametrize("kind", READ)
async def test_what_the_table_tells_is_what_libav_reads(tmp_path: Path, kind: str) -> None:
    path = await write(tmp_path / "video.mp4", *READ[kind])
    table = read(path)
    assert table is not None and len(table.times) == 20
    assert by_table(table) == by_libav(path)


@pytest.mark.parametrize("kind", LEFT)
async def test_what_is_unusual_is_left_to_libav(tmp_path: Path, kind: str) -> None:
    assert read(await write(tmp_path / "video.mp4", *LEFT[kind])) is None


async def test_what_was_cut_out_of_a_file_is_left_to_libav(tmp_path: Path) -> None:
    path, cut = await write(tmp_path / "video.mp4", *X264), tmp_path / "cut.mp4"
    await run_ffmpeg([find_ffmpeg(), "-v", "error", "-ss", "0.35", "-i", str(path), "-c", "copy", str(cut)])
    assert read(cut) is None  # its edit list hides the first frames


async def test_a_header_with_a_wrong_bit_is_left_to_libav_or_read_alike(tmp_path: Path) -> None:
    path, damaged = await write(tmp_path / "video.mp4", *X264), tmp_path / "damaged.mp4"
    data = path.read_bytes()
    begin = data.index(b"moov") - 4
    read_alike = 0
    for number, at in enumerate(range(begin, len(data), 5)):
        changed = bytearray(data)
        changed[at] ^= 1 << number % 8
        damaged.write_bytes(changed)
        table = read(damaged)
        if table is None:
            continue
        found = by_libav(damaged)
        assert found is not None
        # What is no time and no place belongs to the header, which libav is asked about.
        assert [one[:3] for one in by_table(table)[2]] == [one[:3] for one in found[2]], at - begin
        read_alike += 1
    assert read_alike


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
async def test_a_file_that_was_cut_off_is_left_to_libav(tmp_path: Path, share: float) -> None:
    path = await write(tmp_path / "video.mp4", *X264)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert read(path) is None


async def test_a_table_that_claims_too_much_takes_no_memory(tmp_path: Path) -> None:
    path = await write(tmp_path / "video.mp4", *X264)
    data = bytearray(path.read_bytes())
    data[data.index(b"stts") + 12 : data.index(b"stts") + 16] = (1 << 31).to_bytes(4, "big")
    path.write_bytes(data)
    assert read(path) is None
