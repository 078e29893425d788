from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import io
import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip, read_paint
from tests.support.checkout import ROOT
from tests.support.coding import GOP, Painter, write_video
from tests.support.recording import H264, LOGGER, SMALL, START_US, US, capture_times, until
from videostore.base.clock import SystemClock
from videostore.base.errors import RequestError
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
from videostore.media.packet import Gap, Packet
from videostore.sources.ffmpeg_input import FFmpegInput
from videostore.store.store import VideoStore

LENGTH_S = 1.6


# Frames that come in bursts on a busy machine must stay readable: at 1 Mbit/s each would get next to nothing.
GENEROUS = replace(H264, bitrate=20_000_000)


def input_of(name: str | Path, binary: str, **settings: Any) -> FFmpegInput:
    return FFmpegInput(str(name), binary=binary, encoder=GENEROUS, logger=LOGGER, **settings)


class Noting:
    """A source that notes what passes through it."""

    def __init__(self, source: FFmpegInput) -> None:
        self._source = source
        self.packets_seen: list[Packet] = []
        self.gaps: list[Gap] = []

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        async with contextlib.aclosing(self._source.packets()) as items:  # type: ignore[type-var]
            async for item in items:
                (self.packets_seen if isinstance(item, Packet) else self.gaps).append(item)  # type: ignore[arg-type]
                yield item

    @property
    def times_us(self) -> list[int]:
        return [packet.captured_us for packet in self.packets_seen]

    async def play(self) -> None:
        """All of it."""
        async for _ in self.packets():
            pass


@dataclass
class Recording:
    """What a store has made of an input."""

    source: Noting
    segments: list[Path] = field(default_factory=list)
    clips: dict[str, bytes] = field(default_factory=dict)

    @property
    def times_us(self) -> list[int]:
        return [time_us for path in self.segments for time_us in read_fragments(path).times_us]


def store_of(source: Noting, directory: Path, binary: str, *, live: bool) -> VideoStore:
    storage = StorageConfig(1, directory / "storage", directory / "upload", 1)
    return VideoStore(
        "cam",
        storage,
        source=source,
        live=live,
        encoder=Encoder.copy(20),
        binary=binary,
        clock=SystemClock(),
        logger=LOGGER,
    )


async def record_file(path: Path, directory: Path, binary: str, **settings: Any) -> Recording:
    """Record a file to its end."""
    source = Noting(input_of(path, binary, **settings))
    store = store_of(source, directory, binary, live=False)
    await store.start()
    try:
        await asyncio.wait_for(store.ended(), 30)
    finally:
        await store.close()
    return Recording(source, sorted((directory / "storage").glob("*.mp4")))


def distances(times_us: Sequence[int]) -> list[int]:
    return [later - earlier for earlier, later in itertools.pairwise(times_us)]


