"""Bytes of segments: of ours from their files, of other programs as fragments."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import av
import pytest

from tests.support.recording import US, write_foreign
from tests.support.web_server import FOREIGN_S, WebServer, run_web
from videostore.base.errors import RequestError
from videostore.store.store import VideoStore
from videostore.store.viewing import SegmentKey
from videostore.web import segment_bytes
from videostore.web.segment_bytes import SegmentBytes, SegmentFile, open_file, with_header


def test_a_segment_of_the_go_module_is_played_as_fragments(web: WebServer) -> None:
    header = web.get(f"hls/front-door/{FOREIGN_S * US}.init.mp4")
    rest = web.get(f"hls/front-door/{FOREIGN_S * US}.m4s")
    whole = web.get(f"hls/front-door/{FOREIGN_S * US}.mp4")
    assert (header.status, rest.status, whole.status) == (200, 200, 200)
    assert header.body + rest.body == whole.body
    assert rest.body[4:8] == b"moof"


async def test_copies_are_bounded_with_those_that_viewers_still_take(
    tmp_path: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await write_foreign(tmp_path / f"{FOREIGN_S + 10 * number}.mp4")
    keys = [SegmentKey((FOREIGN_S + 10 * number) * US, None) for number in range(4)]
    async with VideoStore.open(tmp_path) as store:
        found = SegmentBytes(store._viewing, binary)
        first = await found.open(keys[0])
        monkeypatch.setattr(segment_bytes, "_REWRITTEN_BYTES", 1)  # the last one is kept
        monkeypatch.setattr(segment_bytes, "_COPIES_BYTES", first.size_bytes * 3 // 2)
        second = await found.open(keys[1])
        with pytest.raises(RequestError) as refused:
            await found.open(keys[2])
        assert refused.value.code == "too-many-videos"
        again = await found.open(keys[1])  # as it is there
        assert again.file.read() == second.file.read()
        for one in (first, second, again):
            one.file.close()
        assert (await found.open(keys[2])).header_bytes


def test_its_frames_are_all_there(web: WebServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("played") / "segment.mp4"
    path.write_bytes(web.get(f"hls/front-door/{FOREIGN_S * US}.mp4").body)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30


@pytest.mark.parametrize("key", ["1", "1-1", f"{FOREIGN_S * US}-1", "0", "999999999999999999-999999999999999999"])
@pytest.mark.parametrize("form", ["mp4", "m4s", "init.mp4"])
def test_a_segment_that_is_not_there_is_gone(web: WebServer, key: str, form: str) -> None:
    answer = web.get(f"hls/front-door/{key}.{form}")
    assert (answer.status, answer.json["error"]) == (404, "segment-gone")


def test_a_segment_whose_header_is_destroyed_is_a_gap_to_players(recording: Path, tmp_path: Path) -> None:
    directory = tmp_path / "damaged"
    shutil.copytree(recording, directory)
    segment = min(directory.glob("*.mp4"))
    from_us = int(segment.stem) * US
    with run_web([directory]) as server:
        piece = server.pieces(f"hls/damaged/index.m3u8?from_us={from_us}&to_us={from_us + US}")[0]
        with segment.open("r+b") as file:
            file.write(bytes(600))
        for _ in range(3):
            answer = server.get(f"hls/damaged/{piece.uri}")
            assert (answer.status, answer.json["error"]) == (404, "moment-unreadable")


def test_a_segment_that_was_sent_before_is_gone_when_its_file_is(recording: Path, tmp_path: Path) -> None:
    directory = tmp_path / "taken"
    shutil.copytree(recording, directory)
    segment = min(directory.glob("*.mp4"))
    from_us = int(segment.stem) * US
    with run_web([directory]) as server:
        piece = server.pieces(f"hls/taken/index.m3u8?from_us={from_us}&to_us={from_us + US}")[0]
        sent = server.get(f"hls/taken/{piece.uri}")
        assert sent.status == 200
        segment.unlink()
        gone = server.get(f"hls/taken/{piece.uri}")
        assert (gone.status, gone.json["error"]) == (404, "segment-gone")


def test_a_part_behind_its_header_is_read_piece_by_piece_and_closes_its_file(recording: Path) -> None:
    path = min(recording.glob("*.mp4"))
    data, size_bytes = path.read_bytes(), path.stat().st_size
    segment = SegmentFile(open_file(path).file, size_bytes, header_bytes=500)
    part = with_header(segment, 900, size_bytes - 7)
    expected = data[:500] + data[900:-7]
    assert part.size_bytes == len(expected) and part.file.read() == expected
    for at, count in ((0, 10), (499, 2), (500, 3), (3, 2000), (len(expected) - 5, 100), (len(expected) + 9, 4)):
        part.file.seek(at)
        assert part.file.read(count) == expected[at : at + count]
    part.file.close()
    assert segment.file.closed


async def test_viewers_that_take_their_time_hold_no_part_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        parts = [with_header(SegmentFile(open_file(path).file, 64 << 20, 500), 900, 64 << 20) for _ in range(8)]
        for part in parts:
            part.file.seek(part.size_bytes // 2)
            assert len(part.file.read(1000)) == 1000
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    for part in parts:
        part.file.close()
