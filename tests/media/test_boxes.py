from __future__ import annotations

import struct
from pathlib import Path

import pytest

from videostore.media.boxes import find_fragment, is_divided, leaf_positions, leaves, read_body, read_box


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def test_the_boxes_without_others_inside_are_found_with_their_places() -> None:
    data = box(b"moov", box(b"trak", box(b"mdia", box(b"mdhd", b"abcd"))))
    assert dict(leaves(data[8:])) == {b"mdhd": b"abcd"}
    at, body = leaf_positions(data)[b"moov"]
    assert data[at : at + len(body)] == body
    at, body = leaf_positions(data[8:])[b"mdhd"]
    assert data[8:][at : at + 4] == body == b"abcd"


def test_the_next_fragment_is_found_behind_garbage_with_its_time(tmp_path: Path) -> None:
    fragment = box(b"prft", bytes(24)) + box(b"moof", b"x") + box(b"mdat", b"y")
    path = tmp_path / "file"
    for garbage in (b"", b"\xff" * 77, b"moof" * 9, bytes((1 << 20) - 40)):
        path.write_bytes(garbage + fragment)
        with path.open("rb") as file:
            assert find_fragment(file, 0, path.stat().st_size) == len(garbage)
            assert find_fragment(file, len(garbage) + 1, path.stat().st_size) == len(garbage) + 32  # without its time
            assert find_fragment(file, len(garbage) + 33, path.stat().st_size) is None


def test_a_box_that_ends_behind_the_file_or_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(box(b"free", b"abc") + struct.pack(">I4s", 100, b"mdat"))
    with path.open("rb") as file:
        first = read_box(file, 0, path.stat().st_size)
        assert first is not None and read_body(file, first) == b"abc"
        assert read_box(file, first.end, path.stat().st_size) is None
        assert read_box(file, 14, path.stat().st_size) is None
        with pytest.raises(ValueError, match="too large"):
            read_body(file, first._replace(end=1 << 30))


def test_a_body_is_divided_if_its_boxes_fill_it() -> None:
    assert is_divided(box(b"a   ") + box(b"b   ", b"xyz"))
    assert not is_divided(box(b"a   ") + b"x")
    assert not is_divided(struct.pack(">I4s", 4, b"a   "))
