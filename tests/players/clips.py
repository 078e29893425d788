"""The clips that the players are shown: of every kind, made by the real store from painted frames.

Each frame carries its capture time in its pixels, so what a player shows can be compared with what was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.fakes.clip_check import read_clip
from tests.players import foreign_video as foreign
from tests.support.clapping import clapping
from tests.support.coding import coded_packets
from tests.support.feeding import wait_for_cover
from tests.support.go_index import go_index
from tests.support.recording import SIZE, START_US, US, capture_times, packet
from videostore import Gap, Packet, VideoStore
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.sound import SoundFormat, SoundPacket

LARGE = (640, 360)
"""The size after the size change."""
_SECOND_US = START_US // US * US
"""Where files begin whose names alone tell their time."""


@dataclass(frozen=True)
class Recording:
    """What is in a storage directory."""

    times: list[int]
    """Capture times of its frames."""
    keyframes: list[int]
    """Capture times of its keyframes, where they can be read."""


Choose = Callable[[Recording], tuple[int, int]]


@dataclass(frozen=True)
class Kind:
    """A kind of clip: what is recorded, which range is asked for, and how."""

    name: str
    recording: str
    choose: Choose
    way: str = "fetch"
    steady: bool = True
    """Whether nothing is missing in the range, so that positions in the clip are capture times."""
    containers: tuple[str, ...] = ("mp4", "fmp4")

    @property
    def b_frames(self) -> bool:
        return self.recording.endswith("b-frames-stream")

    @property
    def h265(self) -> bool:
        return "H.265" in self.name


@dataclass(frozen=True)
class Clip:
    """A clip, and what a player has to show of it. Times are in microseconds since 1970."""

    name: str
    path: Path
    from_us: int
    to_us: int
    times: tuple[int, ...]
    """The frames of the range, in order."""
    middle_s: float
    """A position in the middle of the time for which the frame in the middle is shown."""
    middle_us: int
    duration_s: tuple[float, float] | None
    """How long it has to last, at least and at most; None where a gap is left out."""
    h265: bool
    container: str
    b_frames: bool = False
    """Whether frames around the middle are decoded in another order than they are shown in."""
    control: bool = False
    """Made by ffmpeg alone, to see what a player makes of any file."""


def _frames(first: int, last: int) -> Choose:
    """From just after frame `first` to just after frame `last`."""
    return lambda recording: (recording.times[first] + 7_000, recording.times[last] + 7_000)


def _exactly(first: int, last: int) -> Choose:
    """From frame `first` until just before frame `last`."""
    return lambda recording: (recording.times[first], recording.times[last])


def _on_keyframe(recording: Recording) -> tuple[int, int]:
    return recording.keyframes[2], recording.keyframes[2] + 1_600_000


def _part_of_a_second(recording: Recording) -> tuple[int, int]:
    return recording.times[25] - 20_000, recording.times[25] + 80_000


def _one_frame(recording: Recording) -> tuple[int, int]:
    return recording.times[16], recording.times[16] + 1


def _around(left_us: int, right_us: int) -> Choose:
    """Around a gap in the recording, by the distances of both ends from its start."""
    return lambda recording: (recording.times[0] + left_us, recording.times[0] + right_us)


KINDS = [
    Kind("inside a segment", "jpeg", _frames(25, 37)),
    Kind("from a keyframe", "jpeg", _on_keyframe),
    Kind("across segments", "jpeg", _frames(13, 45)),
    Kind("one frame", "jpeg", _one_frame),
    Kind("0.1 s", "jpeg", _part_of_a_second),
    Kind("near the end", "jpeg", lambda recording: (recording.times[-8] - 1, recording.times[-1] + US)),
    Kind("saved", "jpeg", _frames(5, 18), way="save", containers=("mp4",)),
    Kind("streamed", "jpeg", _frames(5, 18), way="stream", containers=("fmp4",)),
    Kind("over a gap", "broken", _around(1_550_000, 11_450_000), steady=False),
    Kind("over a restart", "broken", _around(11_550_000, 16_450_000), steady=False),
    Kind("over a size change", "broken", _around(16_550_000, 19_450_000)),
    Kind("open segment", "open", _frames(12, 28)),
    Kind("camera, main, 4 s GOP", "main", _frames(16, 58)),
    Kind("camera, baseline, 4 s GOP", "baseline", _frames(16, 58)),
    Kind("camera, inside one GOP", "main", _frames(16, 30)),
    Kind("camera with sound", "sound", _frames(16, 58)),
    Kind("Go module", "go", _frames(7, 32)),
    Kind("Go module, from a keyframe", "go", lambda recording: (recording.times[20], recording.times[35] + 1)),
    Kind("B frames, open GOP", "b-frames", _frames(7, 31)),
    Kind("B frames, from a keyframe", "b-frames", _exactly(20, 33)),
    Kind("B frames, inside one GOP", "b-frames", _exactly(23, 30)),
    Kind("B frames, recorded", "b-frames-stream", _frames(17, 52)),
    Kind("H.265", "h265", _frames(13, 32)),
    Kind("H.265, one frame", "h265", _one_frame),
    Kind("H.265, camera, 4 s GOP", "h265-camera", _frames(16, 58)),
    Kind("H.265, B frames, open GOP", "h265-b-frames", _frames(7, 31)),
    Kind("H.265, B frames, from a keyframe", "h265-b-frames", _exactly(20, 33)),
    Kind("H.265, B frames, recorded", "h265-b-frames-stream", _frames(17, 52)),
]


def control_name(h265: bool, container: str, b_frames: bool = False) -> str:
    """The file that libav alone makes in this codec and container."""
    return f"control {'H.265' if h265 else 'H.264'}{' with B frames' if b_frames else ''}, {container}"


def clip_names() -> list[str]:
    """All clips, without the controls."""
    return [f"{kind.name}, {container}" for kind in KINDS for container in kind.containers]


def make_clips(directory: Path) -> list[Clip]:
    """Record, and make all clips and controls. Blocking; takes some seconds."""
    return [*_controls(directory / "clips"), *asyncio.run(_make(directory))]


async def _make(directory: Path) -> list[Clip]:
    clips = []
    for name, recorded in _RECORDINGS.items():
        async with recorded(directory / name) as (store, recording):
            for kind in KINDS:
                if kind.recording == name:
                    clips += [
                        await _cut(store, kind, container, recording, directory / "clips")
                        for container in kind.containers
                    ]
    by_name = {clip.name: clip for clip in clips}
    return [by_name[name] for name in clip_names()]


async def _cut(store: VideoStore, kind: Kind, container: str, recording: Recording, directory: Path) -> Clip:
    from_us, to_us = kind.choose(recording)
    name = f"{kind.name}, {container}"
    path = directory / (name.replace(", ", "_").replace(" ", "-") + ".mp4")
    if kind.way == "save":
        saved = await store.save(from_us, to_us)
        data = saved.path.read_bytes()
    elif kind.way == "stream":
        data = b"".join([block async for block in store.stream(from_us, to_us)])
    else:
        data = (await store.fetch(from_us, to_us, container=container)).data
    path.write_bytes(data)
    return _clip(name, path, (from_us, to_us), recording.times, kind.steady, kind.h265, kind.b_frames)


def _clip(
    name: str,
    path: Path,
    asked: tuple[int, int],
    recorded: Sequence[int],
    steady: bool,
    h265: bool,
    b_frames: bool = False,
    control: bool = False,
    middle: int | None = None,
) -> Clip:
    times = tuple(time_us for time_us in recorded if asked[0] <= time_us < asked[1])
    # The last frame lasts until the next one or until `to`; the first one begins at its time or at `from`.
    ends = [time_us for time_us in recorded if time_us >= asked[1]]
    steady_end = ends[0] if steady and ends else None
    duration_s = None
    if steady_end is not None:
        duration_s = (min(asked[1], steady_end) - times[0]) / US, (steady_end - min(asked[0], times[0])) / US
    middle_us = times[len(times) // 2 if middle is None else middle]
    positions = {frame.captured_us: at for at, frame in read_clip(path, (SIZE, LARGE)) if frame}
    begin_s = positions.get(middle_us, (middle_us - times[0]) / US)
    following = [at for at in positions.values() if at > begin_s]
    middle_s = (begin_s + min(following)) / 2 if following else begin_s + 0.01
    container = name.rsplit(", ", 1)[1]
    return Clip(name, path, *asked, times, middle_s, middle_us, duration_s, h265, container, b_frames, control)


def _controls(directory: Path) -> list[Clip]:
    directory.mkdir(parents=True)
    times = capture_times(2.5)
    clips = []
    for codec, encoder in (("H.264", "libx264"), ("H.265", "libx265")):
        for container, movflags in (("mp4", "0"), ("fmp4", "frag_keyframe+empty_moov+default_base_moof")):
            for b_frames in (0, 2):
                h265 = codec == "H.265"
                name = control_name(h265, container, b_frames > 0)
                path = directory / f"{name.replace(', ', '_').replace(' ', '-')}.mp4"
                foreign.write_control(path, times[:-1], encoder, movflags, b_frames)
                # A keyframe behind a B frame is decoded before that is shown.
                middle = 9 if b_frames else None
                asked = times[0], times[-1]
                clips.append(_clip(name, path, asked, times, True, h265, b_frames > 0, control=True, middle=middle))
    return clips


Opened = AsyncIterator[tuple[VideoStore, Recording]]
Recorded = Callable[[Path], contextlib.AbstractAsyncContextManager[tuple[VideoStore, Recording]]]


async def _packets(items: Sequence[Packet | Gap]) -> AsyncIterator[Packet | Gap]:
    for item in items:
        yield item


async def _record(directory: Path, items: Sequence[Packet | Gap], *, codec: str | None = None) -> None:
    source = _packets(items)
    async with VideoStore.record(directory, source, size_gb=1, segment_seconds=2, codec=codec, live=False) as store:
        await asyncio.wait_for(store.ended(), 120)


@contextlib.asynccontextmanager
async def _opened(directory: Path, times: Sequence[int]) -> Opened:
    keyframes: list[int] = []
    for path in sorted(directory.glob("*.mp4")):
        with contextlib.suppress(ValueError):
            keyframes += read_fragments(path).keyframes_us
    async with VideoStore.open(directory) as store:
        yield store, Recording(list(times), keyframes)


@contextlib.asynccontextmanager
async def _jpeg(directory: Path) -> Opened:
    times = capture_times(7)
    await _record(directory, [packet(time_us) for time_us in times])
    async with _opened(directory, times) as opened:
        yield opened


@contextlib.asynccontextmanager
async def _broken(directory: Path) -> Opened:
    """A gap from 3 to 10 s, a restart from 13 to 15 s, and another size from 18 s on."""
    before, after, restarted, large = (
        capture_times(seconds, START_US + at * US, seed=at) for at, seconds in ((0, 3), (10, 3), (15, 3), (18, 2))
    )
    await _record(directory, [*map(packet, before), Gap("the camera was away"), *map(packet, after)])
    await _record(directory, [*map(packet, restarted), *(packet(time_us, LARGE) for time_us in large)])
    async with _opened(directory, [*before, *after, *restarted, *large]) as opened:
        yield opened


@contextlib.asynccontextmanager
async def _open(directory: Path) -> Opened:
    times = capture_times(6)
    over = asyncio.Event()

    async def packets() -> AsyncIterator[Packet | Gap]:
        for time_us in times:
            yield packet(time_us)
        await over.wait()

    async with VideoStore.record(directory, packets(), size_gb=1, live=False) as store:
        await asyncio.wait_for(wait_for_cover(store, times[30]), 60)
        yield store, Recording(times, [])
        over.set()


def _camera(coding: dict[str, str]) -> Recorded:
    @contextlib.asynccontextmanager
    async def recorded(directory: Path) -> Opened:
        times = foreign.steady_times(START_US, 9)
        packets = await asyncio.to_thread(foreign.stream_packets, times, coding, find_ffmpeg())
        await _record(directory, packets, codec="copy")
        async with _opened(directory, times) as opened:
            yield opened

    return recorded


@contextlib.asynccontextmanager
async def _sound(directory: Path) -> Opened:
    times = foreign.steady_times(START_US, 9)
    packets = await asyncio.to_thread(foreign.stream_packets, times, foreign.H264_MAIN, find_ffmpeg())
    heard = await asyncio.to_thread(clapping, 9, rate=48000)
    sounds = [one for sent in heard.packets for one in sent.sound]
    await _record(directory, _with_sound(packets, heard.packets[0].format.sound, sounds), codec="copy")
    async with _opened(directory, times) as opened:
        yield opened


def _with_sound(
    packets: Sequence[Packet], format: SoundFormat | None, sounds: Sequence[SoundPacket]
) -> Sequence[Packet]:
    """The same video with sound beside it."""
    sent, before_us = [], 0
    for one in packets:
        now = tuple(sound for sound in sounds if before_us < sound.captured_us <= one.captured_us)
        before_us = one.captured_us
        sent.append(replace(one, format=replace(one.format, sound=format), sound=now))
    return sent


def _stream(codec: str) -> Recorded:
    """A stream with B frames, as it comes."""

    @contextlib.asynccontextmanager
    async def recorded(directory: Path) -> Opened:
        times = capture_times(7)
        packets = await asyncio.to_thread(coded_packets, times, codec, gop=12, b_frames=2, size=SIZE)
        await _record(directory, packets, codec="copy")
        async with _opened(directory, times) as opened:
            yield opened

    return recorded


@contextlib.asynccontextmanager
async def _h265(directory: Path) -> Opened:
    times = capture_times(4)
    await _record(directory, [packet(time_us) for time_us in times], codec="h265")
    async with _opened(directory, times) as opened:
        yield opened


@contextlib.asynccontextmanager
async def _go(directory: Path) -> Opened:
    """Three files of 2 s with the index of the Go module."""
    times = foreign.steady_times(_SECOND_US, 6)
    rows = []
    for part in range(3):
        start_us = _SECOND_US + 2 * US * part
        path = directory / f"{start_us // US}.mp4"
        some = times[20 * part : 20 * part + 20]
        await asyncio.to_thread(foreign.write_file, path, some, foreign.H264_PLAIN, find_ffmpeg())
        rows.append((path.name, start_us // US, 2000, path.stat().st_size))
    go_index(directory, *rows)
    async with _opened(directory, times) as opened:
        yield opened


def _file(coding: dict[str, str]) -> Recorded:
    @contextlib.asynccontextmanager
    async def recorded(directory: Path) -> Opened:
        times = foreign.steady_times(_SECOND_US, 6)
        path = directory / f"{_SECOND_US // US}.mp4"
        await asyncio.to_thread(foreign.write_file, path, times, coding, find_ffmpeg())
        async with _opened(directory, times) as opened:
            yield opened

    return recorded


_RECORDINGS: dict[str, Recorded] = {
    "jpeg": _jpeg,
    "broken": _broken,
    "open": _open,
    "main": _camera(foreign.H264_MAIN),
    "baseline": _camera(foreign.H264_BASELINE),
    "sound": _sound,
    "go": _go,
    "b-frames": _file(foreign.H264_B_FRAMES),
    "b-frames-stream": _stream("h264"),
    "h265": _h265,
    "h265-camera": _camera(foreign.H265_LONG),
    "h265-b-frames": _file(foreign.H265_B_FRAMES),
    "h265-b-frames-stream": _stream("hevc"),
}
