from __future__ import annotations

from pathlib import Path

from tests.support.recording import SMALL, capture_times, record
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.import_tag import import_tag, read_import

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
