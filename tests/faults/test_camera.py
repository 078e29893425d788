"""Real camera faults: each costs a gap at most, and nothing is recorded that the camera did not deliver."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import pytest
from grpclib import GRPCError, Status
from viam.components.camera import Camera
from viam.errors import NotSupportedError
from viam.media.video import CameraMimeType, NamedImage
from viam.proto.common import ResponseMetadata

from scripts.fakes.painted_camera import PaintedCamera, check_clip, read_clip
from scripts.fakes.viam_server import Parent
from tests.support.machine import NAME, Machine, exact, now_us, small_camera
from tests.support.recording import H264, LOGGER, SMALL, START_US, US, FixedClock, Stores, picture, until
from tests.support.warm_module import start_warm_module
from videostore.base.errors import NothingStoredError
from videostore.config import StorageConfig
from videostore.ffmpeg.process import find_ffmpeg
from videostore.store.store import VideoStore
from videostore.viam.poller import FramePoller

Answer = tuple[list[NamedImage], ResponseMetadata]


class TwoSourceCamera(PaintedCamera):
    """A painted camera with two sources, one of which can be missing from its answers."""

    def __init__(self) -> None:
        super().__init__("cam", width=640, height=360, sources=("color", "depth"))
        self.missing: str | None = None
        """Source that is missing from the answers."""
        self.answers_without: set[int] = set()
        """Capture times of the answers from which `missing` was missing."""

    async def get_images(
        self,
        *,
        filter_source_names: Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Answer:
        images, metadata = await super().get_images()
        if self.missing is not None:
            self.answers_without.add(metadata.captured_at.ToMicroseconds())
        return [image for image in images if image.name != self.missing], metadata


@contextlib.asynccontextmanager
async def machine_of(camera: PaintedCamera, directory: Path) -> AsyncIterator[Machine]:
    """A machine with this camera. Its module is ready and has no resource."""
    async with Parent([camera]) as parent:
        await parent.start_module(start_process=start_warm_module)
        yield Machine(parent, camera, directory)


async def run_name(machine: Machine) -> str:
    """The prefix of the names of all segments of the current run."""
    return str((await machine.status())["open_segment"]).partition("-")[0]


async def wait_for_pause(machine: Machine) -> str:
    """Wait until recording pauses. Returns the reason from the status."""

    async def paused() -> bool:
        return (await machine.status())["recording"] is False

    await machine.until(paused)
    return str((await machine.status())["reason"])


async def end_of_recording(machine: Machine) -> int:
    """Stop recording in order, so that nothing is left in the encoder. Returns the time up to which all is stored."""
    end_us = machine.camera.delivered[-1] - US // 4

    async def encoded() -> bool:
        """Whether the encoder has given all: what a slow one still holds has seconds at the end."""
        asked_us, age_s = now_us(), (await machine.status()).get("last_frame_age_s")
        return age_s is not None and asked_us - age_s * US >= end_us

    await machine.until(encoded)
    await machine.parent.remove(NAME)
    await machine.add(camera=None)
    return end_us


@pytest.mark.parametrize("fault", ["error", "hang", "empty", "garbage", "truncated", "frozen"])
async def test_a_camera_fault_makes_a_gap_and_recording_resumes_with_the_first_good_frame(
    machine: Machine, fault: str
) -> None:
    await machine.add()
    await machine.record(1.5)
    await machine.until(lambda: len(machine.camera.delivered) > 10)  # a busy machine lets few come in that time
    machine.camera.fault = fault
    last_before, count = machine.camera.delivered[-1], len(machine.camera.delivered)
    assert "cam" in await wait_for_pause(machine)
    assert len(machine.camera.delivered) == count
    requests = machine.camera.requests
    # Otherwise a second request beside the hanging one could come right after the first frame and be dropped.
    await machine.until(lambda: machine.camera.requests > requests)
    machine.camera.fault = None
    await machine.record(1)
    from_us, first_after = machine.camera.delivered[5], machine.camera.delivered[count]
    recorded_us = last_before - machine.camera.delivered[0]
    check, answer = await machine.fetch(from_us, await end_of_recording(machine))
    assert check.flawless, check
    before, after = answer["ranges"]
    assert before["to"] <= exact(last_before + US) and after["from"] == exact(first_after)
    with av.open(str(min(machine.storage.glob("*.mp4")))) as container:  # no frame is shown for the length of the gap
        assert container.duration is not None and container.duration < recorded_us + US


async def test_when_the_image_size_changes_and_back_a_clip_holds_all_frames(machine: Machine) -> None:
    await machine.add()
    changes = []
    for size in ((320, 180), (640, 360), (320, 180)):
        machine.camera.width, machine.camera.height = size
        changes.append(len(machine.camera.delivered))
        await machine.record(1)
    assert (await machine.status())["ffmpeg_restarts"] == 0
    from_us, to_us = machine.camera.delivered[2], await end_of_recording(machine)
    assert machine.camera.delivered[changes[2]] < to_us
    answer = await machine.command("save", from_us=from_us, to_us=to_us)
    shown = await asyncio.to_thread(read_clip, machine.upload / answer["filename"], [(320, 180)])
    check = check_clip(shown, machine.camera.delivered, from_us, to_us)
    assert check.flawless, check
    # A run's last frame has a guessed length: where a busy machine was long without a frame, there is a gap.
    changed = [machine.camera.delivered[number] - machine.camera.delivered[number - 1] for number in changes[1:]]
    if max(changed) < 150_000:
        assert "ranges" not in answer and check.drift_ms < 60, check


async def test_a_wrong_mime_type_changes_nothing(tmp_path: Path) -> None:
    camera = small_camera()
    async with machine_of(camera, tmp_path) as machine:
        await machine.add(storage={"segment_seconds": 30})
        for mime in (None, "image/png", "image/vnd.viam.dep", "application/octet-stream", ""):
            camera.reported_mime = mime
            await machine.record(0.5)
        from_us = camera.delivered[0]
        assert await run_name(machine) == str(from_us)
        check, answer = await machine.fetch(from_us, await end_of_recording(machine))
        assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check


async def test_images_that_turn_gray_and_back_are_all_recorded_in_one_run(tmp_path: Path) -> None:
    """As from a camera that switches to infrared at night: the images keep their size but have no colour."""
    camera = small_camera()
    async with machine_of(camera, tmp_path) as machine:
        await machine.add(storage={"segment_seconds": 30})
        for gray in (False, True, False, True, False):
            camera.gray = gray
            await machine.record(0.6)
        from_us = camera.delivered[0]
        assert await run_name(machine) == str(from_us)
        status = await machine.status()
        assert (status["ffmpeg_restarts"], status["dropped_frames"]) == (0, 0)
        check, answer = await machine.fetch(from_us, await end_of_recording(machine))
        assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check


async def test_recording_pauses_while_its_source_is_missing_and_names_it(tmp_path: Path) -> None:
    camera = TwoSourceCamera()
    async with machine_of(camera, tmp_path) as machine:
        await machine.add(source_name="depth")
        await machine.record(1.5)
        camera.missing = "depth"
        assert await wait_for_pause(machine) == "camera 'cam' has no source 'depth', only 'color'"
        camera.missing = None
        await machine.record(1)
        to_us = await end_of_recording(machine)
        good = [time_us for time_us in camera.delivered if time_us not in camera.answers_without]
        first_after = next(time_us for time_us in good if time_us > max(camera.answers_without))
        answer = await machine.command("save", from_us=good[0], to_us=to_us)
        shown = await asyncio.to_thread(read_clip, machine.upload / answer["filename"])
        check = check_clip(shown, good, good[0], to_us)
        assert check.flawless, check
        assert [part["from"] for part in answer["ranges"]] == [exact(t) for t in (good[0], first_after)]


async def test_recording_goes_on_while_another_source_is_missing(tmp_path: Path) -> None:
    camera = TwoSourceCamera()
    async with machine_of(camera, tmp_path) as machine:
        await machine.add(source_name="depth", storage={"segment_seconds": 30})
        for missing in (None, "color", None):
            camera.missing = missing
            await machine.record(0.8)
        from_us = camera.delivered[0]
        assert camera.answers_without and await run_name(machine) == str(from_us)
        check, answer = await machine.fetch(from_us, await end_of_recording(machine))
        assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check


async def test_at_200_frames_a_second_every_frame_is_recorded_once_or_counted_as_dropped(tmp_path: Path) -> None:
    """As many of them as two processes, gRPC and painting can deliver."""
    camera = PaintedCamera("cam", width=SMALL[0], height=SMALL[1], interval=lambda: 1 / 200)
    async with machine_of(camera, tmp_path) as machine:
        await machine.add(framerate=200)
        await machine.until(lambda: len(camera.delivered) > 150)
        status = await machine.status()
        steps_us = [later - earlier for earlier, later in itertools.pairwise(camera.delivered)]
        assert sum(step_us < US / 30 for step_us in steps_us) > 20  # else it would test nothing
        from_us = camera.delivered[0]
        check, answer = await machine.fetch(from_us, await end_of_recording(machine))
        missing = len(check.missing_before) + len(check.missing_inside) + len(check.missing_after)
        assert missing <= status["dropped_frames"]
        assert not (check.doubled or check.out_of_order or check.outside or check.unknown or check.unreadable), check
        assert "ranges" not in answer and check.drift_ms < 5


class ClockedCamera(Camera):
    """Takes an image every `interval_s` of a clock. Each request advances the clock, and waits after `end_us`."""

    def __init__(self, clock: FixedClock, *, interval_s: float, step_s: float) -> None:
        super().__init__("cam")
        self.clock = clock
        self.step_s = step_s
        self.fault: str | None = None
        self.end_us = clock.wall
        self.is_taken = lambda: True
        """Whether nothing waits for ffmpeg: an hour passes in a second."""
        self.delivered: list[int] = []
        self._start_us = clock.wall
        self._interval_us = round(interval_s * US)

    async def get_images(
        self,
        *,
        filter_source_names: Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Answer:
        await until(lambda: self.clock.wall < self.end_us, 600)
        await until(self.is_taken)
        await asyncio.sleep(0.002)
        self.clock.advance(self.step_s)
        if self.fault == "error":
            raise GRPCError(Status.UNAVAILABLE, "out of order")
        frames = (self.clock.wall - self._start_us) // self._interval_us
        captured_us = self._start_us + frames * self._interval_us
        if self.fault == "frozen":
            captured_us = self.delivered[-1]
        elif not self.delivered or captured_us > self.delivered[-1]:
            self.delivered.append(captured_us)
        metadata = ResponseMetadata()
        metadata.captured_at.FromMicroseconds(captured_us)
        return [NamedImage("color", picture(captured_us, SMALL), CameraMimeType.JPEG)], metadata

    async def pass_time(self, seconds: float) -> None:
        """Let this much time pass, and return when it has passed."""
        self.end_us = self.clock.wall + round(seconds * US)
        await until(lambda: self.clock.wall >= self.end_us, 60)

    async def get_properties(self, *, timeout: float | None = None, **kwargs: Any) -> Camera.Properties:
        return Camera.Properties()

    async def get_point_cloud(self, **kwargs: Any) -> tuple[bytes, str]:
        raise NotSupportedError("no point clouds")


async def open_store(stores: Stores, camera: ClockedCamera, framerate: int, segment_seconds: float) -> VideoStore:
    """A store that records the camera, with the camera's clock."""
    store = VideoStore(
        "cam",
        StorageConfig(1, stores.storage, stores.upload, segment_seconds),
        binary=find_ffmpeg(),
        source=FramePoller(camera, None, framerate, camera.clock, LOGGER),
        encoder=H264,
        clock=camera.clock,
        logger=LOGGER,
    )
    stores.opened.append(store)
    await store.start()
    recorder = store._recorder
    assert recorder is not None
    camera.is_taken = lambda: not recorder._backlog.filled
    return store


