from __future__ import annotations

import subprocess
from pathlib import Path

import av

from videostore.media.lenient_tags import lenient_tags, tags_of


def test_a_tag_that_is_not_utf8_is_read_with_a_mark_in_its_place(tmp_path: Path, binary: str) -> None:
    path = tmp_path / "clip.mp4"
    video = ["-f", "lavfi", "-i", "color=black:size=64x64:duration=0.2"]
    subprocess.run([binary, "-v", "error", *video, "-metadata", b"comment=caf\xe9 au lait", path], check=True)
    with av.open(str(path), **lenient_tags()) as container:
        assert tags_of(container)["comment"] == "caf� au lait"
