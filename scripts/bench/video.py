"""Measures GetVideo: how soon a long range begins, and ten minutes beside a fetch and beside bare ffmpeg.

The module runs as a process, and the client is another one. The long range is of segments that hardly take any space,
the ten minutes are of real ones.
"""

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from google.protobuf.timestamp_pb2 import Timestamp
from viam.proto.common import DoCommandRequest, GetStatusRequest
from viam.proto.service.video import GetVideoRequest
from viam.utils import dict_to_struct, struct_to_dict

from scripts.bench import far_keyframes
from scripts.bench.recorded_run import record_run
from scripts.bench.recording import FRAMES_PER_SECOND, HEIGHT, WIDTH, draw_jpegs
from scripts.bench.segments import SEGMENT_S, Template, make_directory, start_times, write_index, write_segments
from scripts.bench.table import Row
from scripts.fakes.viam_server import Parent
from videostore.base.constants import US_PER_SECOND
from videostore.base.time_format import format_utc_exact
from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Packet, StreamFormat
from videostore.media.segment import probe
from videostore.media.segment_names import closed_name
from videostore.store.footage_import import import_file

ROWS = ("video",)
SEGMENTS, QUICK_SEGMENTS, DAY_SEGMENTS = 100_000, 10_000, 2880
TEN_MINUTES_S = 600
TARGET_FIRST_S = 0.3
_BITRATE = 200_000
"""So that ten minutes fit into the answer to a fetch."""
_VIDEO = "video"
_TIMEOUT_S = 300.0
_KINDS = ((1280, 720, "aac", 16000), (640, 480, "aac", 48000), (960, 540, "opus", 48000), (640, 360, "aac", 44100))
"""Width, height, and sound."""
_KIND_S = 12


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """The rows of `ROWS`."""
    if not rows:
        return []
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as name:
        return [
            *await _measure_long(Path(name), binary, QUICK_SEGMENTS if quick else SEGMENTS, say),
            *await _measure_mixed(Path(name) / "mixed", binary, say),
            *await _measure_far_keyframes(Path(name) / "far", binary, say, quick=quick),
            *await _measure_ten_minutes(Path(name), binary, 3 if quick else 7, say),
        ]


async def _measure_long(directory: Path, binary: str, count: int, say: Callable[[str], None]) -> list[Row]:
    say(f"video: making {count:,} segments")
    now_us = (int(time.time()) - 3600) * US_PER_SECOND
    made = await make_directory(directory / "long", count, now_us, binary, gaps=3, gap_s=100)
    await write_index(made.path, made.template, made.starts_us)
    rows = []
    async with Parent() as parent:
        await _start(parent, made.path, count)
        say("video: the first message of a day, and of everything")
        for segments in (DAY_SEGMENTS, count):
            from_us = made.starts_us[-segments] + SEGMENT_S * US_PER_SECOND // 2
            first_s = [await _first(parent, from_us, made.end_us) for _ in range(7)]
            worst_s = max(first_s)
            text = f"{statistics.median(first_s) * 1000:.0f} ms, {worst_s * 1000:.0f} ms at most"
            name = f"video: first message of an fmp4 of {segments:,} segments"
            rows.append(Row(name, text, f"≤ {TARGET_FIRST_S * 1000:.0f} ms", None, worst_s <= TARGET_FIRST_S))
        module = psutil.Process(parent.process.pid)
        before_mb, most_mb = _rss_mb(module), 0.0
        async for _ in _messages(parent, made.starts_us[-DAY_SEGMENTS], made.end_us, "fmp4"):
            most_mb = max(most_mb, _rss_mb(module))
        text = f"{most_mb - before_mb:.0f} MB more than before ({before_mb:.0f} MB)"
        rows.append(
            Row("video: memory of the module, an fmp4 of a day", text, "≤ 30 MB more", None, most_mb - before_mb <= 30)
        )
    return rows


