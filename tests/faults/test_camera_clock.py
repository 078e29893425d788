"""Cameras whose own clock jumps: their frames are dated by arrival until the clock can be trusted again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from viam.media.video import CameraMimeType, NamedImage
from viam.proto.common import ResponseMetadata

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.clocked_recording import AT_ONCE, HOUR_S
from tests.support.recording import (
    LOGGER,
    SMALL,
    START_US,
    US,
    FixedClock,
    Stores,
    picture,
    until,
)
from tests.support.scripted_camera import Answer, ScriptedCamera
from videostore.media.fmp4 import read_fragments
from videostore.store.store import VideoStore
from videostore.viam.capture_dates import CAPTURED_AT_DISTRUST_S
from videostore.viam.poller import FramePoller

LATENCY_US = 30_000
"""From the capture of an image to its arrival."""


@dataclass
class MisdatedImages:
    """Images of a camera whose clock is wrong, and the times at which the recording must show them."""

    clock: FixedClock
    expected: list[int] = field(default_factory=list)
    _distrusted_until_us: int = 0

    def answer(self, wrong_s: float) -> Answer:
        """The next image, 0.1 s later, with a capture time that is wrong by this much."""
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


class QueuedCamera(ScriptedCamera):
    """Answers each request with the next answer that a test puts into its queue, and waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: asyncio.Queue[Callable[[], Awaitable[Answer]]] = asyncio.Queue()

    def put(self, *answers: Callable[[], Awaitable[Answer]]) -> None:
        """Add answers for the next requests."""
        for one in answers:
            self._answers.put_nowait(one)

    async def get_images(self, **kwargs: Any) -> Answer:
        return await (await self._answers.get())()


JUMPS_S: dict[str, list[float]] = {
    "an hour forward": [*[0.0] * 20, *[HOUR_S] * 30],
    "an hour back": [*[0.0] * 20, *[-HOUR_S] * 30],
    "forward from the first image on": [HOUR_S] * 40,
    "back and forth": [*[0.0] * 10, *[HOUR_S, 0.0, -HOUR_S] * 10],
    "now and then": [0.0, 0.0, 0.0, 0.0, 7.0] * 8,
}


async def recorded_from(stores: Stores, camera: QueuedCamera, clock: FixedClock) -> VideoStore:
    """A store that records a camera through the poller."""
    return await stores.open(FramePoller(camera, None, 20, clock, LOGGER), clock=clock)


async def play(store: VideoStore, camera: QueuedCamera, images: MisdatedImages, wrong_s: Sequence[float]) -> None:
    """Let the camera answer with one image for each of these errors, until ffmpeg has all of them."""
    for first in range(0, len(wrong_s), AT_ONCE):
        played = asyncio.Event()

        def one(wrong: float, last: bool, played: asyncio.Event = played) -> Callable[[], Awaitable[Answer]]:
            async def give() -> Answer:
                if last:
                    played.set()
                return images.answer(wrong)

            return give

        some = wrong_s[first : first + AT_ONCE]
        camera.put(*(one(wrong, n == len(some) - 1) for n, wrong in enumerate(some)))
        await asyncio.wait_for(played.wait(), 150)
        await until(lambda: store._run is not None and store._run.last_us == images.expected[-1])


@pytest.mark.parametrize("wrong_s", JUMPS_S.values(), ids=JUMPS_S)
async def test_when_the_cameras_clock_jumps_frames_are_dated_by_their_arrival(
    stores: Stores, wrong_s: list[float]
) -> None:
    clock = FixedClock(wall=START_US)
    camera, images = QueuedCamera(), MisdatedImages(clock)
    store = await recorded_from(stores, camera, clock)
    await play(store, camera, images, wrong_s)
    assert len(list(stores.storage.glob("*-000000.open"))) <= 1  # one run
    await store.close()
    again = await stores.open(clock=clock)
    await until(lambda: again.health().segments == len(list(stores.storage.glob("*.mp4"))))
    assert len({read_fragments(path).comment for path in stores.storage.glob("*.mp4")}) == 1
    times = images.expected
    for first, last in ((0, -1), (5, 15), (18, 24), (-9, -2)):
        clip = await again.fetch(times[first], times[last])
        found = check_clip(read_clip(clip.data), times, times[first], times[last])
        assert found.flawless and found.drift_ms < 1, found
        assert clip.ranges is None
    (stored,) = (await again.state()).ranges
    assert stored.from_us == times[0] and times[-1] < stored.to_us < times[-1] + US


async def test_a_camera_whose_clock_is_right_again_is_trusted_after_a_while(stores: Stores) -> None:
    clock = FixedClock(wall=START_US)
    camera, images = QueuedCamera(), MisdatedImages(clock)
    store = await recorded_from(stores, camera, clock)
    await play(store, camera, images, [0.0, 0.0, HOUR_S, 0.0, 0.0])
    clock.advance(CAPTURED_AT_DISTRUST_S)
    await play(store, camera, images, [0.0] * 20)
    assert images.expected[-1] == clock.wall - LATENCY_US
    await store.close()
    paths = sorted(stores.storage.glob("*.mp4"))
    assert [t for path in paths for t in read_fragments(path).times_us] == images.expected


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S, -2.5])
async def test_a_camera_that_shares_the_recorders_clock_loses_no_frame_when_it_steps(
    stores: Stores, step_s: float
) -> None:
    """One image is captured before the step and arrives after it, with a time of the earlier clock."""
    clock = FixedClock(wall=START_US)
    camera, images = QueuedCamera(), MisdatedImages(clock)
    store = await recorded_from(stores, camera, clock)
    await play(store, camera, images, [0.0] * 30)
    before = list(images.expected)
    clock.wall += round(step_s * US)
    late = -step_s if abs(step_s) > 5 else 0.0  # a smaller difference counts as the camera's own time
    await play(store, camera, images, [late, *[0.0] * 29])
    after = images.expected[len(before) :]
    await store.close()
    recorded = {t for path in stores.storage.glob("*.mp4") for t in read_fragments(path).times_us}
    assert recorded == set(images.expected)
    clock.advance(2 * HOUR_S)
    again = await stores.open(clock=clock)
    await until(lambda: again.health().segments == len(list(stores.storage.glob("*.mp4"))))
    for run in (before, after):
        from_us, to_us = run[0], run[-1] + 1
        shown = read_clip((await again.fetch(from_us, to_us)).data)
        times = [frame.captured_us for _, frame in shown if frame]
        assert sorted(times) == sorted(t for t in images.expected if from_us <= t < to_us)
