"""The frames around a border, read piece by piece."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.open_gops import OpenGops
from videostore.media import border_frames as module
from videostore.media.border_frames import border_frames
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import UnreadableError


def test_they_come_in_pieces_of_which_none_is_larger_than_a_frame_needs(
    open_gops: OpenGops, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, _ = sorted(open_gops.directory.glob("*.mp4"))
    border = border_frames(one, other)
    assert border is not None and border.codec == "hevc" and border.frames > open_gops.leading
    whole = b"".join(border.pieces())
    monkeypatch.setattr(module, "_PIECE_BYTES", 1000)
    pieces = list(border.pieces())
    assert b"".join(pieces) == whole and len(pieces) > 3
    largest = max(size for path in (one, other) for each in read_fragments(path).fragments for size in each.sizes)
    assert max(map(len, pieces)) < 1000 + 2 * largest + len(border._sets)


def test_where_nothing_is_borrowed_there_are_none(open_gops: OpenGops) -> None:
    one, other, _ = sorted(open_gops.directory.glob("*.mp4"))
    assert border_frames(other, one) is None


def test_they_end_where_a_file_is_gone(open_gops: OpenGops, tmp_path: Path) -> None:
    one, other, _ = (Path(shutil.copy(path, tmp_path)) for path in sorted(open_gops.directory.glob("*.mp4")))
    border = border_frames(one, other)
    assert border is not None
    whole = b"".join(border.pieces())
    other.unlink()
    part = b"".join(border.pieces())
    assert part and whole.startswith(part) and part != whole
    with pytest.raises(UnreadableError):
        border_frames(one, other)
