from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.recording import SMALL, US, write_foreign
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import UnknownFileError, UnreadableError, frame_times, probe
from videostore.media.segment_names import run_comment


def test_a_segment_of_ours_is_probed_with_its_exact_times(recording: Path, times: list[int]) -> None:
    paths = sorted(recording.glob("*.mp4"))
    segments = [probe(path) for path in paths]
    assert [s.start_us for s in segments] == [read_fragments(path).start_us for path in paths]
    assert {(s.width, s.height, s.codec, s.run_us) for s in segments} == {(320, 180, "h264", times[0])}
    assert [s.size_bytes for s in segments] == [path.stat().st_size for path in paths]
    assert segments[0].start_us == times[0]
    assert segments[-1].end_us > times[-1]


def test_the_name_of_a_segment_of_ours_does_not_matter(recording: Path, tmp_path: Path, times: list[int]) -> None:
    renamed = tmp_path / "1000.mp4"
    renamed.write_bytes(min(recording.glob("*.mp4")).read_bytes())
    assert probe(renamed).start_us == times[0]


async def test_a_foreign_file_may_have_text_that_is_not_utf8(tmp_path: Path, binary: str) -> None:
    plain, path = tmp_path / "plain.mp4", tmp_path / "1725634833.mp4"
    await write_foreign(plain, seconds=1)
    text = b"comment=caf\xe9 au lait"  # as one flipped bit makes it, too
    tagging = await asyncio.create_subprocess_exec(
        binary, "-v", "error", "-i", plain, "-c", "copy", "-metadata", text, path
    )
    assert await tagging.wait() == 0
    assert len(frame_times(probe(path), path).all_us) == 10


async def test_a_segment_of_the_go_module_starts_at_the_second_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "2024-09-06_15-00-33Z.mp4"
    await write_foreign(path, seconds=2)
    segment = probe(path)
    assert (segment.start_us, segment.end_us) == (1_725_634_833 * US, 1_725_634_835 * US)
    assert (segment.width, segment.height, segment.codec, segment.run_us) == (*SMALL, "h264", None)
    read = frame_times(segment, path)
    times, keyframes = read.all_us, read.keyframes_us
    assert times == [segment.start_us + n * US // 10 for n in range(20)]
    assert keyframes == [segment.start_us, segment.start_us + US]


@pytest.mark.parametrize("name", ["holiday.mp4", "1.mp4"])
async def test_a_foreign_file_whose_name_has_no_time_of_a_recording_is_unknown(tmp_path: Path, name: str) -> None:
    await write_foreign(tmp_path / name, seconds=1)
    with pytest.raises(UnknownFileError):
        probe(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 5000, b"\0\0\0\x18ftypisom" + b"x" * 100])
def test_a_file_that_is_not_a_video_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "1725634833.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableError):
        probe(path)


async def test_a_foreign_file_that_was_cut_off_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "1725634833.mp4"
    await write_foreign(path, seconds=1)
    data = path.read_bytes()
    for size in (40, len(data) // 2):
        path.write_bytes(data[:size])
        with pytest.raises(UnreadableError):
            probe(path)


def test_probing_a_file_that_is_gone_does_not_report_damage(recording: Path, tmp_path: Path) -> None:
    segment = probe(min(recording.glob("*.mp4")))
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "1725634833.mp4")
    with pytest.raises(UnreadableError):
        frame_times(segment, tmp_path / "1725634833.mp4")


def test_a_link_is_not_followed(recording: Path, tmp_path: Path) -> None:
    link = tmp_path / "1725634833.mp4"
    link.symlink_to(min(recording.glob("*.mp4")))
    with pytest.raises(UnknownFileError, match="not a regular file"):
        probe(link)


def test_the_comment_of_a_segment_names_its_run(recording: Path, times: list[int]) -> None:
    assert read_fragments(min(recording.glob("*.mp4"))).comment == run_comment(times[0])
