from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from videostore.media.stream_header import header_bytes, tell_the_same

_KINDS = {
    "plain": [],
    "other size": ["-s", "64x32"],
    "other codec": ["-c:v", "mpeg4"],
    "other settings": ["-c:v", "libx264", "-preset", "ultrafast"],
    "other tag": ["-metadata", "title=other"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, binary: str) -> dict[str, bytes]:
    """Fragmented files with pictures and sound, by what differs."""
    directory = tmp_path_factory.mktemp("made")
    files = {}
    inputs = ["-f", "lavfi", "-t", "0.2", "-i", "testsrc=s=64x48", "-f", "lavfi", "-t", "0.2", "-i", "sine"]
    for name, options in (*_KINDS.items(), ("without sound", ["-an"])):
        path = Path(directory, f"{name}.mp4")
        fragmented = ["-movflags", "frag_keyframe+delay_moov+default_base_moof", "-write_btrt", "0"]
        command = [binary, "-v", "error", *inputs, "-c:v", "libx264", "-pix_fmt", "yuv420p", *options, *fragmented]
        subprocess.run([*command, str(path)], check=True)
        files[name] = path.read_bytes()
    return files


def header(file: bytes) -> bytes:
    return file[: header_bytes(file)]


def test_the_header_is_what_comes_before_the_first_fragment(made: dict[str, bytes]) -> None:
    file = made["plain"]
    at = file.index(b"moof") - 4
    assert header_bytes(file) == at == header_bytes(file[: at + 8])
    for short in (0, 7, at, at + 7):
        assert header_bytes(file[:short]) is None


@pytest.mark.parametrize("begun", [b"\0\0\0\x08moofmore", b"<!DOCTYPE html>", b"\0\0\0\x04ftypiso5", b"\xff\0\0\0moov"])
def test_what_is_no_fragmented_mp4_has_none(begun: bytes) -> None:
    with pytest.raises(ValueError):
        header_bytes(begun)


def test_headers_of_the_same_tracks_and_tags_tell_the_same(made: dict[str, bytes]) -> None:
    plain = header(made["plain"])
    assert tell_the_same(plain, plain)
    at = plain.index(b"\x40\x15", plain.index(b"esds")) + 5  # ISO/IEC 14496-1, 7.2.6.6: its highest and mean bitrate
    other = plain[:at] + bytes(8) + plain[at + 8 :]
    assert other != plain and tell_the_same(other, plain)


@pytest.mark.parametrize("other", [*list(_KINDS)[1:], "without sound"])
def test_headers_that_differ_do_not(made: dict[str, bytes], other: str) -> None:
    assert not tell_the_same(header(made["plain"]), header(made[other]))


def test_what_cannot_be_read_tells_nothing(made: dict[str, bytes]) -> None:
    assert not tell_the_same(header(made["plain"]), b"damaged")
