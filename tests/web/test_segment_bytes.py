"""Bytes of segments: of ours from their files, of other programs as fragments."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import pytest

from tests.support.recording import US
from tests.support.web_server import FOREIGN_S, WebServer, run_web


def test_a_segment_of_the_go_module_is_played_as_fragments(web: WebServer) -> None:
    header = web.get(f"hls/front-door/{FOREIGN_S * US}.init.mp4")
    rest = web.get(f"hls/front-door/{FOREIGN_S * US}.m4s")
    whole = web.get(f"hls/front-door/{FOREIGN_S * US}.mp4")
    assert (header.status, rest.status, whole.status) == (200, 200, 200)
    assert header.body + rest.body == whole.body
    assert rest.body[4:8] == b"moof"


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
