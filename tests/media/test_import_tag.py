from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recording import SMALL, START_US, capture_times, record
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.import_tag import UNKNOWN_DIGEST, import_tag, read_import, write_origin
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


async def test_a_segment_becomes_one_of_another_run_and_file_and_nothing_else_changes(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(1), size=SMALL)
    (recorded,) = tmp_path.glob("*.open")
    path = tmp_path / "tagged.mp4"
    tags = ["-metadata", f"grouping={import_tag(UNKNOWN_DIGEST)}", "-metadata", f"comment={run_comment(START_US)}"]
    options = ["-c", "copy", "-movflags", "+empty_moov+frag_keyframe"]
    await run_ffmpeg([find_ffmpeg(), "-v", "error", "-i", str(recorded), *options, *tags, str(path)])
    before = path.read_bytes()
    write_origin(path, START_US + 7, DIGEST)
    changed = before.replace(run_comment(START_US).encode(), run_comment(START_US + 7).encode())
    assert path.read_bytes() == changed.replace(import_tag(UNKNOWN_DIGEST).encode(), import_tag(DIGEST).encode())
    assert read_import(path) == DIGEST
    write_origin(path, START_US, UNKNOWN_DIGEST)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="no room for"):
        write_origin(path, 1, DIGEST)
    with pytest.raises(ValueError, match="no room for"):
        write_origin(recorded, START_US, DIGEST)
