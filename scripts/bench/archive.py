"""Measures the module with a directory of 30,000 segments, and clips cut there by bare ffmpeg for comparison.

The fetched range has real segments of 30 s at 1 Mbit/s. All other segments are as small as possible, because the
directory would take 110 GB otherwise. Each has its own time, and all are in the index, as after ten days of recording.
"""

import asyncio
import base64
import io
import logging
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy
import psutil
from PIL import Image
from viam.components.camera.client import CameraClient

from scripts.bench.recording import (
    FRAMES_PER_SECOND,
    HEIGHT,
    NAME,
    WIDTH,
    count_shown,
    describe_memory,
    draw_jpegs,
)
from scripts.bench.table import Row
from scripts.fakes.viam_server import Parent
from videostore.base.constants import US_PER_SECOND
from videostore.base.time_format import format_utc_exact
from videostore.config import DEFAULT_BITRATE, StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Packet, StreamFormat
from videostore.media.segment import Segment, probe
from videostore.media.segment_names import closed_name, run_comment
from videostore.recording.run import Run
from videostore.storage.index import Index
from videostore.store.store import VideoStore

ROWS = ("save-10s", "fetch-60s", "state", "idle", "start", "memory")
SEGMENTS, SEGMENT_S = 30_000, 30
GAP_EVERY, GAP_S = 300, 60
"""A gap after this many segments, so that the state has a hundred ranges."""
REAL_SEGMENTS, CLIP_S, CLIP_SKIP_S = 4, 60, 15.3
SAVE_S, TARGET_SAVE_MORE_S = 10, 0.15
"""How much longer than a copy by bare ffmpeg, with frames that an edit list hides, a save may take."""
CALL_TIMEOUT_S = 120.0
SETTLE_S = 5.0
"""After the start the module compares directory and index once. Measurements begin after that."""
TARGET_RATIO, TARGET_STATE_S, TARGET_IDLE, TARGET_RSS_MB = 1.5, 0.1, 0.01, 120.0
_PRFT_NTP = 16
_NTP_TO_UNIX_S = 2_208_988_800


@dataclass(frozen=True)
class Stored:
    """The directory, and the segments from which the clip of [from_us, to_us) is cut."""

    directory: Path
    segments: tuple[Segment, ...]
    from_us: int
    to_us: int

    @property
    def config(self) -> StorageConfig:
        """The same config as the module's attributes."""
        return StorageConfig(1000.0, self.directory, self.directory.parent / "upload", SEGMENT_S)


