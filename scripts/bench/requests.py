"""Measures saves and fetches of 10 and 60 s out of 1,200 segments, beside bare ffmpeg that makes the same pieces.

A clip that begins on a keyframe is one cut: so bare ffmpeg makes one. Other clips have frames before their first
keyframe, which are re-encoded: bare ffmpeg does the same with them, and joins both. What it is given is prepared; its
start is measured.
"""

import asyncio
import base64
import functools
import io
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from viam.components.camera.client import CameraClient

from scripts.bench.pairs import in_turn, milliseconds, ratio_of
from scripts.bench.recording import FRAMES_PER_SECOND, NAME, count_shown
from scripts.bench.stored import SEGMENT_S, Stored, make_storage
from scripts.bench.table import Row
from scripts.fakes.viam_server import Parent
from videostore.base.constants import US_PER_SECOND
from videostore.base.time_format import format_utc_exact
from videostore.ffmpeg.process import check_version
from videostore.store.store import VideoStore

ROWS = ("save-10s", "save-60s", "fetch-10s", "fetch-60s")
SEGMENTS = 1200
TARGET_RATIO = 1.2
SETTLE_S = 5.0
"""After the start a store compares directory and index once. Measurements begin after that."""
CALL_TIMEOUT_S = 120.0
_KEYFRAME_S, _BETWEEN_S = 15.0, 15.3
"""From the start of the first real segment: on a keyframe, and between two, 14 frames before the next."""
_NEXT_KEYFRAME_S = 16.0
_HALF_FRAME_S = 0.5 / FRAMES_PER_SECOND
_COPY = ("-c", "copy", "-movflags", "+faststart")
_HEAD = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-g", "250", "-fps_mode", "passthrough")


@dataclass(frozen=True)
class _Clip:
    stored: Stored
    binary: str
    length_s: int
    on_keyframe: bool

    @property
    def skip_s(self) -> float:
        return _KEYFRAME_S if self.on_keyframe else _BETWEEN_S

    @property
    def from_us(self) -> int:
        # Between two frames, so that the number of frames is certain.
        return self.stored.start_us + round((self.skip_s - _HALF_FRAME_S) * US_PER_SECOND)

    @property
    def to_us(self) -> int:
        return self.from_us + self.length_s * US_PER_SECOND

    def check(self, clip: Path | bytes) -> None:
        """Blocking."""
        shown = count_shown(io.BytesIO(clip) if isinstance(clip, bytes) else clip)
        if shown != self.length_s * FRAMES_PER_SECOND:
            raise RuntimeError(f"a clip of {self.length_s} s shows {shown} frames")

    async def bare(self) -> float:
        """Make it with bare ffmpeg."""
        listing, head, clip = (self.stored.directory.parent / name for name in ("list.txt", "head.mp4", "bare.mp4"))
        files = [
            f"file '{self.stored.directory / one.file_name}'\nduration {SEGMENT_S}" for one in self.stored.segments
        ]
        concat, read = ("-f", "concat", "-safe", "0"), ("-t", f"{self.length_s - _HALF_FRAME_S:.6f}")
        begin_s = self.skip_s
        commands: list[tuple[str, ...]] = []
        if not self.on_keyframe:
            first = str(self.stored.directory / self.stored.segments[0].file_name)
            length_s = _NEXT_KEYFRAME_S - begin_s
            span = ("-ss", f"{begin_s - _HALF_FRAME_S:.6f}", "-t", f"{length_s:.6f}")
            # The concat demuxer takes the unit of time of the first file for those of all.
            commands.append((*span, "-i", first, *_HEAD, "-video_track_timescale", str(_timescale(first)), str(head)))
            files[0] = (
                f"{files[0].splitlines()[0]}\ninpoint {_NEXT_KEYFRAME_S}\nduration {SEGMENT_S - _NEXT_KEYFRAME_S}"
            )
            files.insert(0, f"file '{head}'\nduration {length_s:.6f}")
            commands.append((*concat, *read, "-i", str(listing), *_COPY, str(clip)))
        else:
            commands.append((*concat, "-ss", f"{begin_s:.6f}", *read, "-i", str(listing), *_COPY, str(clip)))
        listing.write_text("\n".join(["ffconcat version 1.0", *files, ""]), encoding="utf-8")
        began = time.monotonic()
        for command in commands:
            process = await asyncio.create_subprocess_exec(
                *(self.binary, "-hide_banner", "-nostats", "-loglevel", "error", "-y", *command),
                stdin=asyncio.subprocess.DEVNULL,
            )
            if await process.wait() != 0:
                raise RuntimeError("bare ffmpeg failed")
        elapsed_s = time.monotonic() - began
        await asyncio.to_thread(self.check, clip)
        clip.unlink()  # otherwise the next save would wait until it is on the disk
        return elapsed_s

    async def save(self, store: VideoStore) -> float:
        began = time.monotonic()
        saved = await store.save(self.from_us, self.to_us)
        elapsed_s = time.monotonic() - began
        await asyncio.to_thread(self.check, saved.path)
        saved.path.unlink()
        return elapsed_s

    async def fetch(self, store: VideoStore) -> float:
        began = time.monotonic()
        clip = await store.fetch(self.from_us, self.to_us)
        elapsed_s = time.monotonic() - began
        await asyncio.to_thread(self.check, clip.data)
        return elapsed_s

    async def fetch_remotely(self, client: CameraClient) -> float:
        """Over gRPC, until the bytes are there."""
        command = {"command": "fetch", "from": format_utc_exact(self.from_us), "to": format_utc_exact(self.to_us)}
        began = time.monotonic()
        answer = await client.do_command(command, timeout=CALL_TIMEOUT_S)
        data = base64.b64decode(str(answer["video"]))
        elapsed_s = time.monotonic() - began
        await asyncio.to_thread(self.check, data)
        return elapsed_s


