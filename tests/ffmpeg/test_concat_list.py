from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support.recording import US, write_foreign
from videostore.base.errors import RequestError
from videostore.ffmpeg.concat_list import CONCAT_INPUT, ListedFile, concat_list
from videostore.ffmpeg.process import run_ffmpeg


def test_each_file_has_its_duration_and_its_inpoint() -> None:
    files = [ListedFile(Path("/a/one.mp4"), 2_000_001), ListedFile(Path("two.mp4"), 3 * US, inpoint_us=500_000)]
    assert concat_list(files) == (
        "ffconcat version 1.0\n"
        "file '/a/one.mp4'\nduration 2.000001\n"
        "file 'two.mp4'\ninpoint 0.500000\nduration 3.000000\n"
    )


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