async def stop_and_reopen(stores: Stores, store: VideoStore, camera: ClockedCamera) -> VideoStore:
    """Close the store when ffmpeg has all images, and open the storage again without a camera."""
    await until(lambda: store._run is not None and store._run.last_us == camera.delivered[-1])
    recorder = store.health().recorder
    assert recorder is not None and (recorder.ffmpeg_restarts, recorder.dropped_frames) == (0, 0)
    await store.close()
    return await stores.open(clock=camera.clock)


async def test_one_image_in_five_seconds_is_one_range_once_the_interval_is_known(stores: Stores) -> None:
    """The camera is asked every second, and repeats its last image in between."""
    camera = ClockedCamera(FixedClock(wall=START_US), interval_s=5, step_s=1)
    store = await open_store(stores, camera, framerate=1, segment_seconds=30)
    await camera.pass_time(600)
    store = await stop_and_reopen(stores, store, camera)
    times = camera.delivered
    assert len(times) >= 119
    clip = await store.fetch(times[1], times[-1])
    assert clip.ranges is None
    check = check_clip(read_clip(clip.data), times, times[1], times[-1])
    assert check.flawless and check.drift_ms < 5, check
    # Before the interval is known, the camera counts as silent between two images.
    (known,) = (await store.state()).ranges
    assert known.from_us == times[0]
    clip = await store.fetch(times[0], times[-1])
    assert check_clip(read_clip(clip.data), times, times[0], times[-1]).flawless
    assert clip.ranges is not None and [part.from_us for part in clip.ranges] == times[:2]


