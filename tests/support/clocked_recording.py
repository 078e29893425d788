"""A store that records under a clock that a test steps, and checks of everything that was recorded."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.fakes.painted_camera import PaintedFrame, check_clip, read_clip
from tests.support.recording import SMALL, US, Feed, FixedClock, Stores, capture_times, picture, until
from videostore.base.constants import RANGE_SLOP_US
from videostore.base.ranges import Range, merge_ranges
from videostore.media.fmp4 import read_fragments
from videostore.media.images import read_picture
from videostore.media.packet import Gap, Packet
from videostore.store.store import VideoStore

HOUR_S = 3600.0
AT_ONCE = 10
"""Images that a test sends before it waits for ffmpeg. The backlog drops none of so few."""
_LAST_FRAME_US = US
"""The length of a run's last frame is a guess, but never more than this."""


@dataclass
class ClockedRecording:
    """A store that records under a clock that a test steps. It remembers the capture times of every run."""

    stores: Stores
    store: VideoStore
    clock: FixedClock
    feed: Feed
    runs: list[list[int]] = field(default_factory=list)
    captured: dict[int, int] = field(default_factory=dict)
    """Capture times by the painted times: the paint cannot show times of 1970."""
    closed: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Inode and digest of every closed segment that was seen so far, by name."""

    async def record(self, seconds: float, *, painted_later_s: float = 0) -> list[int]:
        """Record a run from now on, while time passes. Returns its capture times."""
        self.clock.advance(0.1)
        times = capture_times(seconds, self.clock.wall, seed=len(self.runs))
        for first in range(0, len(times), AT_ONCE):
            some = times[first : first + AT_ONCE]
            self.clock.advance((some[-1] - self.clock.wall) / US)
            for time_us in some:
                painted_us = time_us + round(painted_later_s * US)
                self.captured[painted_us] = time_us
                format, data = read_picture(picture(painted_us, SMALL))
                self.feed.put(Packet(format, data, time_us))
            await until(lambda last_us=some[-1]: self.store._run and self.store._run.last_us == last_us)  # type: ignore[misc]
        self.runs.append(times)
        return times

    def step(self, seconds: float) -> None:
        """Set the wall clock by so much; the monotonic clock stays."""
        self.clock.wall += round(seconds * US)

    async def pause(self) -> None:
        """Pause the recording, so that all segments are closed, and check that earlier ones are unchanged."""
        await self.pause_unchecked()
        self.check_unchanged()

    async def pause_unchecked(self) -> None:
        """Pause the recording where the test itself has changed files."""
        self.feed.put(Gap("the test pauses it"))
        await until(lambda: self.store._run is None)

    def check_unchanged(self) -> None:
        """Check that every segment that was closed before is the same file with the same bytes."""
        now = {
            path.name: (path.stat().st_ino, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in self.stores.storage.glob("*.mp4")
        }
        assert {name: now.get(name) for name in self.closed} == self.closed
        self.closed = now

    def expected(self, from_us: int, to_us: int) -> list[list[int]]:
        """The frames that a clip must show, one list for each run."""
        runs = [[t for t in run if from_us <= t < to_us] for run in self.runs]
        return [run for run in runs if run]

    def frames_of(self, clip: bytes) -> list[tuple[float, PaintedFrame | None]]:
        """The frames that a clip shows, with capture times instead of painted times."""
        return [
            (second, PaintedFrame(self.captured.get(frame.captured_us, frame.captured_us), 0) if frame else None)
            for second, frame in read_clip(clip)
        ]

    async def check(self, store: VideoStore, from_us: int, to_us: int) -> None:
        """Check that a clip shows every frame of the range, run after run, each run in order and true to time."""
        clip = await store.fetch(from_us, to_us)
        shown = self.frames_of(clip.data)
        times = [frame.captured_us if frame else 0 for _, frame in shown]
        runs = self.expected(from_us, to_us)
        orders = [list(itertools.chain(*order)) for order in itertools.permutations(runs)]
        due = set(itertools.chain(*runs))
        assert times in orders, (
            f"{len(due - set(times))} frames are missing, {len(times) - len(set(times))} appear twice, "
            f"{len(set(times) - due)} do not belong there; the order of the runs is {_run_order(times, runs)}"
        )
        if len(runs) == 1:
            found = check_clip(shown, runs[0], from_us, to_us)
            assert found.flawless and found.drift_ms < 1, found

    async def check_all(self, store: VideoStore) -> None:
        """Check each run, parts at its start, middle and end, and all runs in one clip."""
        for run in self.runs:
            middle = len(run) // 2
            for first, last in ((0, -1), (0, 5), (middle - 4, middle + 5), (-6, -1)):
                await self.check(store, run[first], run[last] + 1)
        first_us, last_us = min(map(min, self.runs)), max(map(max, self.runs))
        if last_us - first_us < 60 * US:
            await self.check(store, first_us - US, last_us + US)

    async def check_state(self, store: VideoStore) -> None:
        """Check that the ranges of the storage state are what was recorded."""
        expected = merge_ranges([Range(run[0], run[-1]) for run in self.runs], RANGE_SLOP_US)
        stored = (await store.state()).ranges
        assert [one.from_us for one in stored] == [one.from_us for one in expected]
        for one, other in zip(stored, expected, strict=True):
            assert other.to_us < one.to_us <= other.to_us + _LAST_FRAME_US

    def oldest_first(self) -> list[Path]:
        """All closed segments, sorted by the times in the files themselves."""
        return sorted(self.stores.storage.glob("*.mp4"), key=lambda path: read_fragments(path).start_us)


StartClocked = Callable[..., Awaitable[ClockedRecording]]
"""Starts a recording at a wall time in microseconds, by default `START_US`."""


def _run_order(times: Sequence[int], runs: Sequence[Sequence[int]]) -> list[int]:
    numbers = [next((n for n, run in enumerate(runs) if t in run), -1) for t in times]
    return [number for number, _ in itertools.groupby(numbers)]
