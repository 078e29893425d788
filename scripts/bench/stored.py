"""Storage directories with real segments of 720p in their middle, at 1 Mbit/s. All other segments are as small as
possible, because 30,000 would take 110 GB otherwise. Each has its own time, and all are in the index, as after days of
recording.
"""

import asyncio
import io
import logging
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy
from PIL import Image

from scripts.bench.recorded_run import record_run
from scripts.bench.recording import FRAMES_PER_SECOND, HEIGHT, WIDTH, draw_jpegs
from videostore.base.constants import US_PER_SECOND
from videostore.config import DEFAULT_BITRATE, StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.packet import Packet, StreamFormat
from videostore.media.segment import Segment, probe
from videostore.media.segment_names import closed_name, run_comment
from videostore.storage.index import Index

SEGMENT_S = 30
GAP_EVERY, GAP_S = 300, 60
"""A gap after this many segments, so that a state of 30,000 has a hundred ranges."""
REAL_SEGMENTS = 4
_PRFT_NTP = 16
_NTP_TO_UNIX_S = 2_208_988_800


@dataclass(frozen=True)
class Stored:
    """The directory, and its real segments."""

    directory: Path
    segments: tuple[Segment, ...]

    @property
    def start_us(self) -> int:
        """When the first real segment begins."""
        return self.segments[0].start_us

    @property
    def config(self) -> StorageConfig:
        """The same config as `attributes`."""
        return StorageConfig(1000.0, self.directory, self.directory.parent / "upload", SEGMENT_S)

    @property
    def attributes(self) -> dict[str, object]:
        """The attributes of a module with this storage."""
        places = {"storage_path": str(self.directory), "upload_path": str(self.config.upload_path)}
        return {"sync": "data-manager", "storage": {"size_gb": 1000, **places}}


async def make_storage(directory: Path, binary: str, count: int, *, foreign: bool = False) -> Stored:
    """Fill a directory and its index with so many segments, ours or plain MP4s, as the Go module writes. The newest
    ended an hour ago.

    Raises:
        FFmpegError: they cannot be made.
    """
    directory.mkdir(parents=True)
    templates = directory.parent / f"{directory.name}-templates"
    templates.mkdir()
    start_us = (int(time.time()) - 3600 - count // GAP_EVERY * GAP_S - count * SEGMENT_S) * US_PER_SECOND
    black = await asyncio.to_thread(_black_jpeg)
    sparse_us = [round(second * US_PER_SECOND) for second in (0, 10, 20, SEGMENT_S - 1 / FRAMES_PER_SECOND, SEGMENT_S)]
    (small, *_) = await _encode(templates / "small", binary, [black], [start_us + at_us for at_us in sparse_us])
    frames = REAL_SEGMENTS * SEGMENT_S * FRAMES_PER_SECOND
    times_us = [start_us + number * US_PER_SECOND // FRAMES_PER_SECOND for number in range(frames)]
    jpegs = await asyncio.to_thread(draw_jpegs)
    real = await _encode(templates / "real", binary, jpegs, times_us)
    if foreign:
        small, *real = [await _as_plain(path, binary) for path in (small, *real)]
    # In the middle of the directory, and in the middle of a range.
    first_real = count // 2 + GAP_EVERY // 2
    segments = await asyncio.to_thread(_write_all, directory, start_us, count, small, real, first_real)
    index = await Index.open(directory, logging.getLogger("bench"))
    try:
        await index.add(segments)
    finally:
        await index.close()
    return Stored(directory, tuple(segments[first_real : first_real + REAL_SEGMENTS]))


async def _encode(directory: Path, binary: str, jpegs: Sequence[bytes], times_us: Sequence[int]) -> list[Path]:
    """Segments that the module's recording command makes from images with these capture times."""
    directory.mkdir()
    encoder = Encoder("libx264", DEFAULT_BITRATE, "ultrafast", FRAMES_PER_SECOND)
    format = StreamFormat("mjpeg", WIDTH, HEIGHT)
    packets = [Packet(format, jpegs[number % len(jpegs)], time_us) for number, time_us in enumerate(times_us)]
    await record_run(packets, directory, encoder, binary=binary, segment_seconds=SEGMENT_S)
    # With the names of closed segments they can be probed.
    paths = sorted(directory.iterdir())
    return [path.rename(path.with_name(closed_name(times_us[0], number))) for number, path in enumerate(paths)]


async def _as_plain(path: Path, binary: str) -> Path:
    """The same frames as another program's file, with the time in its name. It is made in a directory of its own."""
    segment = probe(path)
    plain = path.parent / "plain" / f"{segment.start_us // US_PER_SECOND}.mp4"
    plain.parent.mkdir(exist_ok=True)
    await run_ffmpeg([binary, "-v", "error", "-i", str(path), "-c", "copy", "-map_metadata", "-1", str(plain)])
    return plain


def _write_all(
    directory: Path, start_us: int, count: int, small: Path, real: Sequence[Path], first_real: int
) -> list[Segment]:
    templates = {path: (path.read_bytes(), probe(path)) for path in (small, *real)}
    segments, run_us = [], start_us
    for number in range(count):
        begin_us = start_us + number * SEGMENT_S * US_PER_SECOND + number // GAP_EVERY * GAP_S * US_PER_SECOND
        if number % GAP_EVERY == 0:
            run_us = begin_us
        at = number - first_real
        content, template = templates[real[at] if 0 <= at < len(real) else small]
        data, name, ours = content, f"{begin_us // US_PER_SECOND}.mp4", template.run_us is not None
        if template.run_us is not None:
            moved = bytearray(content.replace(run_comment(template.run_us).encode(), run_comment(run_us).encode()))
            _shift_prft(moved, begin_us - template.start_us)
            data, name = bytes(moved), closed_name(begin_us)
        path = directory / name
        path.write_bytes(data)
        segment = replace(
            template,
            file_name=name,
            start_us=begin_us,
            end_us=begin_us + template.duration_us,
            run_us=run_us if ours else None,
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
