"""The times of segments on one clock: everything else of them stays."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import av
import pytest

from tests.support.recording import US
from videostore.media.fmp4 import read_fragments
from videostore.web.one_clock import read_written, times_on_one_clock


@pytest.fixture
def stored(recording: Path) -> bytes:
    return min(recording.glob("*.mp4")).read_bytes()


def changed(data: bytes, start_us: int, first: int = 0, last: int | None = None) -> bytes:
    file, end = io.BytesIO(data), len(data) if last is None else last
    return read_written(file, first, end, times_on_one_clock(file, len(data), first, end, start_us))


def decode_times(data: bytes) -> list[float]:
    with av.open(io.BytesIO(data), format="mp4") as container:
        return [float(one.dts * one.time_base) for one in container.demux(video=0) if one.dts is not None and one.size]


def test_the_times_are_later_and_the_frames_the_same(stored: bytes) -> None:
    later = changed(stored, 1_725_000_000 * US)
    assert decode_times(later) == pytest.approx([one + 1_725_000_000 for one in decode_times(stored)], abs=1e-5)
    different = sum(one != other for one, other in zip(stored, later, strict=True))
    assert 0 < different <= 8 * len(read_fragments_of(stored))
    assert changed(stored, 0) == stored


def read_fragments_of(stored: bytes) -> list[int]:
    found, at = [], 0
    while (at := stored.find(b"tfdt", at + 1)) > 0:
        found.append(at)
    return found


def test_each_range_of_it_is_that_of_the_whole(stored: bytes, tmp_path: Path) -> None:
    whole = changed(stored, 1_725_000_000 * US)
    (tmp_path / "x.mp4").write_bytes(stored)
    fragments = read_fragments(tmp_path / "x.mp4").fragments
    tfdt = read_fragments_of(stored)[-1]
    ranges = [(one.begin_byte, one.end_byte) for one in fragments]
    for first, last in [
        *ranges,
        (0, 900),
        (tfdt + 10, tfdt + 13),
        (tfdt + 11, len(stored)),
        (len(stored), len(stored)),
    ]:
        assert changed(stored, 1_725_000_000 * US, first, last) == whole[first:last]


def test_it_can_be_read_in_small_pieces(stored: bytes) -> None:
    file = io.BytesIO(stored)
    written = times_on_one_clock(file, len(stored), 0, len(stored), 1_725_000_000 * US)
    pieces = [read_written(file, at, min(at + 7, len(stored)), written) for at in range(0, len(stored), 7)]
    assert b"".join(pieces) == changed(stored, 1_725_000_000 * US)


@pytest.mark.parametrize("kept", [0, 7, 40, 500, 941, 1000])
def test_what_is_cut_off_or_damaged_stays_as_it_is(stored: bytes, kept: int) -> None:
    assert changed(stored[:kept], US) == stored[:kept]
    for damaged in (b"\xff" * len(stored), stored[:kept] + b"\xff" * 2000, stored.replace(b"mdhd", b"xxxx")):
        assert changed(damaged, US) == damaged


def test_sound_moves_with_the_video(tmp_path: Path, binary: str) -> None:
    path = tmp_path / "sound.mp4"
    sources = "-f lavfi -i testsrc=size=64x64:rate=5:duration=2 -f lavfi -i sine=duration=2"
    options = "-c:v libx264 -g 5 -c:a aac -movflags +frag_keyframe+empty_moov+default_base_moof"
    subprocess.run([binary, *f"-v error {sources} {options}".split(), str(path)], check=True, timeout=60)
    begins = []
    for data in (path.read_bytes(), changed(path.read_bytes(), 1000 * US)):
        with av.open(io.BytesIO(data), format="mp4") as container:
            packets = [one for one in container.demux() if one.dts is not None and one.size]
            for kind in ("video", "audio"):
                begins.append(min(float(one.dts * one.time_base) for one in packets if one.stream.type == kind))
    assert begins[2:] == pytest.approx([one + 1000 for one in begins[:2]], abs=1e-3)
