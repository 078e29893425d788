"""Files that come one after the other as bytes become one, however the bytes are divided."""

from __future__ import annotations

import contextlib
import io
import random
import struct
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import START_US, capture_times, record
from videostore.media.boxes import leaves, track_leaves
from videostore.media.fragment_joiner import FragmentJoiner


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def track(number: int, time: int) -> bytes:
    tfhd, tfdt = struct.pack(">II", 0, number), struct.pack(">IQ", 1 << 24, time)
    return box(b"traf", box(b"tfhd", tfhd) + box(b"tfdt", tfdt))


def fragment(*times: int, frames: bytes = b"frames") -> bytes:
    """One with a track for each time."""
    tracks = [track(number, time) for number, time in enumerate(times, 1)]
    return box(b"moof", box(b"mfhd", struct.pack(">II", 0, 77)) + b"".join(tracks)) + box(b"mdat", frames)


def index(*scales: int) -> bytes:
    tracks = []
    for number, scale in enumerate(scales, 1):
        mdhd = box(b"mdia", box(b"mdhd", struct.pack(">IIIIII", 0, 0, 0, scale, 0, 0)))
        tracks.append(box(b"trak", box(b"tkhd", struct.pack(">IIII", 0, 0, 0, number)) + mdhd))
    return box(b"moov", b"".join(tracks))


def file(*times: int, frames: bytes = b"frames") -> bytes:
    parts = [fragment(time, frames=frames) for time in times]
    return box(b"ftyp", b"mp42") + index(90_000) + b"".join(parts) + box(b"mfra", b"table")


def joined(*files: bytes, cut: int = 1 << 30) -> bytes:
    joiner, made = FragmentJoiner(), []
    for one in files:
        joiner.next_file()
        made += [joiner.feed(one[begin : begin + cut]) for begin in range(0, len(one), cut)]
    joiner.next_file()
    return b"".join(made)


def top_level(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        found.append((kind, data[at + 8 : at + size]))
        at += size
    return found


def numbers(data: bytes) -> list[tuple[int, int]]:
    """Number and time of each fragment."""
    found = [dict(leaves(content)) for kind, content in top_level(data) if kind == b"moof"]
    return [(struct.unpack(">I", one[b"mfhd"][4:8])[0], struct.unpack(">Q", one[b"tfdt"][4:12])[0]) for one in found]


@pytest.mark.parametrize("cut", [1, 3, 8, 13, 64, 1 << 30])
def test_one_header_and_all_fragments_are_left_and_numbered_through(cut: int) -> None:
    data = joined(file(9000, 9100), file(9200), file(9345, 9400), cut=cut)
    assert [kind for kind, _ in top_level(data)] == [b"ftyp", b"moov", *([b"moof", b"mdat"] * 5)]
    assert numbers(data) == [(1, 0), (2, 100), (3, 200), (4, 345), (5, 400)]


def test_each_track_counts_from_the_beginning_of_the_first_in_its_own_unit() -> None:
    begin = box(b"ftyp", b"mp42") + index(90_000, 16_000)
    first = begin + fragment(9_000_000, 1_600_000) + fragment(9_045_000, 1_608_192)
    data = joined(first, begin + box(b"moof", box(b"mfhd", bytes(8)) + track(2, 1_616_384)) + box(b"mdat", b""))
    found = [content for kind, content in top_level(data) if kind == b"moof"]
    times = [[struct.unpack(">Q", one[b"tfdt"][4:12])[0] for one in track_leaves(content)] for content in found]
    assert times == [[0, 0], [45_000, 8192], [16_384]]


def test_frames_with_a_long_size_pass_unchanged() -> None:
    frames = random.Random(3).randbytes(5000)
    long = struct.pack(">I4sQ", 1, b"mdat", 16 + len(frames)) + frames
    data = joined(file(5)[: -len(box(b"mdat", b"frames") + box(b"mfra", b"table"))] + long, cut=100)
    assert data.endswith(long)


async def test_a_segment_stays_as_it_is_shown(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(3), segment_seconds=10)
    (path,) = tmp_path.glob("*.open")
    data = joined(path.read_bytes(), cut=1000)

    def frames(content: bytes) -> list[tuple[int | None, bytes]]:
        with av.open(io.BytesIO(content)) as container:
            return [(one.pts, bytes(one)) for one in container.demux(video=0) if one.size]

    assert frames(data) == frames(path.read_bytes()) and str(START_US).encode() in data


@pytest.mark.parametrize(
    "data",
    [
        box(b"moof", b"no boxes"),
        box(b"moof", box(b"mfhd", bytes(8))),
        index(90_000) + box(b"moof", box(b"mfhd", bytes(8)) + track(2, 0)),
        index(0),
        box(b"moov", box(b"trak", b"")),
        struct.pack(">I4s", 7, b"ftyp"),
        struct.pack(">I4s", 1 << 30, b"moof"),
        struct.pack(">I4sQ", 1, b"mdat", 3),
        struct.pack(">I4s", 4, b"mdat"),
    ],
)
def test_what_is_no_fragmented_mp4_is_refused(data: bytes) -> None:
    joiner = FragmentJoiner()
    joiner.next_file()
    with pytest.raises(ValueError):
        joiner.feed(data)


@pytest.mark.parametrize("missing", [1, 9, 30])
def test_a_file_that_ends_within_a_box_is_noticed(missing: int) -> None:
    joiner = FragmentJoiner()
    joiner.next_file()
    joiner.feed(file(5)[:-missing])
    with pytest.raises(ValueError):
        joiner.next_file()


@given(data=st.binary(max_size=300), cut=st.integers(1, 40))
def test_garbage_is_refused_or_left_out_and_never_anything_else(data: bytes, cut: int) -> None:
    with contextlib.suppress(ValueError):
        assert len(joined(data, cut=cut)) <= len(data)
