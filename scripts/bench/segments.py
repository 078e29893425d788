"""Makes directories of any number of segments for the benchmarks: one is recorded, all others are dated anew.

A segment tells its time by the `prft` boxes before its fragments, and in whole seconds nothing else of it changes. The
one that is recorded is 30 s long with a fragment a second, as at the default settings, but of one black frame each.
Reading it takes as many reads as a real one of 20 frames a second, a third of the CPU, and it is 400 times smaller.
"""

import asyncio
import contextlib
import logging
import os
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Packet, Source, StreamFormat
from videostore.media.segment import Segment, probe
from videostore.media.segment_names import SUFFIX, closed_name, open_name
from videostore.recording.run import Run
from videostore.storage.index import Index
from videostore.store.store import VideoStore

SEGMENT_S = 30
CLIP_S = 60
FRAMES_PER_SECOND = 20
"""At most, of what is recorded beside."""
_ROOMY_BYTES = 1 << 50
_FORMAT = StreamFormat("rawvideo", 160, 144)
_BLACK = bytes(160 * 144 * 4)
_BITRATE = 20_000
_FRACTION_US = 123_457
"""Where in its second each segment begins: no whole millisecond, so that an error of one would show."""
_PRFT_SECONDS = 16
_INDEX_BATCH = 5000


@dataclass(frozen=True)
class Template:
    """A segment's bytes, what the index must know of it, and where its bytes tell the time, in whole seconds."""

    data: bytes
    segment: Segment
    seconds_at: tuple[int, ...]

    def content(self, start_us: int) -> bytes:
        """The bytes of the segment that begins at this time, whole seconds from the template's."""
        shift_s, rest_us = divmod(start_us - self.segment.start_us, US_PER_SECOND)
        if rest_us:
            raise ValueError("a segment can be moved by whole seconds alone")
        data = bytearray(self.data)
        for at in self.seconds_at:
            (seconds,) = struct.unpack_from(">I", data, at)
            struct.pack_into(">I", data, at, seconds + shift_s)
        return bytes(data)

    def at(self, start_us: int) -> Segment:
        """The same as `probe` reads it."""
        end_us = start_us + self.segment.duration_us
        return replace(self.segment, file_name=closed_name(start_us), start_us=start_us, end_us=end_us)


@dataclass(frozen=True)
class Directory:
    """A storage directory, and when its segments begin."""

    path: Path
    binary: str
    template: Template
    starts_us: list[int]

    @property
    def count(self) -> int:
        """Segments that were made."""
        return len(self.starts_us)

    @property
    def end_us(self) -> int:
        """Where the newest ends."""
        return self.starts_us[-1] + SEGMENT_S * US_PER_SECOND

    @property
    def middle_us(self) -> int:
        """Within a segment from the middle, with no gap for a clip's length behind it."""
        at = self.count // 2
        length_us = (CLIP_S // SEGMENT_S + 1) * SEGMENT_S * US_PER_SECOND
        while self.starts_us[at + CLIP_S // SEGMENT_S + 1] - self.starts_us[at] != length_us:
            at += 1
        return self.starts_us[at] + SEGMENT_S * US_PER_SECOND // 2

    @contextlib.asynccontextmanager
    async def opened(
        self, source: Source | None = None, *, quota_bytes: int = _ROOMY_BYTES, segment_s: float = SEGMENT_S
    ) -> AsyncIterator[VideoStore]:
        """A store over it, not started yet; what it records is cut into segments of this length."""
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
    """A directory of so many segments, without an index; `path` must not be there yet. Raises FFmpegError."""
    path.mkdir()
    template = await record_template(path, binary)
    starts_us = start_times(count, newest_end_us, gaps=gaps, gap_s=gap_s)
    await asyncio.to_thread(write_segments, path, template, starts_us)
    return Directory(path, binary, template, starts_us)


async def record_template(directory: Path, binary: str) -> Template:
    """Record the segment by the module's own command, and remove it again. Raises FFmpegError."""
    epoch_us = 1_700_000_000 * US_PER_SECOND + _FRACTION_US
    # The frame behind the last begins the next segment: by it ffmpeg knows how long the last one is shown.
    packets = [black_packet(epoch_us + second * US_PER_SECOND) for second in range(SEGMENT_S + 1)]
    run = await Run.start(
        packets[0],
        binary=binary,
        encoder=Encoder("libx264", _BITRATE, "ultrafast", 1),
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
    path = (directory / open_name(epoch_us, 0)).rename(directory / closed_name(epoch_us))
    data, segment = path.read_bytes(), probe(path)
    path.unlink()
    (directory / open_name(epoch_us, 1)).unlink()
    return Template(data, segment, tuple(at + _PRFT_SECONDS for at in _boxes(data, b"prft")))


def start_times(count: int, newest_end_us: int, *, gaps: int, gap_s: int) -> list[int]:
    """When so many segments begin, the oldest first: they touch but for the gaps, which divide them evenly."""
    end_us = newest_end_us // US_PER_SECOND * US_PER_SECOND + _FRACTION_US
    starts = []
    for back in range(1, count + 1):
        passed = (back - 1) * (gaps + 1) // count  # gaps between this one and the end
        starts.append(end_us - (back * SEGMENT_S + passed * gap_s) * US_PER_SECOND)
    return starts[::-1]


def write_segments(directory: Path, template: Template, starts_us: Sequence[int]) -> None:
    """Write a closed segment for each of these times; the directory must be there. Blocking."""
    for start_us in starts_us:
        write_file(directory / closed_name(start_us), template.content(start_us))


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is not there yet. Blocking."""
    # A third of the time of `write_bytes`, which counts at 300,000 files.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


async def write_index(directory: Path, template: Template, starts_us: Sequence[int]) -> None:
    """Make an index that knows these segments, as a rebuild leaves it."""
    index = await Index.open(directory, logging.getLogger("bench"))
    try:
        for begin in range(0, len(starts_us), _INDEX_BATCH):
            await index.add([template.at(start_us) for start_us in starts_us[begin : begin + _INDEX_BATCH]])
    finally:
        await index.close()


def recorded_since(directory: Path, began_us: int) -> list[Path]:
    """Closed segments whose names tell a time from then on. Blocking."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(SUFFIX)]
    first = began_us // US_PER_SECOND
    return sorted(directory / name for name in names if int(name.removesuffix(SUFFIX)) >= first)


def black_packet(captured_us: int) -> Packet:
    """A picture that costs next to nothing to encode, and no library to draw."""
    return Packet(_FORMAT, _BLACK, captured_us)


def _boxes(data: bytes, wanted: bytes) -> Iterator[int]:
    """Where the top-level boxes of a kind begin."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == wanted:
            yield at
        at += size