@dataclass
class Timed:
    """Wall time in seconds, one value per repetition."""

    store: list[float] = field(default_factory=list)
    store_bare: list[float] = field(default_factory=list)
    grpc: list[float] = field(default_factory=list)
    grpc_bare: list[float] = field(default_factory=list)
    state: list[float] = field(default_factory=list)
    save: list[float] = field(default_factory=list)
    save_bare: list[float] = field(default_factory=list)


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Measure these rows of `ROWS`."""
    repetitions = 7 if quick else 21
    timed, found = Timed(), []
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        say(f"storage: making {SEGMENTS} segments")
        stored = await make_storage(Path(directory, "storage"), binary)
        if "fetch-60s" in rows:
            say("fetch-60s: VideoStore.fetch and bare ffmpeg, in turn")
            await _time_store(stored, binary, repetitions, timed)
        if "save-10s" in rows:
            await _time_saves(stored, binary, repetitions, timed)
        async with Parent() as parent:
            say("start: the module on these segments")
            began = time.monotonic()
            await parent.start_module()
            ready_s = time.monotonic() - began
            config = stored.config
            storage = {"size_gb": 1000, "storage_path": str(config.storage_path), "upload_path": f"{directory}/upload"}
            await parent.add(NAME, {"sync": "data-manager", "storage": storage})
            started_s = time.monotonic() - began
            found.append(Row("start", f"{started_s:.2f} s ({ready_s:.2f} s of it to Ready)", "informative", None, None))
            await asyncio.sleep(SETTLE_S)
            module, client = psutil.Process(parent.process.pid), parent.camera(NAME)
            if "idle" in rows:
                found.append(await _measure_idle(module, 5.0 if quick else 20.0, say))
            if "state" in rows:
                say("state: get-storage-state over gRPC")
                timed.state += [await _state(client) for _ in range(20)]
            if "fetch-60s" in rows or "memory" in rows:
                say("fetch-60s: DoCommand over gRPC and bare ffmpeg, in turn")
                for _ in range(repetitions if "fetch-60s" in rows else 10):
                    timed.grpc.append(await _fetch(client, stored))
                    timed.grpc_bare.append(await _cut_bare(stored, binary))
                await asyncio.sleep(SETTLE_S)  # the module frees the memory of its answers
                rss_mb, text = describe_memory(module)
                ok = rss_mb <= TARGET_RSS_MB
                text += f" after {len(timed.grpc)} fetches"
                found.append(Row("memory fetching", text, f"≤ {TARGET_RSS_MB:g} MB", None, ok))
    found += _describe(timed)
    return sorted(
        (row for row in found if row.name.partition(" ")[0] in rows),
        key=lambda row: ROWS.index(row.name.partition(" ")[0]),
    )


async def make_storage(directory: Path, binary: str) -> Stored:
    """Fill a directory and its index. The newest segment ended an hour ago. Raises FFmpegError."""
    directory.mkdir(parents=True)
    templates = directory.parent
    gaps_s = SEGMENTS // GAP_EVERY * GAP_S
    start_us = (int(time.time()) - 3600 - gaps_s - SEGMENTS * SEGMENT_S) * US_PER_SECOND
    black = await asyncio.to_thread(_black_jpeg)
    sparse_us = [round(second * US_PER_SECOND) for second in (0, 10, 20, SEGMENT_S - 1 / FRAMES_PER_SECOND, SEGMENT_S)]
    (small, *_) = await _encode(templates / "small", binary, [black], [start_us + at_us for at_us in sparse_us])
    count = REAL_SEGMENTS * SEGMENT_S * FRAMES_PER_SECOND
    times_us = [start_us + number * US_PER_SECOND // FRAMES_PER_SECOND for number in range(count)]
    jpegs = await asyncio.to_thread(draw_jpegs)
    real = await _encode(templates / "real", binary, jpegs, times_us)
    # In the middle of the directory, and in the middle of a range.
    first_real = SEGMENTS // 2 + GAP_EVERY // 2
    segments = await asyncio.to_thread(_write_all, directory, start_us, small, real, first_real)
    index = await Index.open(directory, logging.getLogger("bench"))
    try:
        await index.add(segments)
    finally:
        await index.close()
    held = tuple(segments[first_real : first_real + CLIP_S // SEGMENT_S + 1])
    # Between two frames, so that the number of frames in the clip is certain.
    from_us = held[0].start_us + round((CLIP_SKIP_S - 0.5 / FRAMES_PER_SECOND) * US_PER_SECOND)
    return Stored(directory, held, from_us, from_us + CLIP_S * US_PER_SECOND)


async def _encode(directory: Path, binary: str, jpegs: Sequence[bytes], times_us: Sequence[int]) -> list[Path]:
    """Segments that the module's recording command makes from images with these capture times."""
    directory.mkdir()
    encoder = Encoder("libx264", DEFAULT_BITRATE, "ultrafast", FRAMES_PER_SECOND)
    format = StreamFormat("mjpeg", WIDTH, HEIGHT)
    packets = [Packet(format, jpegs[number % len(jpegs)], time_us) for number, time_us in enumerate(times_us)]
    run = await Run.start(
        packets[0],
        binary=binary,
        encoder=encoder,
        directory=directory,
        segment_seconds=SEGMENT_S,
        logger=logging.getLogger("bench"),
    )
    try:
        for packet in packets:
            await run.write(packet)
        await run.finish()
    finally:
        await run.kill()
    # With the names of closed segments they can be probed.
    paths = sorted(directory.iterdir())
    return [path.rename(path.with_name(closed_name(times_us[0], number))) for number, path in enumerate(paths)]