async def _measure_mixed(directory: Path, binary: str, say: Callable[[str], None]) -> list[Row]:
    """The first message of ranges that begin with each of several kinds of pictures and sound."""
    say("video: a range of several kinds, with sound")
    storage, begins_us = directory / "storage", []
    directory.mkdir()
    for number in range(2 * len(_KINDS)):
        path = directory / f"{number}.mp4"
        begins_us.append((int(time.time()) - 7200 + 30 * number) * US_PER_SECOND)
        await asyncio.to_thread(_write_kind, path, binary, _KINDS[number % len(_KINDS)], _KIND_S + number)
        await import_file(path, storage, start=begins_us[-1])
    end_us = begins_us[-1] + _KIND_S * US_PER_SECOND
    async with Parent() as parent:
        await _start(parent, storage, len(begins_us))
        firsts_s = {}
        for begin_us, kind in zip(begins_us, _KINDS, strict=False):
            firsts_s[kind] = [await _first(parent, begin_us + US_PER_SECOND // 3, end_us) for _ in range(5)]
    worst_s = max(max(one) for one in firsts_s.values())
    text = ", ".join(
        f"{height}p {sound} {statistics.median(one) * 1000:.0f} ms" for (_, height, sound, _), one in firsts_s.items()
    )
    name = "video: first message of an fmp4 of several sizes and kinds of sound, by that of its beginning"
    text = f"{text}, {worst_s * 1000:.0f} ms at most"
    return [Row(name, text, f"≤ {TARGET_FIRST_S * 1000:.0f} ms", None, worst_s <= TARGET_FIRST_S)]


async def _measure_far_keyframes(directory: Path, binary: str, say: Callable[[str], None], *, quick: bool) -> list[Row]:
    """The first message and the first frames of ranges that begin anywhere between two keyframes."""
    say("video: places between keyframes that are far apart")
    directory.mkdir()
    begins_us = await far_keyframes.begins_us(directory, binary, quick)
    rows = []
    async with Parent() as parent:
        await _start(parent, directory / "storage", len(begins_us))
        for (codec, apart_s), begin_us in begins_us.items():
            times = []
            path = directory / f"{codec}-{apart_s}.mp4"
            for place_s in far_keyframes.places_s(apart_s, 8 if quick else 20):
                from_us = begin_us + round(place_s * US_PER_SECOND)
                ours = await _first_frames(parent, from_us, begin_us + far_keyframes.LENGTH_S * US_PER_SECOND)
                times.append((*ours, await far_keyframes.bare(path, binary, place_s)))
            rows.append(far_keyframes.row((codec, apart_s), times))
    return rows


def _write_kind(path: Path, binary: str, kind: tuple[int, int, str, int], length_s: int) -> None:
    """Each of another length: a file is not imported twice. Blocking."""
    width, height, sound, rate = kind
    lavfi = ["-f", "lavfi", "-i"]
    pictures = f"testsrc2=size={width}x{height}:rate={FRAMES_PER_SECOND}:duration={length_s}"
    video = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", str(FRAMES_PER_SECOND), "-pix_fmt", "yuv420p"]
    audio = ["-c:a", {"opus": "libopus"}.get(sound, sound), str(path)]
    sine = f"sine=duration={length_s}:sample_rate={rate}"
    subprocess.run([binary, "-v", "error", *lavfi, pictures, *lavfi, sine, *video, *audio], check=True)


async def _measure_ten_minutes(directory: Path, binary: str, repetitions: int, say: Callable[[str], None]) -> list[Row]:
    say("video: ten minutes")
    storage = directory / "real"
    template = await _real_template(storage, binary)
    starts_us = start_times(24, (int(time.time()) - 3600) * US_PER_SECOND, gaps=0, gap_s=0)
    await asyncio.to_thread(write_segments, storage, template, starts_us)
    await write_index(storage, template, starts_us)
    from_us = starts_us[0] + 15_500_000
    to_us = from_us + TEN_MINUTES_S * US_PER_SECOND
    timed: dict[str, list[float]] = {"mp4": [], "fmp4": [], "fetch": [], "bare": []}
    async with Parent() as parent:
        await _start(parent, storage, len(starts_us))
        for _ in range(repetitions):
            for container in ("mp4", "fmp4"):
                began, size_bytes = time.monotonic(), 0
                async for message in _messages(parent, from_us, to_us, container):
                    size_bytes += len(message.video_data)
                timed[container].append(time.monotonic() - began)
            began = time.monotonic()
            span = {"from": format_utc_exact(from_us), "to": format_utc_exact(to_us)}
            await _command(parent, {"command": "fetch", **span})
            timed["fetch"].append(time.monotonic() - began)
            timed["bare"].append(await _bare(storage, starts_us, binary, directory))
    median = {name: statistics.median(values) for name, values in timed.items()}
    name = f"video: ten minutes, {size_bytes / 1e6:.0f} MB"
    text = ", ".join(f"{one} {median[one] * 1000:.0f} ms" for one in ("mp4", "fmp4", "fetch"))
    return [
        Row(name, text, f"bare ffmpeg, a file: {median['bare'] * 1000:.0f} ms", median["mp4"] / median["bare"], None)
    ]


def _storage(path: Path) -> dict[str, Any]:
    return {"size_gb": 100_000, "storage_path": str(path), "upload_path": f"{path}-upload"}


async def _start(parent: Parent, storage: Path, count: int) -> None:
    """Start the module with a video service over a directory, and wait until all of it is known and at rest."""
    await parent.start_module()
    parent.videos.add(_VIDEO)
    await parent.add(_VIDEO, {"storage": _storage(storage)})

    async def known() -> None:
        while (await _status(parent))["stored_segments"] < count:  # noqa: ASYNC110 -- the module tells nothing.
            await asyncio.sleep(0.1)

    await asyncio.wait_for(known(), _TIMEOUT_S)
    await asyncio.sleep(8)


async def _status(parent: Parent) -> Any:
    return struct_to_dict((await parent.video().GetStatus(GetStatusRequest(name=_VIDEO))).result)


async def _command(parent: Parent, command: dict[str, Any]) -> Any:
    request = DoCommandRequest(name=_VIDEO, command=dict_to_struct(command))
    return struct_to_dict((await parent.video().DoCommand(request, timeout=_TIMEOUT_S)).result)


def _request(from_us: int, to_us: int, container: str) -> GetVideoRequest:
    times = [Timestamp(seconds=us // US_PER_SECOND, nanos=us % US_PER_SECOND * 1000) for us in (from_us, to_us)]
    return GetVideoRequest(name=_VIDEO, start_timestamp=times[0], end_timestamp=times[1], video_container=container)


async def _first(parent: Parent, from_us: int, to_us: int) -> float:
    async with parent.video().GetVideo.open() as stream:
        began = time.monotonic()
        await stream.send_message(_request(from_us, to_us, "fmp4"), end=True)
        message = await stream.recv_message()
        assert message is not None
        elapsed_s = time.monotonic() - began
        await stream.cancel()
    await asyncio.sleep(0.5)
    return elapsed_s


async def _first_frames(parent: Parent, from_us: int, to_us: int) -> tuple[float, float]:
    """How long a stream takes to its first message, and to its first fragment."""
    begun, first_s = b"", 0.0
    async with parent.video().GetVideo.open() as stream:
        began = time.monotonic()
        await stream.send_message(_request(from_us, to_us, "fmp4"), end=True)
        while b"moof" not in begun:
            message = await stream.recv_message()
            assert message is not None
            first_s = first_s or time.monotonic() - began
            begun += message.video_data
        elapsed_s = time.monotonic() - began
        await stream.cancel()
    await asyncio.sleep(0.5)
    return first_s, elapsed_s


async def _messages(parent: Parent, from_us: int, to_us: int, container: str) -> Any:
    async with parent.video().GetVideo.open() as stream:
        await stream.send_message(_request(from_us, to_us, container), end=True)
        async for message in stream:
            yield message


def _rss_mb(module: psutil.Process) -> float:
    return float(module.memory_info().rss / 1e6)


async def _real_template(directory: Path, binary: str) -> Template:
    """A segment of 30 s as the module records it, at a low bitrate."""
    directory.mkdir()
    epoch_us = 1_700_000_000 * US_PER_SECOND + 123_457
    jpegs = await asyncio.to_thread(draw_jpegs)
    format = StreamFormat("mjpeg", WIDTH, HEIGHT)
    count = SEGMENT_S * FRAMES_PER_SECOND + 1  # one more begins the next segment
    packets = [
        Packet(format, jpegs[number % len(jpegs)], epoch_us + number * US_PER_SECOND // FRAMES_PER_SECOND)
        for number in range(count)
    ]
    await record_run(
        packets,
        directory,
        Encoder("libx264", _BITRATE, "veryfast", FRAMES_PER_SECOND),
        binary=binary,
        segment_seconds=SEGMENT_S,
    )
    first, *others = sorted(directory.iterdir())
    path = first.rename(first.with_name(closed_name(epoch_us)))
    data, segment = path.read_bytes(), probe(path)
    for one in (path, *others):
        one.unlink()
    return Template.of(data, segment)


async def _bare(storage: Path, starts_us: Sequence[int], binary: str, directory: Path) -> float:
    """Cut the same clip with a prepared list, with frames before its start that an edit list hides."""
    listing, clip = directory / "list.txt", directory / "bare.mp4"
    lines = ["ffconcat version 1.0"]
    for start_us in starts_us[: TEN_MINUTES_S // SEGMENT_S + 1]:
        lines += [f"file '{storage / closed_name(start_us)}'", f"duration {SEGMENT_S}"]
    listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
    source = ["-f", "concat", "-safe", "0", "-ss", "15.5", "-t", str(TEN_MINUTES_S), "-i", str(listing)]
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *[binary, "-hide_banner", "-nostats", "-loglevel", "error", "-y", *source],
        *["-c", "copy", "-movflags", "+faststart", str(clip)],
        stdin=asyncio.subprocess.DEVNULL,
    )
    if await process.wait() != 0:
        raise RuntimeError("bare ffmpeg failed")
    return time.monotonic() - began