@dataclass(frozen=True)
class _Measured:
    name: str
    ours: Sequence[float]
    bare: Sequence[float]
    remote: Sequence[float] = ()

    @property
    def row(self) -> Row:
        text = milliseconds(self.ours)
        if self.remote:
            transport_s = statistics.median(self.remote) - statistics.median(self.ours)
            text += f"; over gRPC {milliseconds(self.remote)}: transport {transport_s * 1000:.0f}"
        ratio = ratio_of(self.ours, self.bare)
        return Row(self.name, text, f"{milliseconds(self.bare)}; ≤ {TARGET_RATIO:g} x", ratio, ratio <= TARGET_RATIO)


@functools.cache
def _timescale(path: str) -> int:
    with av.open(path) as container:
        base = container.streams.video[0].time_base
        assert base is not None
        return int(base.denominator)


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Measure these rows of `ROWS`."""
    found = []
    for foreign in (False, True) if rows else ():
        with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
            kind = "Go module's" if foreign else "own"
            say(f"{', '.join(rows)}: making {SEGMENTS:,} segments, {kind}")
            stored = await make_storage(Path(directory, "storage"), binary, SEGMENTS, foreign=foreign)
            say(f"{', '.join(rows)}: VideoStore and bare ffmpeg, in turn")
            found += await _measure(rows, stored, binary, 5 if quick else 11, kind)
    return [one.row for one in sorted(found, key=lambda one: ROWS.index(one.name.partition(",")[0]))]


async def _measure(rows: Sequence[str], stored: Stored, binary: str, rounds: int, kind: str) -> list[_Measured]:
    clips = {
        f"{row}, {kind}, {'from a keyframe' if on_keyframe else 'between two'}": _Clip(
            stored, binary, int(row.partition("-")[2].rstrip("s")), on_keyframe
        )
        for row in rows
        for on_keyframe in (True, False)
    }
    found, remote = {}, {}
    await check_version(binary)  # as a store does that finds its ffmpeg itself
    async with VideoStore(NAME, stored.config, binary=binary) as store:
        await asyncio.sleep(SETTLE_S)
        for name, clip in clips.items():
            work: Callable[[VideoStore], Awaitable[float]] = clip.save if name.startswith("save") else clip.fetch
            found[name] = await in_turn(rounds, functools.partial(work, store), clip.bare)
    fetched = {name: clip for name, clip in clips.items() if name.startswith("fetch")}
    if fetched:
        async with Parent() as parent:
            await parent.start_module()
            await parent.add(NAME, stored.attributes)
            await asyncio.sleep(SETTLE_S)
            client = parent.camera(NAME)
            for name, clip in fetched.items():
                (remote[name],) = await in_turn(rounds, functools.partial(clip.fetch_remotely, client))
    return [_Measured(name, ours, bare, remote.get(name, ())) for name, (ours, bare) in found.items()]
