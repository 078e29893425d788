"""HLS: a playlist leads to the recorded frames, and tells when they were captured."""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import pytest

from scripts.fakes.clip_check import luma
from scripts.fakes.painted_camera import read_paint
from tests.support import hls_rules
from tests.support.coded_stream import FPS, Coding, code, painted_number
from tests.support.coded_stream import SIZE as CODED_SIZE
from tests.support.open_gops import TIMES, OpenGops, number_of, time_of
from tests.support.recording import LOGGER, START_US, US, Feed, FixedClock, until
from tests.support.web_server import FOREIGN_S, WebServer, pieces_of, run_web
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.media.h26x import inspect_keyframe, parameter_sets
from videostore.media.packet import Packet, StreamFormat
from videostore.store.store import VideoStore
from videostore.web import hls
from videostore.web.playlists import date_time

INDEX = "hls/front-door/index.m3u8"
GROWING = f"{INDEX}?from_us={START_US}&parts_us={START_US + 3 * US}&wholes=1"
VLC = {"User-Agent": "VLC/3.0.21 LibVLC/3.0.21"}
GSTREAMER = {"User-Agent": "GStreamer souphttpsrc 1.22.0 libsoup/3.2.3"}
DAY = f"{INDEX}?from_us={START_US}&to_us={START_US + 7 * US}"


def test_a_playlist_has_a_map_for_each_segment_and_the_time_of_each_part(web: WebServer, times: list[int]) -> None:
    text = web.get(DAY).text
    pieces = web.pieces(DAY)
    segments = list(dict.fromkeys(one.uri for one in pieces))
    assert len(segments) == 4
    assert text.count("#EXT-X-MAP:") == 4
    assert text.count("#EXT-X-DISCONTINUITY\n") == 3
    assert text.endswith("#EXT-X-ENDLIST\n")
    dates = {date_time(one) for one in times}
    assert all(one.date in dates for one in pieces)
    assert pieces[0].date == date_time(times[0])
    assert sum(one.seconds for one in pieces) == pytest.approx((times[-1] - times[0]) / US, abs=0.2)


def test_the_bytes_that_it_names_are_the_recording(web: WebServer, tmp_path: Path, times: list[int]) -> None:
    frames = 0
    for number, uri in enumerate(dict.fromkeys(one.uri for one in web.pieces(DAY))):
        parts = [one.bytes for one in web.pieces(DAY) if one.uri == uri]
        assert all(parts)
        header = parts[0][0] if parts[0] else 0
        data = web.get(f"hls/front-door/{uri}", {"Range": f"bytes=0-{header - 1}"}).body
        for one in parts:
            assert one is not None
            data += web.get(f"hls/front-door/{uri}", {"Range": f"bytes={one[0]}-{one[1] - 1}"}).body
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(data)
        with av.open(str(path)) as container:
            frames += sum(1 for _ in container.decode(video=0))
    assert frames == len(times)


def test_only_what_a_range_needs_is_in_it(web: WebServer) -> None:
    pieces = web.pieces(f"{INDEX}?from_us={START_US + 3 * US}&to_us={START_US + 4 * US}")
    assert 1 <= len(pieces) <= 3
    assert pieces[0].date <= date_time(START_US + 3 * US)
    assert pieces[-1].date < date_time(START_US + 4 * US)


def test_a_segment_of_the_go_module_is_one_piece(web: WebServer) -> None:
    (piece,) = web.pieces(f"{INDEX}?from_us={FOREIGN_S * US}&to_us={FOREIGN_S * US + 60 * US}")
    assert re.fullmatch(rf"{FOREIGN_S * US}--[0-9]+\.m4s", piece.uri) and piece.bytes is None
    assert piece.date == date_time(FOREIGN_S * US)