def _write_all(directory: Path, start_us: int, small: Path, real: Sequence[Path], first_real: int) -> list[Segment]:
    templates = {path: (path.read_bytes(), probe(path)) for path in (small, *real)}
    segments, run_us = [], start_us
    for number in range(SEGMENTS):
        begin_us = start_us + number * SEGMENT_S * US_PER_SECOND + number // GAP_EVERY * GAP_S * US_PER_SECOND
        if number % GAP_EVERY == 0:
            run_us = begin_us
        at = number - first_real
        content, template = templates[real[at] if 0 <= at < len(real) else small]
        assert template.run_us is not None
        data = bytearray(content.replace(run_comment(template.run_us).encode(), run_comment(run_us).encode()))
        _shift_prft(data, begin_us - template.start_us)
        path = directory / closed_name(begin_us)
        path.write_bytes(data)
        segment = replace(
            template,
            file_name=path.name,
            start_us=begin_us,
            end_us=begin_us + template.duration_us,
            run_us=run_us,
        )
        if number % 1000 == 0 or 0 <= at < len(real):
            assert probe(path) == segment, "the index would not agree with the file"
        segments.append(segment)
    return segments


def _shift_prft(data: bytearray, by_us: int) -> None:
    """Change the capture time in a segment. `by_us` can be negative."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"prft":
            (ntp,) = struct.unpack_from(">Q", data, at + _PRFT_NTP)
            seconds, rest_us = divmod(round((ntp & 0xFFFFFFFF) * US_PER_SECOND / (1 << 32)) + by_us, US_PER_SECOND)
            moved = ((ntp >> 32) + seconds) << 32 | (rest_us << 32) // US_PER_SECOND
            struct.pack_into(">Q", data, at + _PRFT_NTP, moved)
        at += size


def _black_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(numpy.zeros((HEIGHT, WIDTH, 3), numpy.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


async def _time_store(stored: Stored, binary: str, repetitions: int, timed: Timed) -> None:
    store = VideoStore(NAME, stored.config, binary=binary)
    await store.start()
    try:
        await asyncio.sleep(SETTLE_S)
        for _ in range(repetitions):
            began = time.monotonic()
            clip = await store.fetch(stored.from_us, stored.to_us)
            timed.store.append(time.monotonic() - began)
            timed.store_bare.append(await _cut_bare(stored, binary))
        await asyncio.to_thread(_check_clip, clip.data)
    finally:
        await store.close()


async def _time_saves(stored: Stored, binary: str, repetitions: int, timed: Timed) -> None:
    """Saves that begin at different distances from a keyframe."""
    async with VideoStore(NAME, stored.config, binary=binary) as store:
        await asyncio.sleep(SETTLE_S)
        for number in range(repetitions):
            from_us = stored.from_us + number * US_PER_SECOND // repetitions
            began = time.monotonic()
            clip = await store.save(from_us, from_us + SAVE_S * US_PER_SECOND)
            timed.save.append(time.monotonic() - began)
            shown = await asyncio.to_thread(count_shown, clip.path)
            if shown != SAVE_S * FRAMES_PER_SECOND:
                raise RuntimeError(f"a saved clip of {SAVE_S} s shows {shown} frames")
            timed.save_bare.append(await _cut_bare(stored, binary, from_us, SAVE_S))


async def _fetch(client: CameraClient, stored: Stored) -> float:
    command = {"command": "fetch", "from": format_utc_exact(stored.from_us), "to": format_utc_exact(stored.to_us)}
    began = time.monotonic()
    answer = await client.do_command(command, timeout=CALL_TIMEOUT_S)
    clip = base64.b64decode(str(answer["video"]))
    elapsed_s = time.monotonic() - began
    await asyncio.to_thread(_check_clip, clip)
    return elapsed_s


async def _cut_bare(stored: Stored, binary: str, from_us: int | None = None, length_s: int = CLIP_S) -> float:
    """Cut the same clip with a prepared list. The time includes the start of ffmpeg, but not reading the clip."""
    listing, clip = stored.directory.parent / "list.txt", stored.directory.parent / "bare.mp4"
    lines = ["ffconcat version 1.0"]
    for segment in stored.segments:
        lines += [f"file '{stored.directory / segment.file_name}'", f"duration {SEGMENT_S}"]
    listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
    skip_s = ((from_us or stored.from_us) - stored.segments[0].start_us) / US_PER_SECOND
    source = ["-f", "concat", "-safe", "0", "-ss", f"{skip_s:.6f}", "-t", str(length_s), "-i", str(listing)]
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *[binary, "-hide_banner", "-nostats", "-loglevel", "error", "-y", *source],
        *["-c", "copy", "-movflags", "+faststart", str(clip)],
        stdin=asyncio.subprocess.DEVNULL,
    )
    if await process.wait() != 0:
        raise RuntimeError("bare ffmpeg failed")
    elapsed_s = time.monotonic() - began
    clip.unlink()
    return elapsed_s


async def _state(client: CameraClient) -> float:
    began = time.monotonic()
    answer = await client.do_command({"command": "get-storage-state"}, timeout=CALL_TIMEOUT_S)
    elapsed_s = time.monotonic() - began
    ranges = answer["stored_video"]
    if not isinstance(ranges, list) or len(ranges) != SEGMENTS // GAP_EVERY:
        raise RuntimeError(f"the module has not indexed the storage: {str(ranges)[:200]}")
    return elapsed_s


async def _measure_idle(module: psutil.Process, seconds: float, say: Callable[[str], None]) -> Row:
    say(f"idle: CPU of the module over {seconds:.0f} s")
    before_s, began = sum(module.cpu_times()[:4]), time.monotonic()
    await asyncio.sleep(seconds)
    share = (sum(module.cpu_times()[:4]) - before_s) / (time.monotonic() - began)
    return Row("idle", f"{share * 100:.2f} % of a core", f"≤ {TARGET_IDLE * 100:g} %", None, share <= TARGET_IDLE)


def _check_clip(data: bytes) -> None:
    shown = count_shown(io.BytesIO(data))
    if shown != CLIP_S * FRAMES_PER_SECOND:
        raise RuntimeError(f"a fetched clip of {CLIP_S} s shows {shown} frames")


def _describe(timed: Timed) -> list[Row]:
    rows = []
    if timed.save:
        more_s = statistics.median(a - b for a, b in zip(timed.save, timed.save_bare, strict=True))
        text = f"{statistics.median(timed.save) * 1000:.0f} ms, {more_s * 1000:.0f} ms more than bare ffmpeg"
        target = f"≤ {TARGET_SAVE_MORE_S * 1000:.0f} ms more"
        rows.append(Row("save-10s", text, target, None, more_s <= TARGET_SAVE_MORE_S))
    if timed.store:
        rows.append(_fetch_row("fetch-60s (VideoStore.fetch)", timed.store, timed.store_bare))
        rows.append(_fetch_row("fetch-60s (gRPC, base64)", timed.grpc, timed.grpc_bare))
    if timed.state:
        ours = f"{_milliseconds(timed.state)} median, {max(timed.state) * 1000:.1f} ms max of {len(timed.state)}"
        ok = max(timed.state) <= TARGET_STATE_S
        rows.append(Row("state", ours, f"≤ {TARGET_STATE_S * 1000:.0f} ms", None, ok))
    return rows


def _fetch_row(name: str, ours: Sequence[float], bare: Sequence[float]) -> Row:
    ratio = statistics.median(ours) / statistics.median(bare)
    return Row(
        name,
        f"{_milliseconds(ours)} median of {len(ours)} (best {min(ours) * 1000:.1f})",
        f"{_milliseconds(bare)} (best {min(bare) * 1000:.1f}); ≤ {TARGET_RATIO:.2f} x",
        ratio,
        ratio <= TARGET_RATIO,
    )


def _milliseconds(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f} ms"
