from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support.recording import US, capture_times, record, write_foreign
from videostore.base.errors import FFmpegError, RequestError
from videostore.ffmpeg.concat_list import CONCAT_INPUT, ListedFile, concat_list
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.fmp4 import read_fragments


def test_each_file_has_its_duration_and_its_inpoint() -> None:
    files = [ListedFile(Path("/a/one.mp4"), 2_000_001), ListedFile(Path("two.mp4"), 3 * US, inpoint_us=500_000)]
    assert concat_list(files) == (
        "ffconcat version 1.0\n"
        "file '/a/one.mp4'\nduration 2.000001\n"
        "file 'two.mp4'\ninpoint 0.500000\nduration 3.000000\n"
    )


def test_of_files_whose_frames_are_in_order_none_are_read_for_their_rate() -> None:
    listed = concat_list([ListedFile(Path("/a/one.mp4"), US), ListedFile(Path("/a/two.mp4"), US)], in_order=True)
    assert listed.count("option fpsprobesize 0\n") == 2
    assert listed.index("file '/a/one.mp4'\noption fpsprobesize 0\nduration") > 0


def test_a_list_without_files_has_its_header() -> None:
    assert concat_list([]) == "ffconcat version 1.0\n"


@pytest.mark.parametrize("name", ["a\nb.mp4", "a\rb.mp4"])
def test_a_path_with_a_line_break_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="contains a line break") as error:
        concat_list([ListedFile(Path(name), US)])
    assert (error.value.code, error.value.path) == ("path-unlistable", Path(name))


async def test_ffmpeg_plays_the_files_of_a_list_one_after_another_for_their_durations(
    binary: str, tmp_path: Path
) -> None:
    names = ['it\'s 100%d \\ "one".mp4', "two [#2]; $x.mp4"]
    for name in names:
        await write_foreign(tmp_path / name, seconds=1)
    listed = [ListedFile(tmp_path / names[0], 2 * US), ListedFile(Path(names[1]), US)]
    path = tmp_path / "list.txt"
    path.write_text(concat_list(listed), encoding="utf-8")
    options = [word for name, value in CONCAT_INPUT.items() for word in (f"-{name}", str(value))]
    output = tmp_path / "both.mp4"
    await run_ffmpeg([binary, "-v", "error", *options, "-i", str(path), "-c", "copy", str(output)])
    with av.open(str(output)) as container:
        times = sorted(float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.size)
    assert len(times) == 20
    assert times[10] - times[0] == pytest.approx(2, abs=0.001)


@pytest.mark.parametrize("name", ["it's, 100%d: \\ $x;#.mp4", "plain.open"])
async def test_of_a_file_that_grows_or_is_damaged_only_its_first_bytes_are_read(
    binary: str, tmp_path: Path, name: str
) -> None:
    await record(tmp_path / "run", capture_times(5, fps=10, seed=None), segment_seconds=30)
    (path,) = (tmp_path / "run").glob("*.open")
    whole = read_fragments(path)
    grown = tmp_path / name
    grown.write_bytes(path.read_bytes()[: whole.fragments[3].end_byte + 100] + b"\xff" * 10_000)
    listed = [ListedFile(grown, 3 * US, size_bytes=whole.fragments[2].end_byte)]
    output = tmp_path / "start.mp4"
    await play(binary, concat_list(listed), output)
    with av.open(str(output)) as container:
        frames = sum(1 for packet in container.demux(video=0) if packet.size)
    assert frames == sum(len(one.times_us) for one in whole.fragments[:3])


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile '{target}'\n", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n"]
)
async def test_a_listed_file_that_is_a_playlist_leads_nowhere(binary: str, tmp_path: Path, text: str) -> None:
    """A segment that something else wrote: ffmpeg would follow it to any file."""
    await write_foreign(tmp_path / "target.mp4", seconds=1)
    forged = tmp_path / "1725000000.mp4"
    forged.write_text(text.format(target=tmp_path / "target.mp4"))
    for listed in (ListedFile(forged, US), ListedFile(forged, US, size_bytes=forged.stat().st_size)):
        with pytest.raises(FFmpegError):
            await play(binary, concat_list([listed]), tmp_path / "clip.mp4")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.mp4", "concat:/etc/passwd", "data:video/mp4;base64,AAAA"])
async def test_a_list_names_files_and_nothing_else(binary: str, tmp_path: Path, url: str) -> None:
    messages: list[str] = []
    with pytest.raises(FFmpegError):
        await play(binary, f"ffconcat version 1.0\nfile '{url}'\n", tmp_path / "clip.mp4", messages)
    assert any("not on whitelist" in message for message in messages)


async def play(binary: str, text: str, output: Path, messages: list[str] | None = None) -> None:
    path = output.with_name("list.txt")
    path.write_text(text, encoding="utf-8")
    options = [word for name, value in CONCAT_INPUT.items() for word in (f"-{name}", str(value))]
    level = ("-nostats", "-loglevel", "level+error", "-y")
    arguments = [binary, *options, "-i", str(path), "-c", "copy", str(output), *level]
    await run_ffmpeg(arguments, complaints=messages)