def test_times_can_be_in_words(web: WebServer) -> None:
    found = web.get(f"{INDEX}?from=2024-08-30T06:40:00Z&to=%2B4s")
    assert found.headers["Content-Type"].startswith("application/vnd.apple.mpegurl")
    assert len(web.pieces(f"{INDEX}?from=2024-08-30T06:40:00Z&to=%2B4s")) >= 3


@pytest.mark.parametrize(
    "address", [DAY, GROWING, INDEX, f"{INDEX}?from_us={START_US + 7 * US}&to_us={START_US + 8 * US}"]
)
def test_a_playlist_keeps_to_the_rules(web: WebServer, address: str) -> None:
    hls_rules.check(web.get(address).text)
    hls_rules.check(web.get(address, VLC).text, one_header=True)


def test_ffmpeg_plays_it(web: WebServer, binary: str, times: list[int]) -> None:
    command = [binary, "-v", "error", "-i", f"{web.url}{DAY}", "-map", "0:v", "-c", "copy", "-f", "framecrc", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    frames = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert len(frames) == len(times), done.stderr


def test_ffmpeg_shows_each_frame_of_each_segment(web: WebServer, times: list[int]) -> None:
    shown = []
    with av.open(f"{web.url}{DAY}") as container:
        for frame in container.decode(video=0):
            if (paint := read_paint(luma(frame))) is not None:
                shown.append((paint.captured_us, frame.pts * frame.time_base))
    assert [one for one, _ in shown] == times
    assert all(abs(pts * US - captured_us) < 2000 for captured_us, pts in shown)


@pytest.mark.parametrize("address", [DAY, GROWING])
def test_vlc_gets_each_piece_with_its_header(web: WebServer, address: str) -> None:
    text = web.get(address, VLC).text
    assert "EXT-X-MAP" not in text and "BYTERANGE" not in text
    pieces = pieces_of(text)
    assert pieces
    for one in pieces:
        data = web.get(f"hls/front-door/{one.address}", VLC).body
        with av.open(io.BytesIO(data), format="mp4") as container:
            first = next(container.decode(video=0))
        assert data[4:8] == b"ftyp" and date_time(round(first.pts * first.time_base * US))[:-3] == one.date[:-3]


def test_segments_of_one_run_have_no_break_for_vlc(web: WebServer) -> None:
    assert "DISCONTINUITY" not in web.get(DAY, VLC).text
    with_another_program = f"{INDEX}?from_us={START_US}&to_us={FOREIGN_S * US + 60 * US}"
    assert web.get(with_another_program, VLC).text.count("#EXT-X-DISCONTINUITY\n") == 1


def test_gstreamer_gets_times_that_go_on_over_files_and_gaps(web: WebServer) -> None:
    address = f"{INDEX}?from_us={START_US}&to_us={FOREIGN_S * US + 60 * US}"
    lines = web.get(address, GSTREAMER).text.splitlines()
    at_us, header, begin, length_us, pieces = START_US, b"", 0, 0, 0
    for line in lines:
        if found := re.match(r'#EXT-X-MAP:URI="([^"]+)"(?:,BYTERANGE="(\d+)@0")?', line):
            header = web.get(f"hls/front-door/{found[1]}", GSTREAMER).body[: int(found[2] or 1 << 30)]
        elif found := re.match("#EXTINF:([0-9.]+)", line):
            length_us = round(float(found[1]) * US)
        elif found := re.match(r"#EXT-X-BYTERANGE:(\d+)@(\d+)", line):
            begin, count = int(found[2]), int(found[1])
        elif not line.startswith("#"):
            piece = {"Range": f"bytes={begin}-{begin + count - 1}"} if ".m4s" not in line else {}
            data = header + web.get(f"hls/front-door/{line}", {**GSTREAMER, **piece}).body
            with av.open(io.BytesIO(data), format="mp4") as container:
                first = next(container.decode(video=0))
            assert first.pts * first.time_base * US == pytest.approx(at_us, abs=50_000), line
            at_us, pieces = at_us + length_us, pieces + 1
    assert pieces > 5 and "less_us" in lines[-2]


@pytest.mark.parametrize("less_us", ["x", "9" * 18, "-" + "9" * 18])
def test_times_that_are_none_are_refused(web: WebServer, less_us: str) -> None:
    answer = web.get(f"hls/front-door/{web.pieces(DAY)[0].address}&less_us={less_us}")
    assert (answer.status, answer.json["field"]) == (400, "less_us")


@pytest.mark.parametrize("named", ["1-2", "900-900", "9-8", "941-99999999", "0-99999999999"])
def test_bytes_that_are_none_of_its_fragments_are_not_sent_behind_a_header(web: WebServer, named: str) -> None:
    uri = web.pieces(DAY)[0].uri.removesuffix(".mp4")
    assert web.get(f"hls/front-door/{uri}.{named}.mp4").status == 404


def test_a_range_without_an_end_leads_to_a_playlist_that_does_not_end(web: WebServer) -> None:
    leading = web.get(f"{INDEX}?from_us={START_US}").text
    address = leading.splitlines()[-1]
    text = web.get(f"hls/front-door/{address}").text
    rates, size = r"BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+", r"RESOLUTION=\d+x\d+"
    assert re.search(rf'^#EXT-X-STREAM-INF:{rates},{size},CODECS="avc1\.[0-9a-f]{{6}}"$', leading, re.MULTILINE)
    assert "ENDLIST" not in text
    assert len(dict.fromkeys(one.uri for one in web.pieces(f"hls/front-door/{address}"))) == 5


def test_a_recent_range_without_an_end_leads_to_one_with_the_parts_of_all_segments(web: WebServer) -> None:
    address = web.get(f"{INDEX}?from_us={time.time_ns() // 1000 - 60 * US}").text.splitlines()[-1]
    assert address.endswith("&parts_us=0&wholes=0")
    text = web.get(f"hls/front-door/{address}").text
    assert "STREAM-INF" not in text and "ENDLIST" not in text


@pytest.mark.parametrize(
    "query", ["from=x", "to=x", "from_us=2&to_us=1", "parts_us=x&from_us=1", "from_us=1&wholes=-1&parts_us=1"]
)
def test_a_wrong_query_is_refused_with_a_sentence(web: WebServer, query: str) -> None:
    answer = web.get(f"{INDEX}?{query}")
    assert (answer.status, answer.json["message"][-1]) == (400, ".")


def test_players_show_each_frame_of_open_gops_once_over_the_borders_of_segments(open_gops: OpenGops) -> None:
    """The first frames of a file need the file before: players must not begin again at its beginning."""
    border, leading = open_gops.begins[1], open_gops.leading
    ranges = [(0, len(TIMES)), (0, border), (border - leading, border), (border - 1, border + 1), (border, border + 1)]
    with run_web([open_gops.directory]) as server:
        whole = server.pieces(f"hls/storage/index.m3u8?from_us={TIMES[0]}&to_us={time_of(len(TIMES))}")
        assert sum(one.seconds for one in whole) == len(TIMES)
        for first, last in ranges:
            address = f"hls/storage/index.m3u8?from_us={time_of(first)}&to_us={time_of(last)}"
            with av.open(f"{server.url}{address}") as container:
                frames = container.decode(video=0)
                shown = [number_of(paint.captured_us) for one in frames if (paint := read_paint(luma(one)))]
            assert shown == list(range(shown[0], shown[-1] + 1)), (first, last)
            assert shown[0] <= first and shown[-1] >= last - 1


def test_so_many_playlists_of_ranges_are_made_at_once_and_the_live_one_waits_for_none(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, making = asyncio.Event(), []
    made = hls._playlist

    async def slow(*arguments: Any, **named: Any) -> str:
        making.append(1)
        await release.wait()
        return await made(*arguments, **named)

    monkeypatch.setattr(hls, "_playlist", slow)
    most = hls._PLAYLISTS_BYTES // hls._MADE_BYTES
    with ThreadPoolExecutor(2 * most) as viewers:
        try:
            asked = [viewers.submit(web.get, DAY) for _ in range(2 * most)]
            while len(making) < most:
                assert not any(one.done() for one in asked)
                time.sleep(0.01)
            assert web.get(INDEX).status == 200
            assert len(making) == most
        finally:
            web.loop.call_soon_threadsafe(release.set)
        assert len({one.result().body for one in asked}) == 1
    assert len(making) == 2 * most


def test_vlc_gets_the_frames_that_the_next_file_holds(open_gops: OpenGops) -> None:
    border = open_gops.begins[1]
    with run_web([open_gops.directory]) as server:
        address = f"hls/storage/index.m3u8?from_us={time_of(border - 1)}&to_us={time_of(border)}"
        pieces = pieces_of(server.get(address, VLC).text)
        assert len(pieces) > 1, "the file before, and the first pieces of the next one"
        lent = b"".join(server.get(f"hls/storage/{one.address}", VLC).body for one in pieces[1:])
        with av.open(io.BytesIO(lent), format="mp4") as container:
            times = [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.size]
    assert {times[0] - number for number in range(open_gops.leading + 1)} <= set(times), "behind their keyframe"


@pytest.mark.parametrize("gop_s", [1, 4])
async def test_who_follows_a_range_that_is_being_recorded_sees_each_of_its_frames_once(
    tmp_path: Path, gop_s: float
) -> None:
    """Also where it ends among the frames that the next file holds; with keyframes far apart, pieces are no GOPs."""
    coded = code(Coding("hevc", gop_s=gop_s, b_frames=2, open_gop=True, length_s=16))
    seen = inspect_keyframe("hevc", coded[0].data)
    format = StreamFormat("hevc", *CODED_SIZE, parameter_sets("hevc", coded[0].data), reordered=seen.reordered)
    border = next(one.shown for one in coded if one.keyframe and one.shown * 2 >= len(coded))
    packets = [Packet(format, one.data, START_US + one.shown * US // FPS, one.keyframe) for one in coded]
    first = next(number for number, one in enumerate(coded) if one.shown > FPS * (gop_s + 3))
    feed, shown = Feed(*packets[:first]), dict[int, list[int | None]]()
    config = StorageConfig(1, tmp_path / "storage", tmp_path / "upload", 2, None)

    def follow(address: str, to: int) -> None:
        with av.open(address, options={"live_start_index": "0"}) as container:
            frames = [read_paint(luma(one)) for one in container.decode(video=0)]
        shown[to] = [None if one is None else painted_number(one.captured_us) for one in frames]

    async with VideoStore(
        "cam", config, logger=LOGGER, source=feed, encoder=Encoder.copy(FPS), clock=FixedClock(packets[-1].captured_us)
    ):
        await until(lambda: list(config.storage_path.glob("*.mp4")))
        with run_web([config.storage_path]) as server:
            ends = [border - 1, border, border + 1]
            addresses = [f"hls/storage/index.m3u8?from_us={START_US}&to_us={START_US + to * US // FPS}" for to in ends]
            before = [server.get(one).text.splitlines()[-1] for one in addresses]
            assert all("&parts_us=" in one for one in before), "they grow"
            following = [
                asyncio.create_task(asyncio.to_thread(follow, server.url + one, to))
                for one, to in zip(addresses, ends, strict=True)
            ]
            texts = dict.fromkeys(before, "")
            for packet in packets[first:]:
                feed.put(packet)
                if packet.keyframe:
                    await asyncio.sleep(1)
                    for one in before:
                        text = (await asyncio.to_thread(server.get, f"hls/storage/{one}")).text
                        if texts[one]:
                            hls_rules.check_reload(texts[one], text)
                        texts[one] = text
            await asyncio.wait_for(asyncio.gather(*following), 240)
    for to in ends:
        assert shown[to] == list(range(len(shown[to]))) and len(shown[to]) >= to, to
