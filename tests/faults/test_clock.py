"""Clocks that step, start in 1970, change for daylight saving, and cameras whose own clock leaps: no frame is lost."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from viam.media.video import CameraMimeType, NamedImage
from viam.proto.common import ResponseMetadata

from scripts.fakes.painted_camera import PaintedFrame, check_clip, read_clip
from tests.support.recording import (
    LOGGER,
    SMALL,
    START_US,
    US,
    Feed,
    FixedClock,
    Stores,
    capture_times,
    picture,
    record,
    take_over,
    until,
)
from tests.support.scripted_camera import Answer, ScriptedCamera
from videostore.base.constants import RANGE_SLOP_US
from videostore.base.ranges import Range, merge_ranges
from videostore.media.fmp4 import read_fragments
from videostore.media.images import read_picture
from videostore.media.packet import Gap, Packet
from videostore.storage.open_segments import COVER_TIMEOUT_S
from videostore.store.store import VideoStore
from videostore.viam.commands import execute
from videostore.viam.poller import CAPTURED_AT_DISTRUST_S, FramePoller

NEW_YORK = "EST5EDT,M3.2.0,M11.1.0"
"""As POSIX writes it, so that no time zone database is needed."""
HOUR_S = 3600.0
_AT_ONCE = 10
"""Pictures that a test puts down before it waits for ffmpeg; the backlog drops none of so few."""
_LAST_FRAME_US = US
"""How long the last frame of a run lasts is guessed, but never so long."""


@dataclass
class Life:
    """A store that records, under a clock that a test steps. All that was recorded is remembered, by runs."""

    stores: Stores
    store: VideoStore
    clock: FixedClock
    feed: Feed
    runs: list[list[int]] = field(default_factory=list)
    captured: dict[int, int] = field(default_factory=dict)
    """Capture times by the times that are painted: the paint cannot tell those of 1970."""
    sealed: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Inode and digest of every closed segment that was seen so far."""

    async def record(self, seconds: float, *, painted_later_s: float = 0) -> list[int]:
        """Record a run from now on, while time passes."""
        self.clock.advance(0.1)
        times = capture_times(seconds, self.clock.wall, seed=len(self.runs))
        for begin in range(0, len(times), _AT_ONCE):
            some = times[begin : begin + _AT_ONCE]
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
        """Set the wall clock; the time that has passed is another matter."""
        self.clock.wall += round(seconds * US)

    async def pause(self) -> None:
        """Let the recording pause, so that all of it is closed and in the index."""
        await self.pause_unsealed()
        self.seal()

    async def pause_unsealed(self) -> None:
        """The same, where somebody else has been at the files."""
        self.feed.put(Gap("the test wants it so"))
        await until(lambda: self.store._run is None)

    def seal(self) -> None:
        """Every segment that was closed before is as it was."""
        now = {
            path.name: (path.stat().st_ino, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in self.stores.storage.glob("*.mp4")
        }
        assert {name: now.get(name) for name in self.sealed} == self.sealed
        self.sealed = now

    def expected(self, from_us: int, to_us: int) -> list[list[int]]:
        """What a clip has to show, by runs."""
        runs = [[t for t in run if from_us <= t < to_us] for run in self.runs]
        return [run for run in runs if run]

    def shown(self, data: bytes) -> list[tuple[float, PaintedFrame | None]]:
        """What a clip shows, with the times of capture in the place of those that are painted."""
        return [
            (second, PaintedFrame(self.captured.get(frame.captured_us, frame.captured_us), 0) if frame else None)
            for second, frame in read_clip(data)
        ]

    async def check(self, store: VideoStore, from_us: int, to_us: int) -> None:
        """A clip shows every frame of the range, one run after the other, each in its order and true to time."""
        clip = await store.fetch(from_us, to_us)
        shown = self.shown(clip.data)
        times = [frame.captured_us if frame else 0 for _, frame in shown]
        runs = self.expected(from_us, to_us)
        orders = [list(itertools.chain(*order)) for order in itertools.permutations(runs)]
        due = set(itertools.chain(*runs))
        assert times in orders, (
            f"{len(due - set(times))} frames are missing, {len(times) - len(set(times))} doubled, "
            f"{len(set(times) - due)} foreign; the runs come in the order {_changes(times, runs)}"
        )
        if len(runs) == 1:
            found = check_clip(shown, runs[0], from_us, to_us)
            assert found.flawless and found.drift_ms < 1, found

    async def check_all(self, store: VideoStore) -> None:
        """Every run alone, and stretches at its ends and in its middle; all runs in one clip."""
        for run in self.runs:
            middle = len(run) // 2
            for first, last in ((0, -1), (0, 5), (middle - 4, middle + 5), (-6, -1)):
                await self.check(store, run[first], run[last] + 1)
        first_us, last_us = min(map(min, self.runs)), max(map(max, self.runs))
        if last_us - first_us < 60 * US:
            await self.check(store, first_us - US, last_us + US)

    async def check_state(self, store: VideoStore) -> None:
        """The ranges are what was recorded."""
        expected = merge_ranges([Range(run[0], run[-1]) for run in self.runs], RANGE_SLOP_US)
        stored = (await store.state()).ranges
        assert [one.from_us for one in stored] == [one.from_us for one in expected]
        for one, other in zip(stored, expected, strict=True):
            assert other.to_us < one.to_us <= other.to_us + _LAST_FRAME_US

    def by_age(self) -> list[Path]:
        """All closed segments, the oldest first, as the files themselves tell it."""
        return sorted(self.stores.storage.glob("*.mp4"), key=lambda path: read_fragments(path).start_us)


def _changes(times: Sequence[int], runs: Sequence[Sequence[int]]) -> list[int]:
    numbers = [next((n for n, run in enumerate(runs) if t in run), -1) for t in times]
    return [number for number, _ in itertools.groupby(numbers)]


Begin = Callable[..., Awaitable[Life]]


@pytest.fixture
async def begin(stores: Stores) -> Begin:
    """Begins to record at a moment."""

    async def begin_at(wall_us: int = START_US) -> Life:
        clock, feed = FixedClock(wall=wall_us), Feed()
        return Life(stores, await stores.open(feed, clock=clock), clock, feed)

    return begin_at


STEPS_S = {
    "an hour ahead": HOUR_S,
    "an hour back": -HOUR_S,
    "back by the blink of an eye": -0.15,
    "back by a second": -1.0,
    "back to just before a border of segments": -2.05,
    "back into the middle": -3.3,
    "back to the second of the beginning": -5.9,
    "back to before the beginning": -7.7,
}
stepped = pytest.mark.parametrize("step_s", STEPS_S.values(), ids=STEPS_S)


async def live_through(life: Life, step_s: float) -> None:
    """Six seconds, a step of the clock without a pause, six more seconds; and then two hours pass."""
    await life.record(6)
    life.step(step_s)
    await life.record(6)
    await life.pause()
    life.clock.advance(2 * HOUR_S)


@stepped
async def test_every_frame_of_both_sides_of_a_step_can_be_fetched(begin: Begin, step_s: float) -> None:
    life = await begin()
    await live_through(life, step_s)
    await life.check_all(life.store)
    await life.check_state(life.store)
    life.seal()
    recorder = life.store.health().recorder
    assert recorder is not None and (recorder.dropped_frames, recorder.ffmpeg_restarts) == (0, 0)


@stepped
async def test_a_restart_after_a_step_sees_the_same_with_and_without_the_index(begin: Begin, step_s: float) -> None:
    life = await begin()
    await live_through(life, step_s)
    state = await life.store.state()
    await life.stores.close()
    for lost in (False, True):
        if lost:
            for path in life.stores.storage.glob("index.sqlite.db*"):
                path.unlink()
        again = await life.stores.open(clock=life.clock)
        await until(lambda again=again: again.health().segments == len(life.sealed))  # type: ignore[misc]
        assert (await again.state()).ranges == state.ranges
        await life.check_state(again)
        for run in life.runs:
            await life.check(again, run[3], run[-3])
        await life.stores.close()
        life.seal()


@stepped
async def test_after_a_step_the_quota_takes_the_oldest_by_time(begin: Begin, step_s: float) -> None:
    life = await begin()
    await live_through(life, step_s)
    await life.stores.close()
    by_age = life.by_age()
    kept = by_age[len(by_age) // 2 :]
    quota_bytes = sum(path.stat().st_size for path in kept)
    life.sealed = {path.name: life.sealed[path.name] for path in kept}
    store = await life.stores.open(clock=life.clock, size_gb=(quota_bytes + 0.5) / 2**30)
    await until(lambda: store.health().segments == len(kept))
    assert life.by_age() == kept
    life.seal()
    left = {t for path in kept for t in read_fragments(path).times_us}
    life.runs = [[t for t in run if t in left] for run in life.runs]
    life.runs = [run for run in life.runs if run]
    for run in life.runs:
        await life.check(store, run[0], run[-1] + 1)


async def test_what_was_recorded_before_the_clock_was_set_back_can_be_fetched_at_once(begin: Begin) -> None:
    """By the clock it lies in the future; it is stored all the same, and the state says so."""
    life = await begin()
    before = await life.record(4)
    life.step(-HOUR_S)
    after = await life.record(4)
    await life.pause()
    await life.check(life.store, after[3], after[-3])
    await life.check_state(life.store)
    await life.check(life.store, before[3], before[-3])
    clip = await life.store.save(before[3], before[-3], metadata="before")
    assert [frame.captured_us for _, frame in read_clip(clip.path) if frame] == before[3:-3]


async def test_a_clock_that_is_set_back_twice_over_the_same_stretch_leaves_three_recordings_of_it(begin: Begin) -> None:
    life = await begin()
    await life.record(5)
    for _ in range(2):
        life.step(-4.3)
        await life.record(5)
    await life.pause()
    life.clock.advance(HOUR_S)
    await life.check_all(life.store)
    await life.check_state(life.store)
    assert len({read_fragments(path).comment for path in life.by_age()}) == 3


async def test_the_clock_may_be_set_to_and_fro_while_the_recording_goes_on(begin: Begin) -> None:
    life = await begin()
    for step_s in (0, HOUR_S, -HOUR_S, 0.3, -0.3, -86_400, 86_400):
        life.step(step_s)
        await life.record(1.5)
    await life.pause()
    life.clock.advance(2 * HOUR_S)
    for run in life.runs:
        await life.check(life.store, run[0], run[-1] + 1)
    await life.check_state(life.store)


async def test_a_machine_that_starts_in_1970_and_gets_the_right_time_later_keeps_both(begin: Begin) -> None:
    """As one without a real-time clock does, before it has a network."""
    life = await begin(60 * US)
    years_s = (START_US - 60 * US) / US
    first = await life.record(5, painted_later_s=years_s - 86_400)
    await life.check(life.store, first[2], first[-25])
    life.step(years_s)
    second = await life.record(5)
    await life.pause()
    life.clock.advance(HOUR_S)
    await life.check_all(life.store)
    await life.check_state(life.store)
    names = sorted(int(name.removesuffix(".mp4")) for name in life.sealed)
    assert names[:3] == [60, 62, 64] and names[3] == second[0] // US
    request = {"command": "fetch", "from": "1970-01-01_00-00-00Z", "to": "1970-01-01_00-02-00Z"}
    answer = await execute(life.store, request)
    assert [f.captured_us for _, f in life.shown(base64.b64decode(answer["video"])) if f] == first
    await life.stores.close()
    size_gb = sum(path.stat().st_size for path in life.by_age()[3:]) / 2**30
    store = await life.stores.open(clock=life.clock, size_gb=size_gb + 1e-9)
    await until(lambda: len(life.by_age()) == 3 and store.health().segments == 3)
    await life.check(store, second[0], second[-1] + 1)


async def test_a_machine_that_has_recorded_starts_in_1970_again_and_what_it_has_can_be_fetched(begin: Begin) -> None:
    life = await begin()
    before = await life.record(4)
    await life.stores.close()
    life.seal()
    life.clock.wall = 30 * US
    life.store = await life.stores.open(life.feed, clock=life.clock)
    first = await life.record(4, painted_later_s=(START_US - 86_400 * US) / US)
    await life.pause()
    await life.check(life.store, first[0], first[-1])
    await life.check_state(life.store)
    await life.check(life.store, before[0], before[-1])


async def test_an_asynchronous_save_up_to_now_is_kept_when_the_clock_is_set_back_at_once(begin: Begin) -> None:
    """The recording does not reach its end for an hour; after a minute the clip is made of what there is."""
    life = await begin()
    before = await life.record(4)
    clip = await life.store.save(before[5], life.clock.wall, metadata="motion", wait=False)
    life.step(-HOUR_S)
    await life.record(2)
    life.clock.advance(COVER_TIMEOUT_S)
    await until(lambda: life.store.health().pending_saves == 0)
    assert (await life.store.save_status(clip.file_name)).reason == ""
    assert [frame.captured_us for _, frame in read_clip(clip.path) if frame] == before[5:-1]


async def test_an_asynchronous_save_up_to_now_does_not_wait_when_the_clock_is_set_ahead(begin: Begin) -> None:
    life = await begin()
    before = await life.record(4)
    clip = await life.store.save(before[5], life.clock.wall, wait=False)
    life.step(HOUR_S)
    await life.record(1)
    await until(lambda: life.store.health().pending_saves == 0)
    assert [frame.captured_us for _, frame in read_clip(clip.path) if frame] == before[5:-1]


async def test_the_age_of_the_last_frame_is_never_negative(begin: Begin) -> None:
    """No picture comes any more, and the clock is set back."""
    life = await begin()
    await life.record(2)
    life.step(-HOUR_S)
    life.clock.advance(3)
    recorder = life.store.health().recorder
    assert recorder is not None and recorder.last_frame_age_s is not None
    assert 0 <= recorder.last_frame_age_s < 10


# Daylight saving


@pytest.fixture
async def in_new_york(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The machine stands in New York."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", NEW_YORK)
        time.tzset()
        yield
    time.tzset()


def moment(text: str) -> int:
    """A moment UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * US


async def recorded_at(stores: Stores, *moments: str, seconds: float = 6) -> tuple[VideoStore, list[list[int]]]:
    """A store that holds a run from 1.5 s before each of these moments on; it is asked a day later."""
    runs = [capture_times(seconds, moment(text) - 1_500_000 + n, seed=n, fps=8) for n, text in enumerate(moments)]
    for run in runs:
        await record(stores.storage, run, size=SMALL)
    count = len(await take_over(stores.storage))
    store = await stores.open(clock=FixedClock(wall=runs[-1][-1] + 86_400 * US))
    await until(lambda: store.health().segments == count)
    return store, runs


async def fetched(store: VideoStore, from_text: str, to_text: str) -> list[int]:
    """Capture times that the clip of a request shows."""
    answer = await execute(store, {"command": "fetch", "from": from_text, "to": to_text})
    return [frame.captured_us if frame else 0 for _, frame in read_clip(base64.b64decode(answer["video"]))]


def inside(run: Sequence[int], from_us: int, to_us: int) -> list[int]:
    return [t for t in run if from_us <= t < to_us]


async def test_a_local_time_that_occurs_twice_gets_the_first_and_utc_gets_either(
    in_new_york: None, stores: Stores
) -> None:
    store, (first, second) = await recorded_at(stores, "2024-11-03T05:30:00", "2024-11-03T06:30:00")
    ends = [(moment(text), moment(text) + 3 * US) for text in ("2024-11-03T05:30:00", "2024-11-03T06:30:00")]
    assert await fetched(store, "2024-11-03_01-30-00", "2024-11-03_01-30-03") == inside(first, *ends[0])
    assert await fetched(store, "2024-11-03_05-30-00Z", "2024-11-03_05-30-03Z") == inside(first, *ends[0])
    assert await fetched(store, "2024-11-03_06-30-00Z", "2024-11-03_06-30-03Z") == inside(second, *ends[1])
    assert await fetched(store, "2024-11-03_01-29-00", "2024-11-03_06-30-03Z") == first + inside(second, 0, ends[1][1])
    state = await execute(store, {"command": "get-storage-state"})
    assert [stored["from"] for stored in state["stored_video"]] == ["2024-11-03_05-29-58Z", "2024-11-03_06-29-58Z"]


async def test_a_local_range_over_the_end_of_daylight_saving_holds_both_occurrences(
    in_new_york: None, stores: Stores
) -> None:
    store, (first, second) = await recorded_at(stores, "2024-11-03T05:30:00", "2024-11-03T06:30:00")
    assert await fetched(store, "2024-11-03_01-00-00", "2024-11-03_02-00-00") == first + second


async def test_clips_of_both_occurrences_bear_names_of_their_own(in_new_york: None, stores: Stores) -> None:
    store, (first, second) = await recorded_at(stores, "2024-11-03T05:30:00", "2024-11-03T06:30:00")
    names = []
    for run, hour in ((first, "05"), (second, "06")):
        request = {"command": "save", "from": f"2024-11-03_{hour}-30-00Z", "to": f"2024-11-03_{hour}-30-03Z"}
        names.append((await execute(store, request))["filename"])
        from_us = moment(f"2024-11-03T{hour}:30:00")
        shown = [frame.captured_us for _, frame in read_clip(stores.upload / names[-1]) if frame]
        assert shown == inside(run, from_us, from_us + 3 * US)
    assert names == ["cam_2024-11-03_01-30-00.mp4", "cam_2024-11-03_01-30-00-2.mp4"]


async def test_a_recording_over_the_end_of_daylight_saving_is_one_range_without_a_jump(
    in_new_york: None, stores: Stores
) -> None:
    store, (run,) = await recorded_at(stores, "2024-11-03T06:00:00")
    (stored,) = (await store.state()).ranges
    assert stored.from_us == run[0] and run[-1] < stored.to_us < run[-1] + US
    border = moment("2024-11-03T06:00:00")
    shown = await fetched(store, "2024-11-03_01-59-59", "2024-11-03_06-00-02Z")
    assert shown == inside(run, border - US, border + 2 * US)


async def test_a_local_time_that_does_not_occur_is_read_with_the_offset_from_before(
    in_new_york: None, stores: Stores
) -> None:
    store, (run,) = await recorded_at(stores, "2024-03-10T07:30:00")
    from_us = moment("2024-03-10T07:30:00")
    expected = inside(run, from_us, from_us + 3 * US)
    assert await fetched(store, "2024-03-10_02-30-00", "2024-03-10_02-30-03") == expected
    assert await fetched(store, "2024-03-10_03-30-00", "2024-03-10_03-30-03") == expected
    assert await fetched(store, "2024-03-10_07-30-00Z", "2024-03-10_07-30-03Z") == expected


async def test_a_local_range_over_the_beginning_of_daylight_saving_has_no_hour_too_many(
    in_new_york: None, stores: Stores
) -> None:
    store, (run,) = await recorded_at(stores, "2024-03-10T07:00:00")
    border = moment("2024-03-10T07:00:00")
    answer = await execute(store, {"command": "fetch", "from": "2024-03-10_01-59-59", "to": "2024-03-10_03-00-02"})
    shown = [frame.captured_us for _, frame in read_clip(base64.b64decode(answer["video"])) if frame]
    assert shown == inside(run, border - US, border + 2 * US) and "ranges" not in answer


# The camera's own clock

LATENCY_US = 30_000
"""From the capture of a picture to its arrival."""


@dataclass
class Dated:
    """Pictures of a camera whose clock is wrong by so much; what they are to be dated by in the recording."""

    clock: FixedClock
    expected: list[int] = field(default_factory=list)
    _distrusted_until_us: int = 0

    def answer(self, wrong_s: float) -> Answer:
        """The next picture, a tenth of a second later."""
        self.clock.advance(0.1)
        now_us = self.clock.wall
        distrusted = self.clock.monotonic < self._distrusted_until_us
        if wrong_s and not distrusted:
            self._distrusted_until_us = self.clock.monotonic + round(CAPTURED_AT_DISTRUST_S * US)
            distrusted = True
        self.expected.append(now_us if distrusted else now_us - LATENCY_US)
        metadata = ResponseMetadata()
        metadata.captured_at.FromMicroseconds(now_us - LATENCY_US + round(wrong_s * US))
        return [NamedImage("color", picture(self.expected[-1], SMALL), CameraMimeType.JPEG)], metadata


class PatientCamera(ScriptedCamera):
    """Answers with what a test puts down, whenever it does so."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: asyncio.Queue[Callable[[], Awaitable[Answer]]] = asyncio.Queue()

    def put(self, *answers: Callable[[], Awaitable[Answer]]) -> None:
        """What it answers to the next requests."""
        for one in answers:
            self._answers.put_nowait(one)

    async def get_images(self, **kwargs: Any) -> Answer:
        return await (await self._answers.get())()


LEAPS_S: dict[str, list[float]] = {
    "an hour ahead": [*[0.0] * 20, *[HOUR_S] * 30],
    "an hour back": [*[0.0] * 20, *[-HOUR_S] * 30],
    "ahead from the first picture on": [HOUR_S] * 40,
    "to and fro": [*[0.0] * 10, *[HOUR_S, 0.0, -HOUR_S] * 10],
    "now and then": [0.0, 0.0, 0.0, 0.0, 7.0] * 8,
}


async def recorded_from(stores: Stores, camera: PatientCamera, clock: FixedClock) -> VideoStore:
    """A store that records a camera through the poller; the camera's script may be filled up later."""
    return await stores.open(FramePoller(camera, None, 20, clock, LOGGER), clock=clock)


async def play(store: VideoStore, camera: PatientCamera, dated: Dated, wrong_s: Sequence[float]) -> None:
    """Let the camera answer with pictures until all of them are in ffmpeg's hands."""
    for begin in range(0, len(wrong_s), _AT_ONCE):
        played = asyncio.Event()

        def one(wrong: float, last: bool, played: asyncio.Event = played) -> Callable[[], Awaitable[Answer]]:
            async def give() -> Answer:
                if last:
                    played.set()
                return dated.answer(wrong)

            return give

        some = wrong_s[begin : begin + _AT_ONCE]
        camera.put(*(one(wrong, n == len(some) - 1) for n, wrong in enumerate(some)))
        await asyncio.wait_for(played.wait(), 20)
        await until(lambda: store._run is not None and store._run.last_us == dated.expected[-1])


@pytest.mark.parametrize("wrong_s", LEAPS_S.values(), ids=LEAPS_S)
async def test_a_leap_of_the_cameras_clock_leaves_the_recording_dated_by_arrival(
    stores: Stores, wrong_s: list[float]
) -> None:
    clock = FixedClock(wall=START_US)
    camera, dated = PatientCamera(), Dated(clock)
    store = await recorded_from(stores, camera, clock)
    await play(store, camera, dated, wrong_s)
    assert len(list(stores.storage.glob("*-000000.open"))) <= 1  # one run
    await store.close()
    again = await stores.open(clock=clock)
    await until(lambda: again.health().segments == len(list(stores.storage.glob("*.mp4"))))
    assert len({read_fragments(path).comment for path in stores.storage.glob("*.mp4")}) == 1
    times = dated.expected
    for first, last in ((0, -1), (5, 15), (18, 24), (-9, -2)):
        clip = await again.fetch(times[first], times[last])
        found = check_clip(read_clip(clip.data), times, times[first], times[last])
        assert found.flawless and found.drift_ms < 1, found
        assert clip.ranges is None
    (stored,) = (await again.state()).ranges
    assert stored.from_us == times[0] and times[-1] < stored.to_us < times[-1] + US


async def test_a_camera_whose_clock_is_right_again_is_believed_after_a_while(stores: Stores) -> None:
    clock = FixedClock(wall=START_US)
    camera, dated = PatientCamera(), Dated(clock)
    store = await recorded_from(stores, camera, clock)
    await play(store, camera, dated, [0.0, 0.0, HOUR_S, 0.0, 0.0])
    clock.advance(CAPTURED_AT_DISTRUST_S)
    await play(store, camera, dated, [0.0] * 20)
    assert dated.expected[-1] == clock.wall - LATENCY_US
    await store.close()
    paths = sorted(stores.storage.glob("*.mp4"))
    assert [t for path in paths for t in read_fragments(path).times_us] == dated.expected


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S, -2.5])
async def test_a_camera_beside_the_recorder_whose_clock_steps_with_it_loses_no_picture(
    stores: Stores, step_s: float
) -> None:
    """One picture was captured before the step and arrives after it: dated by the clock that was."""
    clock = FixedClock(wall=START_US)
    camera, dated = PatientCamera(), Dated(clock)
    store = await recorded_from(stores, camera, clock)
    await play(store, camera, dated, [0.0] * 30)
    before = list(dated.expected)
    clock.wall += round(step_s * US)
    late = -step_s if abs(step_s) > 5 else 0.0  # a smaller difference is taken for the camera's
    await play(store, camera, dated, [late, *[0.0] * 29])
    after = dated.expected[len(before) :]
    await store.close()
    recorded = {t for path in stores.storage.glob("*.mp4") for t in read_fragments(path).times_us}
    assert recorded == set(dated.expected)
    clock.advance(2 * HOUR_S)
    again = await stores.open(clock=clock)
    await until(lambda: again.health().segments == len(list(stores.storage.glob("*.mp4"))))
    for run in (before, after):
        from_us, to_us = run[0], run[-1] + 1
        shown = read_clip((await again.fetch(from_us, to_us)).data)
        times = [frame.captured_us for _, frame in shown if frame]
        assert sorted(times) == sorted(t for t in dated.expected if from_us <= t < to_us)
