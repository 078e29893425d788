from __future__ import annotations

import asyncio
import random
import shutil
import struct
from pathlib import Path

import av
import pytest

from tests.support.packets import same_frames
from tests.support.recording import write_foreign
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.mp4_tags import write_synopsis

TEXT = "é 🚪, " * 1000


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MP4 with its index at its end. Tests must not change it."""
    path = tmp_path_factory.mktemp("plain") / "clip.mp4"
    asyncio.run(write_foreign(path, seconds=2))
    return path


def boxes(path: Path) -> list[str]:
    data, begin, found = path.read_bytes(), 0, []
    while begin < len(data):
        size, kind = struct.unpack_from(">I4s", data, begin)
        found.append(kind.decode())
        begin += size
    assert begin == len(data)
    return found


def tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return dict(container.metadata)


@pytest.mark.parametrize("faststart", [False, True])
def test_the_tag_is_written_and_nothing_else_changes(plain: Path, tmp_path: Path, faststart: bool) -> None:
    path = tmp_path / "clip.mp4"
    shutil.copyfile(plain, path)
    for text in (TEXT, "short", TEXT * 20, None):
        write_synopsis(path, text)
        assert tags(path).pop("synopsis", None) == text
    write_synopsis(path, TEXT, faststart=faststart)
    assert tags(path) == {**tags(plain), "synopsis": TEXT}
    assert same_frames(plain, path)
    front = ["ftyp", "moov", "free", "mdat"] if faststart else ["ftyp", "free", "mdat", "moov"]
    assert boxes(path) == front and [one.name for one in tmp_path.iterdir()] == ["clip.mp4"]


async def test_a_file_without_tags_gets_one(plain: Path, tmp_path: Path, binary: str) -> None:
    path = tmp_path / "bare.mp4"
    bare = ["-map_metadata", "-1", "-c", "copy", "-fflags", "+bitexact", "-flags", "+bitexact"]
    await run_ffmpeg([binary, "-v", "error", "-i", str(plain), *bare, str(path)])
    data = path.read_bytes()
    path.write_bytes(data.replace(b"udta", b"free"))
    write_synopsis(path, TEXT, faststart=True)
    assert tags(path)["synopsis"] == TEXT and same_frames(plain, path)


def test_what_is_not_such_a_file_is_refused_and_left_as_it_is(plain: Path, tmp_path: Path) -> None:
    data, path = plain.read_bytes(), tmp_path / "clip.mp4"
    index = data.rindex(b"moov") - 4
    dice = random.Random(1)
    damaged = [b"", b"no video", bytes(100), data[:-1], data[:index], data + b"\0\0\0\x10freexxxxxxxx"]
    damaged += [data[: index + 8] + dice.randbytes(len(data) - index - 8) for _ in range(20)]
    for content in damaged:
        for faststart in (False, True):
            path.write_bytes(content)
            with pytest.raises(ValueError, match=r"^its index is "):
                write_synopsis(path, TEXT, faststart=faststart)
            assert path.read_bytes() == content