def coded_frames(path: Path, codec: str) -> list[bytes]:
    """The pictures of a file as they are coded, without what stands around them."""
    with av.open(str(path)) as container:
        found = []
        for packet in container.demux(video=0):
            data, at, units = bytes(packet), 0, []
            while at < len(data):
                size = int.from_bytes(data[at : at + 4], "big")
                units.append(data[at + 4 : at + 4 + size])
                at += 4 + size
            pictures = [u for u in units if (1 <= u[0] & 0x1F <= 5 if codec == "h264" else u[0] >> 1 & 0x3F < 32)]
            found += [b"".join(pictures)] if data else []
        return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After each test neither a process nor a thread of an input is there."""
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "videostore input"]
    assert not [child for child in psutil.Process().children(recursive=True) if "nut" in _words_of(child)]


def _words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


# Files


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_a_file_without_b_frames_is_recorded_as_it_is_at_its_own_distances(
    tmp_path: Path, binary: str, codec: str
) -> None:
    times = capture_times(LENGTH_S, fps=20)
    path = tmp_path / "input.mp4"
    write_video(path, codec, times)
    began_us = time.time_ns() // 1000
    made = await record_file(path, tmp_path, binary)
    took_us = time.time_ns() // 1000 - began_us
    assert [frame for segment in made.segments for frame in coded_frames(segment, codec)] == coded_frames(path, codec)
    assert len(made.segments) == 2
    assert made.times_us == made.source.times_us
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        told = [round(packet.pts * base * US) for packet in container.demux(video=0) if packet.pts is not None]
    assert distances(made.times_us) == distances(told)
    assert began_us < made.times_us[0] < began_us + 2 * US
    assert times[-1] - times[0] < took_us  # in real time
    assert not made.source.gaps


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
async def test_a_clip_of_a_file_that_was_recorded_as_it_is_is_exact(
    tmp_path: Path, binary: str, container: str
) -> None:
    times = capture_times(LENGTH_S, fps=20)
    path = tmp_path / "input.mp4"
    write_video(path, "h264", times, gop=100)
    source = Noting(input_of(path, binary))
    async with store_of(source, tmp_path, binary, live=False) as store:
        await asyncio.wait_for(store.ended(), 30)
        recorded = source.times_us
        for first, last in [(0, 9), (5, 6), (7, len(times) - 1)]:
            clip = await store.fetch(recorded[first], recorded[last], container=container)
            found = check_clip(read_clip(clip.data), times, times[first], times[last])
            assert found.flawless and found.drift_ms < 1, found


async def test_a_file_with_b_frames_is_encoded_with_all_frames_at_their_times(tmp_path: Path, binary: str) -> None:
    times = capture_times(LENGTH_S, fps=20, seed=None)
    path = tmp_path / "input.mp4"
    write_video(path, "h264", times, b_frames=2)
    made = await record_file(path, tmp_path, binary)
    assert made.times_us == made.source.times_us
    assert distances(made.times_us) == distances(times)
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == times


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
@pytest.mark.parametrize("size", [SMALL, (177, 145)])
async def test_other_codecs_and_odd_sizes_are_encoded(
    tmp_path: Path, binary: str, codec: str, size: tuple[int, int]
) -> None:
    path = tmp_path / "input.avi"
    times = capture_times(0.8, fps=20, seed=None)
    write_video(path, codec, times, size=size)
    source = input_of(path, binary)
    info = await source.probe()
    assert info is not None and (info.codec, info.width, info.height) == (codec, *size)
    assert info.reencoded == f"it is coded in {codec}" and not info.live
    made = await record_file(path, tmp_path, binary)
    assert made.times_us == made.source.times_us
    assert distances(made.times_us) == distances(times)
    shown = [frame for segment in made.segments for _, frame in read_clip(segment, [size])]
    assert [frame.captured_us for frame in shown if frame] == times


async def test_frames_that_are_not_to_be_shown_are_not_recorded(tmp_path: Path, binary: str) -> None:
    """As at the beginning of a clip, which has to begin with a keyframe."""
    times = capture_times(LENGTH_S, fps=20, seed=None)
    write_video(tmp_path / "whole.mp4", "h264", times, gop=100)
    cut = tmp_path / "cut.mp4"
    process = await asyncio.create_subprocess_exec(
        *(binary, "-v", "error", "-ss", "1", "-i", str(tmp_path / "whole.mp4"), "-c", "copy", str(cut))
    )
    assert await process.wait() == 0
    made = await record_file(cut, tmp_path, binary)
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == [t for t in times if t >= times[0] + US]


async def test_reencode_encodes_what_could_be_passed_on(tmp_path: Path, binary: str) -> None:
    times = capture_times(0.6, fps=20, seed=None)
    path = tmp_path / "input.mp4"
    write_video(path, "h264", times)
    made = await record_file(path, tmp_path, binary, reencode=True)
    assert distances(made.times_us) == distances(times)
    assert [f for segment in made.segments for f in coded_frames(segment, "h264")] != coded_frames(path, "h264")


@pytest.mark.parametrize("name", ["-i", "-y.mp4", "a:b.mp4", "rtsp:x.mp4", "it's 100%d.mp4"])
async def test_a_file_may_have_any_name(
    tmp_path: Path, binary: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "input.mp4", "h264", capture_times(0.3, fps=20))
    (tmp_path / "input.mp4").rename(tmp_path / name)
    source = Noting(input_of(name, binary))
    await source.play()
    assert len(source.packets_seen) == len(capture_times(0.3, fps=20)) and not source.gaps


# What nobody will ever record


async def refused(input: str | Path, binary: str, **settings: Any) -> str:
    """Why an input is a mistake."""
    with pytest.raises(RequestError) as error:
        await input_of(input, binary, **settings).probe()
    return str(error.value)


async def test_what_cannot_be_an_input_is_refused_in_a_sentence(tmp_path: Path, binary: str) -> None:
    garbage, sound = tmp_path / "garbage.mp4", tmp_path / "sound.wav"
    garbage.write_bytes(os.urandom(5000))
    process = await asyncio.create_subprocess_exec(
        *(binary, "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", str(sound))
    )
    assert await process.wait() == 0
    assert "there is no such file" in await refused(tmp_path / "none.mp4", binary)
    assert "it is a directory" in await refused(tmp_path, binary)
    assert "it holds no video that can be read" in await refused(garbage, binary)
    assert "it holds no video" in await refused(sound, binary)
    assert "does not know its protocol" in await refused("nonsense://host/path", binary)
    assert "does not know its format" in await refused("x", binary, format="nonsense")
    assert "option is unknown" in await refused(garbage, binary, options={"no_such_option": "1"})
    assert str(garbage) in await refused(garbage, binary)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the URL by which a web server serves it."""
    directory = tmp_path / "served"
    directory.mkdir()
    handler = functools.partial(QuietHandler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield directory, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("name", ["live.m3u8", "ended.m3u8", "ended.mpd"])
async def test_what_comes_in_late_bursts_is_refused(
    tmp_path: Path, binary: str, served: tuple[Path, str], name: str, b_frames: int
) -> None:
    """Its frames would be recorded again, under false times, whenever it is opened again."""
    directory, url = served
    write_video(tmp_path / "input.mp4", "h264", capture_times(4, fps=20, seed=None), b_frames=b_frames)
    process = await asyncio.create_subprocess_exec(
        *(binary, "-v", "error", "-i", str(tmp_path / "input.mp4"), "-c", "copy"),
        *(("-f", "dash") if name.endswith("mpd") else ("-f", "hls", "-hls_time", "1", "-hls_list_size", "0")),
        str(directory / name),
    )
    assert await process.wait() == 0
    if name == "live.m3u8":
        lines = (directory / name).read_text().splitlines()
        (directory / name).write_text("\n".join(line for line in lines if line != "#EXT-X-ENDLIST") + "\n")
    kind = "DASH" if name.endswith("mpd") else "HLS"
    said = f"cannot be recorded: it is {kind}, which comes late and in bursts, so that its time cannot be trusted"
    for input in (f"{url}/{name}", directory / name):
        assert said in await refused(input, binary)
        source = Noting(input_of(input, binary))  # without having looked at it before
        async with playing(source):
            await until(functools.partial(bool, source.gaps))
        assert said in source.gaps[0].reason and "RTSP" in source.gaps[0].reason
        assert not source.packets_seen


@pytest.mark.parametrize("input", ["-vf", "-", "", "a\nb", "pipe:0"])
def test_what_looks_like_an_option_is_no_input(binary: str, input: str) -> None:
    with pytest.raises(RequestError, match="name a file, a device or a URL"):
        input_of(input, binary)


@pytest.mark.parametrize("name", ["-i", "i", "vf nonsense", ""])
def test_an_option_is_named_without_a_dash(binary: str, name: str) -> None:
    with pytest.raises(RequestError, match="is no option of an input"):
        input_of("x.mp4", binary, options={name: "1"})


async def test_a_password_is_told_to_nobody(binary: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for url in ("http://joe:pa55word@127.0.0.1:1/x?token=t0ken", "rtsp://joe:pa5/5word@127.0.0.1:1/x"):
        source = input_of(url, binary)
        assert await source.probe() is None  # it does not answer, which may pass
        packets = source.packets()
        gap = await packets.__anext__()
        await packets.aclose()  # type: ignore[attr-defined]
        assert isinstance(gap, Gap) and "…@127.0.0.1:1/x" in gap.reason
        told = gap.reason + caplog.text
        assert "127.0.0.1" in told
        assert not [secret for secret in ("joe", "pa55word", "pa5", "5word", "t0ken") if secret in told]


@pytest.mark.parametrize(
    "input",
    [
        "rtsp://127.0.0.1:1/user=admin_password=s3cret_channel=1_stream=0.sdp",
        "rtsp://admin:1/s3cret@127.0.0.1:1/x",
        "rtsp://admin:12#s3cret@127.0.0.1:1/x",
        "rtsp://s3cret:12?34@127.0.0.1:1/x",
        "rtsp:admin:s3cret@127.0.0.1:1/x",
        "http://127.0.0.1:1/x;pwd=s3cret",
        "http://127.0.0.1:1/x#access_token=s3cret",
        "http://127.0.0.1:1/x?a=b&pwd=a/s3cret",
        "rtmp://127.0.0.1:1/live/s3cret",
        "concat:http://u:s3cret@127.0.0.1:1/1|http://u:s3cret@127.0.0.1:1/2",
        "file:/none/pwd=s3cret",
    ],
)
async def test_nothing_that_ffmpeg_says_tells_a_password(
    binary: str, input: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = ""
    source = input_of(input, binary, patience_s=1)
    try:
        await source.probe()
    except RequestError as error:
        told = str(error)
    packets = source.packets()
    gap = await packets.__anext__()
    await packets.aclose()  # type: ignore[attr-defined]
    assert isinstance(gap, Gap)
    told += gap.reason + caplog.text
    assert "…" in told and "s3cret" not in told


# Live


class Station:
    """A camera on the network: serves painted pictures as an MPEG transport stream over TCP, to one after the other."""

    def __init__(self, codec: str = "h264", *, fps: float = 20, b_frames: int = 0, gop: int = GOP) -> None:
        self.codec = codec
        self.gop = gop
        self.fps = fps
        self.b_frames = b_frames
        self.delivered: list[int] = []
        self.clients = 0
        self.speaking = asyncio.Event()
        """Cleared, it goes on without sending anything."""
        self.speaking.set()
        self.late_s: Callable[[int], float] = lambda number: 0.0
        """How long the frame of this number stays on its way."""
        self.ahead_us = 0
        """How far the camera's own clock is ahead of where it began."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Pulls the plug."""
        if self._server is not None:
            self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.clients += 1
        try:
            await self._send(writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._serving.discard(task)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        output = io.BytesIO()
        painter = Painter(self.codec, gop=self.gop, b_frames=self.b_frames)
        with av.open(output, "w", format="mpegts", options={"flush_packets": "1"}) as container:
            stream = container.add_mux_stream(self.codec, rate=20, width=SMALL[0], height=SMALL[1])
            stream.time_base = painter.context.time_base
            began = time.monotonic()
            began_us = time.time_ns() // 1000
            for number in itertools.count():
                due = began + number / self.fps
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                captured_us = began_us + round((time.monotonic() - began) * US)
                pts = captured_us - began_us + self.ahead_us
                for one in await asyncio.to_thread(painter.code, captured_us, pts):
                    one.stream = stream
                    container.mux(one)
                await asyncio.sleep(self.late_s(number))
                await self.speaking.wait()
                writer.write(output.getvalue())
                output.seek(0)
                output.truncate()
                await writer.drain()
                self.delivered.append(captured_us)


@pytest.fixture
async def station() -> AsyncIterator[Station]:
    station = Station()
    yield station
    await station.stop()


@contextlib.asynccontextmanager
async def playing(source: Noting) -> AsyncIterator[asyncio.Task[None]]:
    """A source that is played meanwhile."""
    task = asyncio.create_task(source.play())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def painted_times(packets: Sequence[Packet]) -> list[int]:
    """What the pictures of packets tell."""
    context: Any = av.CodecContext.create(packets[0].format.codec, "r")
    context.options = {"threads": "1", "flags": "low_delay"}
    found = []
    for frame in [f for p in packets for f in context.decode(av.Packet(p.data))] + context.decode(None):
        paint = read_paint(frame.to_ndarray(format="gray"))
        assert paint is not None
        found.append(paint.captured_us)
    return found


async def test_a_live_input_is_recorded_as_it_is_and_dated_when_it_was_captured(
    tmp_path: Path, binary: str, station: Station
) -> None:
    await station.start()
    source = Noting(input_of(station.url, binary, format="mpegts"))
    async with store_of(source, tmp_path, binary, live=True) as store:
        await until(lambda: len(source.packets_seen) >= 50)
        health = store.health().recorder
        assert health is not None and health.dropped_frames == 0
    painted = painted_times(source.packets_seen)
    off_us = [told - true for told, true in zip(source.times_us, painted, strict=True)]
    assert min(off_us) >= 0 and sorted(off_us)[len(off_us) // 2] < 150_000
    assert max(off_us) - min(off_us) < 50_000
    stored = [t for path in sorted((tmp_path / "storage").glob("*.mp4")) for t in read_fragments(path).times_us]
    assert stored == source.times_us[: len(stored)] and len(stored) >= 50
    assert set(painted) <= set(station.delivered)
    assert not source.gaps


async def test_frames_that_come_late_are_dated_as_the_others(binary: str, station: Station) -> None:
    station.late_s = lambda number: 0.0 if number % 5 else 0.15
    await station.start()
    source = Noting(input_of(station.url, binary, format="mpegts"))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 40)
    painted = painted_times(source.packets_seen[:40])
    off_us = [told - true for told, true in zip(source.times_us, painted, strict=False)]
    assert max(off_us) - min(off_us) < 30_000
    assert all(step > 0 for step in distances(source.times_us))


async def test_an_unplugged_camera_makes_a_gap_and_is_recorded_again(binary: str, station: Station) -> None:
    await station.start()
    source = Noting(input_of(station.url, binary, format="mpegts"))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        await station.stop()
        await until(lambda: source.gaps)
        before = len(source.packets_seen)
        await asyncio.sleep(0.5)
        assert len(source.packets_seen) == before
        await station.start()
        await until(lambda: len(source.packets_seen) >= before + 5)
    assert len(source.gaps) == 1 and station.url in source.gaps[0].reason
    assert source.packets_seen[before].keyframe
    assert source.times_us[before] - source.times_us[before - 1] > 500_000
    assert all(step > 0 for step in distances(source.times_us))


async def test_a_camera_that_falls_silent_makes_a_gap_after_two_seconds(binary: str, station: Station) -> None:
    await station.start()
    source = Noting(input_of(station.url, binary, format="mpegts"))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        station.speaking.clear()
        silent = time.monotonic()
        await until(lambda: source.gaps)
        assert 1.5 < time.monotonic() - silent < 4
        before = len(source.packets_seen)
        station.speaking.set()
        await until(lambda: len(source.packets_seen) > before)
    assert "nothing came for 2 s" in source.gaps[0].reason


async def test_a_server_that_never_says_a_word_is_given_up_and_tried_again(binary: str, station: Station) -> None:
    station.speaking.clear()
    await station.start()
    source = Noting(input_of(station.url, binary, format="mpegts", patience_s=0.4))
    assert await input_of(station.url, binary, format="mpegts", patience_s=0.4).probe() is None
    async with playing(source):
        await until(lambda: station.clients >= 3)
    assert len(source.gaps) == 1  # one for all attempts
    assert "nothing came within 0.4 s" in source.gaps[0].reason


async def test_a_camera_whose_time_leaps_makes_a_gap_and_is_dated_anew(binary: str, station: Station) -> None:
    await station.start()
    source = Noting(input_of(station.url, binary, format="mpegts"))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        station.ahead_us = 7 * US
        await until(lambda: source.gaps)
        before = len(source.packets_seen)
        await until(lambda: len(source.packets_seen) >= before + 5)
    assert "its time has leaped" in source.gaps[0].reason
    for packets in (source.packets_seen[:before], source.packets_seen[before:]):
        off_us = [one.captured_us - true for one, true in zip(packets, painted_times(packets), strict=True)]
        assert min(off_us) >= 0 and max(off_us) < US


@dataclass
class SteppedClock(SystemClock):
    """A clock that can be set."""

    ahead_us: int = 0

    def wall_us(self) -> int:
        return super().wall_us() + self.ahead_us


@pytest.mark.parametrize("step_s", [-3600, 3600])
@pytest.mark.parametrize("live", [True, False])
async def test_a_step_of_the_clock_is_followed(
    tmp_path: Path, binary: str, station: Station, live: bool, step_s: int
) -> None:
    times = capture_times(3, fps=20, seed=None)
    write_video(tmp_path / "input.mp4", "h264", times)
    await station.start()
    clock = SteppedClock()
    if live:
        source = Noting(input_of(station.url, binary, format="mpegts", clock=clock))
    else:
        source = Noting(input_of(tmp_path / "input.mp4", binary, clock=clock))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        clock.ahead_us = step_s * US
        await until(lambda: any(abs(step) > 2 * US for step in distances(source.times_us)))
        seen = len(source.packets_seen)
        await until(lambda: len(source.packets_seen) >= seen + 5)
    steps = distances(source.times_us)
    assert [step for step in steps if abs(step) > 2 * US] == [pytest.approx(step_s * US, abs=US)]
    assert sum(step <= 0 for step in steps) == (step_s < 0)  # but for the step time runs forward
    assert abs(source.times_us[-1] - clock.wall_us()) < 2 * US


async def test_a_clock_that_is_set_back_while_the_camera_is_away_is_followed(binary: str, station: Station) -> None:
    await station.start()
    clock = SteppedClock()
    source = Noting(input_of(station.url, binary, format="mpegts", clock=clock))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        await station.stop()
        await until(lambda: source.gaps)
        before = len(source.packets_seen)
        clock.ahead_us = -3600 * US
        await station.start()
        await until(lambda: len(source.packets_seen) >= before + 5)
    assert all(step > 10_000 for step in distances(source.times_us[before:]))
    assert abs(source.times_us[-1] - clock.wall_us()) < 3 * US


async def test_an_encoder_whose_video_cannot_be_recorded_ends_in_a_gap(tmp_path: Path, binary: str) -> None:
    write_video(tmp_path / "input.avi", "mjpeg", capture_times(0.3, fps=20))
    encoder = Encoder("libvpx", 500_000, "", 20)
    input = FFmpegInput(str(tmp_path / "input.avi"), binary=binary, encoder=encoder, logger=LOGGER)
    source = Noting(input)
    await asyncio.wait_for(source.play(), 10)
    assert not source.packets_seen and "the encoder libvpx" in source.gaps[0].reason
    assert input.fault == source.gaps[0].reason


async def test_frames_that_turn_out_to_be_reordered_are_encoded_from_there_on(tmp_path: Path, binary: str) -> None:
    """A stream need not say beforehand that it has B frames."""
    times = capture_times(LENGTH_S, fps=20, seed=None)
    half = len(times) // 2
    write_video(tmp_path / "plain.mp4", "h264", times[:half])
    write_video(tmp_path / "reordered.mp4", "h264", times[half:], b_frames=2)
    listed = tmp_path / "list.txt"
    listed.write_text("ffconcat version 1.0\nfile plain.mp4\nfile reordered.mp4\n")
    made = await record_file(listed, tmp_path, binary, format="concat")
    assert len(made.source.gaps) == 1 and "B frames" in made.source.gaps[0].reason
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == times


async def test_a_file_without_further_keyframes_is_encoded_from_where_a_segment_would_grow_too_long(
    tmp_path: Path, binary: str
) -> None:
    """Else no segment is ever closed, and the quota does not hold."""
    times = capture_times(4, fps=20, seed=None)
    path = tmp_path / "input.mp4"
    write_video(path, "h264", times, gop=1000)
    made = await record_file(path, tmp_path, binary, keyframe_patience_s=1.5)
    assert [gap.reason for gap in made.source.gaps] == [
        f"the input {path} is encoded anew from here on: no keyframe has come for 1.5 s"
    ]
    assert len(made.segments) > 2
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == times  # each once
    keyframes = [packet.captured_us for packet in made.source.packets_seen if packet.keyframe]
    assert max(distances(keyframes)) < 2.5 * US


async def test_a_live_input_without_further_keyframes_is_encoded(binary: str) -> None:
    station = Station(gop=1000)
    await station.start()
    source = Noting(input_of(station.url, binary, format="mpegts", keyframe_patience_s=1.5))
    try:
        async with playing(source):
            await until(lambda: source.gaps)
            before = len(source.packets_seen)
            await until(lambda: len(source.packets_seen) >= before + 60)
    finally:
        await station.stop()
    assert len(source.gaps) == 1 and "no keyframe has come for 1.5 s" in source.gaps[0].reason
    assert sum(packet.keyframe for packet in source.packets_seen[before:]) >= 3
    assert not any(packet.keyframe for packet in source.packets_seen[1:before])


async def test_live_b_frames_are_encoded(binary: str) -> None:
    station = Station(b_frames=2)
    await station.start()
    source = Noting(input_of(station.url, binary, format="mpegts"))
    try:
        async with playing(source):
            await until(lambda: len(source.packets_seen) >= 12)
    finally:
        await station.stop()
    painted = painted_times(source.packets_seen[:12])
    assert set(painted) <= set(station.delivered)
    for told, true in zip(distances(source.times_us), distances(painted), strict=False):
        assert abs(told - true) < 30_000


async def test_other_parameter_sets_make_another_format(binary: str, tmp_path: Path) -> None:
    """A camera whose picture size is changed goes on in the same stream."""
    parts = []
    for size in (SMALL, (192, 160)):
        painter = Painter("h264", gop=5, size=size)
        coded = [one for n in range(10) for one in painter.code(START_US + n * 50_000, n * 50_000)]
        parts.append(b"".join(bytes(one) for one in [*coded, *painter.finish()]))
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(parts))
    source = Noting(input_of(path, binary))
    await source.play()
    sizes = [(packet.format.width, packet.format.height) for packet in source.packets_seen]
    assert sizes == [SMALL] * 10 + [(192, 160)] * 10
    assert source.packets_seen[10].keyframe


# The end


@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.02, 0.05, 0.1, 0.3, 0.8])
async def test_cancelling_at_any_moment_leaves_nothing_behind(
    binary: str, station: Station, tmp_path: Path, after_s: float
) -> None:
    """`nothing_left` looks."""
    await station.start()
    write_video(tmp_path / "input.mp4", "h264", capture_times(5, fps=20), b_frames=2)
    for name, settings in ((station.url, {"format": "mpegts"}), (tmp_path / "input.mp4", {})):
        for whole in (True, False):
            source = input_of(name, binary, **settings)
            task: asyncio.Task[object] = asyncio.create_task(Noting(source).play() if whole else source.probe())
            await asyncio.sleep(after_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not [t for t in threading.enumerate() if t.name == "videostore input"]


async def test_a_reader_that_does_not_go_on_can_leave(binary: str, tmp_path: Path) -> None:
    """The thread waits for room, and ffmpeg for the thread."""
    write_video(tmp_path / "input.mp4", "h264", capture_times(5, fps=50))
    source = input_of(tmp_path / "input.mp4", binary)
    packets = source.packets()
    await packets.__anext__()
    await asyncio.sleep(0.5)
    await packets.aclose()  # type: ignore[attr-defined]


async def test_an_ffmpeg_that_a_signal_ends_is_told_as_such(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program, file = tmp_path / "program", tmp_path / "input.mp4"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o755)
    file.touch()
    source = Noting(input_of(file, str(program)))
    await asyncio.wait_for(source.play(), 10)
    assert [gap.reason for gap in source.gaps] == [
        f"the input {file} does not deliver: ffmpeg was ended by signal {signal.SIGSEGV:d}"
    ]
    assert f"cannot be recorded: ffmpeg was ended by signal {signal.SIGSEGV:d}." in await refused(file, str(program))
    assert await input_of("rtsp://127.0.0.1:1/x", str(program)).probe() is None
    assert f"does not answer: ffmpeg was ended by signal {signal.SIGSEGV:d}." in caplog.text


async def test_a_program_that_writes_nonsense_and_does_not_end_is_ended(tmp_path: Path) -> None:
    program, file = tmp_path / "program", tmp_path / "input.mp4"
    program.write_text("#!/bin/sh\nhead -c 100000 /dev/urandom\nexec sleep 60\n")
    program.chmod(0o755)
    file.touch()
    source = Noting(input_of(file, str(program), patience_s=0.5))
    await asyncio.wait_for(source.play(), 10)
    assert len(source.gaps) == 1 and not source.packets_seen


async def test_a_recorder_that_is_killed_leaves_no_ffmpeg(binary: str, station: Station) -> None:
    """Of an input that is silent, too: it never notices that nobody reads it."""
    await station.start()
    script = (
        "import asyncio, logging, sys\n"
        "from videostore.sources.ffmpeg_input import FFmpegInput\n"
        "from videostore.ffmpeg.encoder import Encoder\n"
        "async def main():\n"
        "    encoder = Encoder('libx264', 1000000, 'ultrafast', 20)\n"
        "    source = FFmpegInput(sys.argv[1], binary=sys.argv[2], encoder=encoder, logger=logging.getLogger('x'),\n"
        "                         format='mpegts', patience_s=60)\n"
        "    async for packet in source.packets():\n"
        "        print('packet', flush=True)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, station.url, binary), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 20)
    station.speaking.clear()
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGKILL)
    await process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 5)
    assert not alive
