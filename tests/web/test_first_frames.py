"""Reordered frames for browsers: the first one is decoded when it is shown, and each is shown when it was."""

from __future__ import annotations

import asyncio
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from tests.support.recording import US
from tests.support.web_server import WebServer, run_web
from videostore.media.segment import probe
from videostore.store.footage_import import import_file
from videostore.store.viewing import SegmentKey
from videostore.web.first_frames import first_shown_after, times_from_first
from videostore.web.one_clock import read_written
from videostore.web.recorders import RecorderPlace

START_US = 1_725_000_000 * US
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
WEBKIT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"
KINDS = {
    "plain": "-c:v libx264 -g 10 -bf 0",
    "b-frames": "-c:v libx264 -g 20 -bf 3 -x264-params open-gop=0",
    "sound": "-c:v libx264 -g 20 -bf 3 -x264-params open-gop=0 -c:a aac",
    "open-gops": "-c:v libx265 -x265-params keyint=10:bframes=3:b-adapt=0:open-gop=1:log-level=error",
}
REORDERED = ["b-frames", "open-gops"]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, binary: str) -> list[RecorderPlace]:
    """A recording of each kind, as it comes from another camera."""
    root = tmp_path_factory.mktemp("kinds")
    for kind, coding in KINDS.items():
        sources = "-f lavfi -i testsrc2=size=64x64:rate=10:duration=4 -f lavfi -i sine=duration=4"
        path = root / f"{kind}.mp4"
        maps = ["-map", "0:v", *(["-map", "1:a"] if kind == "sound" else [])]
        command = [binary, *f"-v error {sources}".split(), *maps, *coding.split(), "-pix_fmt", "yuv420p", str(path)]
        subprocess.run(command, check=True, timeout=60)
        asyncio.run(import_file(path, root / kind, start=START_US))
    return [RecorderPlace(kind, root / kind) for kind in KINDS]


@pytest.fixture(scope="module")
def server(places: list[RecorderPlace]) -> Iterator[WebServer]:
    with run_web(places) as one:
        yield one


def file_of(places: list[RecorderPlace], kind: str) -> Path:
    return min(next(Path(one.directory) for one in places if one.name == kind).glob("*.mp4"))


def fetched(server: WebServer, path: Path, headers: dict[str, str]) -> bytes:
    answer = server.get(f"hls/{path.parent.name}/{SegmentKey.of(probe(path))}.mp4", headers)
    assert answer.status in {200, 206}
    return answer.body


def frames(data: bytes) -> list[tuple[Any, ...]]:
    """When each frame is shown after the first one, and its bytes, in order."""
    with av.open(io.BytesIO(data), format="mp4") as container:
        found = [(one.pts, one.is_keyframe, bytes(one)) for one in container.demux(video=0) if one.size]
    return [(pts - found[0][0], *others) for pts, *others in found]


def first_times(data: bytes) -> tuple[int, int]:
    """When the first frame of the first fragment is decoded, and shown, in units of the file, by its boxes."""
    file = io.BytesIO(data)
    header_bytes = data.index(b"moof") - 4
    tfdt = data.index(b"tfdt") + 8
    decoded = int.from_bytes(data[tfdt : tfdt + 8], "big")
    return decoded, decoded + first_shown_after(file, len(data), header_bytes)


@pytest.mark.parametrize("kind", REORDERED)
def test_a_browser_gets_the_first_frame_decoded_when_it_is_shown(
    server: WebServer, places: list[RecorderPlace], kind: str
) -> None:
    path = file_of(places, kind)
    stored = path.read_bytes()
    decoded, shown = first_times(stored)
    assert decoded < shown
    changed = fetched(server, path, {"User-Agent": BROWSER})
    assert first_times(changed) == (shown, shown)
    assert frames(changed) == frames(stored)


@pytest.mark.parametrize("kind", KINDS)
def test_others_and_what_is_not_reordered_or_has_sound_get_the_bytes_of_the_file(
    server: WebServer, places: list[RecorderPlace], kind: str
) -> None:
    path = file_of(places, kind)
    agents = ["curl/7.88.1", "AppleCoreMedia/1.0.0.21A5", WEBKIT, *([BROWSER] if kind not in REORDERED else [])]
    for agent in agents:
        assert fetched(server, path, {"User-Agent": agent}) == path.read_bytes(), agent


@pytest.mark.parametrize("kind", REORDERED)
def test_each_range_of_it_is_that_of_the_whole(server: WebServer, places: list[RecorderPlace], kind: str) -> None:
    path = file_of(places, kind)
    whole = fetched(server, path, {"User-Agent": BROWSER})
    moofs = [at - 4 for at in range(len(whole)) if whole.startswith(b"moof", at)]
    assert len(moofs) > 1
    trun = whole.rindex(b"trun")
    for first, last in [(0, moofs[1]), (moofs[1], moofs[-1] + 20), (moofs[-1], len(whole)), (trun + 5, trun + 30)]:
        asked = {"User-Agent": BROWSER, "Range": f"bytes={first}-{last - 1}"}
        assert fetched(server, path, asked) == whole[first:last]


def test_what_is_cut_off_or_damaged_is_no_error(places: list[RecorderPlace]) -> None:
    stored = file_of(places, "b-frames").read_bytes()
    header_bytes = stored.index(b"moof") - 4
    for at in range(header_bytes, header_bytes + 300):
        for data in (stored[:at], stored[:at] + bytes([stored[at] ^ 0xFF]) + stored[at + 1 :]):
            file = io.BytesIO(data)
            first_shown_after(file, len(data), header_bytes)
            written = times_from_first(file, len(data), 0, len(data), 200_000)
            assert len(read_written(file, 0, len(data), written)) == len(data)


def test_a_fragment_that_does_not_say_when_its_frames_are_shown_stays(places: list[RecorderPlace]) -> None:
    plain = file_of(places, "plain").read_bytes()
    file = io.BytesIO(plain)
    assert first_shown_after(file, len(plain), plain.index(b"moof") - 4) == 0
    assert times_from_first(file, len(plain), 0, len(plain), 200_000) == []
