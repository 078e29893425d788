from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recording import SMALL, START_US, capture_times, record
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.import_tag import import_tag, read_import, write_run
from videostore.media.segment_names import run_comment

DIGEST = "0123456789abcdef" * 2


async def test_the_tag_of_an_imported_segment_is_read_from_its_header(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(1), size=SMALL)
    (recorded,) = tmp_path.glob("*.open")
    assert read_import(recorded) is None
    tagged = tmp_path / "tagged.mp4"
    tags = ["-metadata", f"grouping={import_tag(DIGEST)}", "-movflags", "+empty_moov+frag_keyframe"]
    await run_ffmpeg([find_ffmpeg(), "-v", "error", "-i", str(recorded), "-c", "copy", *tags, str(tagged)])
    assert read_import(tagged) == DIGEST


def test_a_file_that_is_gone_or_no_mp4_has_no_tag(tmp_path: Path) -> None:
    assert read_import(tmp_path / "gone.mp4") is None
    (tmp_path / "text.mp4").write_text(import_tag(DIGEST))
    assert read_import(tmp_path / "text.mp4") is None


async def test_a_segment_becomes_one_of_another_run_and_nothing_else_changes(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(1), size=SMALL)
    (path,) = tmp_path.glob("*.open")
    before, bytes_before = read_fragments(path), path.read_bytes()
    write_run(path, START_US + 7)
    after = read_fragments(path)
    assert after.comment == run_comment(START_US + 7)
    assert after.times_us == before.times_us
    write_run(path, START_US)
    assert path.read_bytes() == bytes_before
    with pytest.raises(ValueError, match="does not tell its run"):
        write_run(path, 1)
