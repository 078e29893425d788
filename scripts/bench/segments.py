"""Makes directories with any number of segments for the benchmarks: one is recorded, the others are copies of it.

The `prft` boxes before its fragments give a segment its time. A copy at another time, in whole seconds, differs in
nothing else. The recorded segment has 30 s and a fragment per second, as with the default settings, but only one black
frame per fragment. It takes as many reads as a real segment of 20 frames a second, and a third of the CPU, and is 400
times smaller.
"""

import asyncio
import contextlib
import logging
import os
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.bench.recorded_run import record_run
from videostore.base.constants import US_PER_SECOND
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Packet, Source, StreamFormat
from videostore.media.segment import Segment, probe
from videostore.media.segment_names import SUFFIX, closed_name, open_name
from videostore.storage.index import Index
from videostore.store.store import VideoStore

SEGMENT_S = 30
CLIP_S = 60
FRAMES_PER_SECOND = 20
"""Frame rate at most of a camera that is recorded at the same time."""
_ROOMY_BYTES = 1 << 50
_FORMAT = StreamFormat("rawvideo", 160, 144)
_BLACK = bytes(160 * 144 * 4)
_BITRATE = 20_000
_FRACTION_US = 123_457
"""Start of each segment within its second, between two milliseconds, so that an error of one would show."""
_PRFT_SECONDS = 16
_INDEX_BATCH = 5000


@dataclass(frozen=True)
class Template:
    """The bytes of a segment, its row in the index, and the positions of its times, in whole seconds."""

    data: bytes
    segment: Segment
    seconds_at: tuple[int, ...]

    @classmethod
    def of(cls, data: bytes, segment: Segment) -> "Template":
        """The template of a recorded segment."""
        return cls(data, segment, tuple(at + _PRFT_SECONDS for at in _boxes(data, b"prft")))

    def content(self, start_us: int) -> bytes:
        """The bytes of the segment that begins at this time, whole seconds from the template's start."""
        shift_s, rest_us = divmod(start_us - self.segment.start_us, US_PER_SECOND)
        if rest_us:
            raise ValueError("a segment can be moved only by whole seconds")
        data = bytearray(self.data)
        for at in self.seconds_at:
            (seconds,) = struct.unpack_from(">I", data, at)
            struct.pack_into(">I", data, at, seconds + shift_s)
        return bytes(data)

    def at(self, start_us: int) -> Segment:
        """The segment that begins at this time, as `probe` reads it."""
        end_us = start_us + self.segment.duration_us
        return replace(self.segment, file_name=closed_name(start_us), start_us=start_us, end_us=end_us)


@dataclass(frozen=True)
class Directory:
    """A storage directory, and the starts of its segments."""

    path: Path
    binary: str
    template: Template
    starts_us: list[int]

    @property
    def count(self) -> int:
        """Number of segments that were made."""
        return len(self.starts_us)

    @property
    def end_us(self) -> int:
        """End of the newest segment."""
        return self.starts_us[-1] + SEGMENT_S * US_PER_SECOND

    @property
    def middle_us(self) -> int:
        """A time in the middle of the directory that is followed by a clip's length without a gap."""
        at = self.count // 2
        length_us = (CLIP_S // SEGMENT_S + 1) * SEGMENT_S * US_PER_SECOND
        while self.starts_us[at + CLIP_S // SEGMENT_S + 1] - self.starts_us[at] != length_us:
            at += 1
        return self.starts_us[at] + SEGMENT_S * US_PER_SECOND // 2

    @contextlib.asynccontextmanager
    async def opened(
        self, source: Source | None = None, *, quota_bytes: int = _ROOMY_BYTES, segment_s: float = SEGMENT_S
    ) -> AsyncIterator[VideoStore]:
        """A store on this directory, not started yet. It records segments of this length."""
        store = VideoStore(
            "bench",
            StorageConfig(quota_bytes / (1 << 30), self.path, self.path.parent / "upload", segment_s),
            binary=self.binary,
            source=source,
            encoder=Encoder("libx264", 100_000, "ultrafast", FRAMES_PER_SECOND) if source else None,
        )
        try:
            yield store
        finally:
            await store.close()


async def make_directory(
    path: Path, count: int, newest_end_us: int, binary: str, *, gaps: int, gap_s: int
) -> Directory:
    """Make a directory with this many segments and no index. `path` must not exist yet. Raises FFmpegError."""
    path.mkdir()
    template = await record_template(path, binary)
    starts_us = start_times(count, newest_end_us, gaps=gaps, gap_s=gap_s)
    await asyncio.to_thread(write_segments, path, template, starts_us)
    return Directory(path, binary, template, starts_us)


async def record_template(directory: Path, binary: str) -> Template:
    """Record a segment with the module's own command, and remove its file. Raises FFmpegError."""
    epoch_us = 1_700_000_000 * US_PER_SECOND + _FRACTION_US
    # One more frame begins the next segment. From it ffmpeg knows the length of the last one.
    packets = [black_packet(epoch_us + second * US_PER_SECOND) for second in range(SEGMENT_S + 1)]
    await record_run(
        packets, directory, Encoder("libx264", _BITRATE, "ultrafast", 1), binary=binary, segment_seconds=SEGMENT_S
    )
    path = (directory / open_name(epoch_us, 0)).rename(directory / closed_name(epoch_us))
    data, segment = path.read_bytes(), probe(path)
    path.unlink()
    (directory / open_name(epoch_us, 1)).unlink()
    return Template.of(data, segment)


def start_times(count: int, newest_end_us: int, *, gaps: int, gap_s: int) -> list[int]:
    """Starts of this many contiguous segments, oldest first, with gaps at even distances."""
    end_us = newest_end_us // US_PER_SECOND * US_PER_SECOND + _FRACTION_US
    starts = []
    for back in range(1, count + 1):
        passed = (back - 1) * (gaps + 1) // count  # gaps between this segment and the end
        starts.append(end_us - (back * SEGMENT_S + passed * gap_s) * US_PER_SECOND)
    return starts[::-1]


def write_segments(directory: Path, template: Template, starts_us: Sequence[int]) -> None:
    """Write a closed segment for each of these times. The directory must exist. Blocking."""
    for start_us in starts_us:
        write_file(directory / closed_name(start_us), template.content(start_us))


def write_file(path: Path, data: bytes) -> None:
    """Write a new file. Blocking."""
    # It takes a third of the time of `write_bytes`, which matters for 300,000 files.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


async def write_index(directory: Path, template: Template, starts_us: Sequence[int]) -> None:
    """Write an index with these segments, as after a rebuild."""
    index = await Index.open(directory, logging.getLogger("bench"))
    try:
        for begin in range(0, len(starts_us), _INDEX_BATCH):
            await index.add([template.at(start_us) for start_us in starts_us[begin : begin + _INDEX_BATCH]])
    finally:
        await index.close()


def recorded_since(directory: Path, began_us: int) -> list[Path]:
    """Closed segments with names from this time on. Blocking."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(SUFFIX)]
    first = began_us // US_PER_SECOND
    return sorted(directory / name for name in names if int(name.removesuffix(SUFFIX)) >= first)


def black_packet(captured_us: int) -> Packet:
    """An image that costs almost nothing to encode, and no library to draw."""
    return Packet(_FORMAT, _BLACK, captured_us)


def _boxes(data: bytes, wanted: bytes) -> Iterator[int]:
    """Positions of the top-level boxes of this type."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == wanted:
            yield at
        at += size