@pytest.mark.parametrize("fault", ["error", "frozen"])
async def test_a_camera_that_fails_for_an_hour_leaves_a_gap_of_an_hour_with_footage_on_both_sides(
    stores: Stores, fault: str
) -> None:
    camera = ClockedCamera(FixedClock(wall=START_US), interval_s=0.1, step_s=0.1)
    store = await open_store(stores, camera, framerate=10, segment_seconds=2)
    await camera.pass_time(5)
    last_before, count = camera.delivered[-1], len(camera.delivered)
    camera.fault, camera.step_s = fault, 600
    await camera.pass_time(3600)
    await until(lambda: not (health := store.health().recorder) or not health.recording)
    recorder = store.health().recorder
    assert recorder is not None and "'cam'" in recorder.reason
    camera.fault, camera.step_s = None, 0.1
    await camera.pass_time(5)
    store = await stop_and_reopen(stores, store, camera)
    times = camera.delivered
    first_after = times[count]
    assert first_after - last_before >= 3600 * US

    whole = await store.fetch(times[0], times[-1])
    assert check_clip(read_clip(whole.data), times, times[0], times[-1]).flawless
    assert whole.ranges is not None
    before, after = whole.ranges
    assert (before.from_us, after.from_us) == (times[0], first_after)
    assert last_before < before.to_us < last_before + US  # the last frame does not last for the length of the gap
    assert [one.from_us for one in (await store.state()).ranges] == [times[0], first_after]
    for from_us, to_us in ((times[3], last_before), (first_after, times[-3])):
        clip = await store.fetch(from_us, to_us)
        assert clip.ranges is None
        assert check_clip(read_clip(clip.data), times, from_us, to_us).flawless
    with pytest.raises(NothingStoredError) as refused:
        await store.fetch(last_before + 60 * US, first_after - 60 * US)
    assert refused.value.nearest is not None and refused.value.nearest.from_us in (times[0], first_after)
