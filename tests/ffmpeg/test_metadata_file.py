from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support.recording import write_foreign
from videostore.ffmpeg.metadata_file import metadata_file
from videostore.ffmpeg.process import run_ffmpeg


@pytest.mark.parametrize("comment", ["", "a = b; # c", "two\nlines\r", "back\\", "nul\0", "é 🚪", "x" * 100_000])
async def test_ffmpeg_reads_any_comment_as_it_was_given(binary: str, tmp_path: Path, comment: str) -> None:
    await write_foreign(tmp_path / "in.mp4", seconds=0.2)
    (tmp_path / "tags.txt").write_text(metadata_file({"comment": comment}), encoding="utf-8")
    inputs = ["-i", str(tmp_path / "in.mp4"), "-f", "ffmetadata", "-i", str(tmp_path / "tags.txt")]
    output = tmp_path / "out.mp4"
    await run_ffmpeg([binary, "-v", "error", *inputs, "-map_metadata", "1", "-c", "copy", str(output)])
    with av.open(str(output)) as container:
        assert container.metadata.get("comment", "") == comment.replace("\0", "")
