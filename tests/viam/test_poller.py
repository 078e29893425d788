"""Images from a scripted camera: their times, and the gaps when it fails, hangs, freezes or is slow."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from grpclib import GRPCError, Status
from viam.components.camera import Camera
from viam.media.video import NamedImage
from viam.proto.common import ResponseMetadata

from tests.support.damaged_images import half_png, without_scan
from tests.support.recording import LOGGER, SMALL, START_US, US, FixedClock, picture, until
from tests.support.scripted_camera import JPEG, Answer, ScriptedCamera, answer, hang
from videostore.base.clock import SystemClock
from videostore.base.tasks import end_task
from videostore.media.images import read_picture
from videostore.media.packet import FaultCount, Gap, Packet
from videostore.viam.poller import FramePoller


def poller_of(camera: Camera, clock: FixedClock | SystemClock, *, source: str | None = None) -> FramePoller:
    return FramePoller(camera, source, 200, clock, LOGGER)


async def take(poller: FramePoller, count: int, within_s: float = 150) -> list[Packet | Gap]:
    """The first items that a poller yields."""
    items: list[Packet | Gap] = []

    async def collect() -> None:
        packets: AsyncIterator[Packet | Gap] = poller.packets()
        async with aclosing(packets) as iterator:  # type: ignore[type-var]
            async for item in iterator:
                items.append(item)
                if len(items) == count:
                    return

    await asyncio.wait_for(collect(), within_s)
    return items


def times_of(items: list[Packet | Gap]) -> list[int | str]:
    return [item.captured_us if isinstance(item, Packet) else "gap" for item in items]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(wall=START_US + US)


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent camera is noticed early, so that tests need not wait."""
    monkeypatch.setattr("videostore.viam.poller.CAMERA_SILENCE_S", 0.3)
    monkeypatch.setattr("videostore.viam.poller.CAMERA_ERROR_GAP_S", 0.2)
    monkeypatch.setattr("videostore.viam.poller.CAMERA_RETRY_S", 0.02)


async def test_the_capture_time_is_the_cameras(clock: FixedClock) -> None:
    given = [START_US + n * 50_000 for n in range(5)]
    poller = poller_of(ScriptedCamera(*map(answer, given)), clock)
    items = await take(poller, 5)
    assert times_of(items) == given
    assert items[0] == Packet(*read_picture(picture(given[0], SMALL)), given[0])
    assert poller.latest is not None and poller.latest.captured_us == given[-1]
    assert (poller.latest.width, poller.latest.height) == SMALL


async def test_an_image_that_is_sent_twice_is_recorded_once(clock: FixedClock) -> None:
    first, second = answer(START_US), answer(START_US + 50_000)
    items = await take(
        poller_of(ScriptedCamera(first, first, first, second, second, answer(START_US + 99_000)), clock), 3
    )
    assert times_of(items) == [START_US, START_US + 50_000, START_US + 99_000]


async def test_the_same_bytes_at_another_time_are_another_image(clock: FixedClock) -> None:
    """Nothing moves in front of the camera."""
    same = picture(START_US, SMALL)
    items = await take(poller_of(ScriptedCamera(*(answer(START_US + n, same) for n in range(3))), clock), 3)
    assert times_of(items) == [START_US, START_US + 1, START_US + 2]


async def test_without_a_capture_time_the_arrival_time_is_used(clock: FixedClock) -> None:
    items = await take(poller_of(ScriptedCamera(answer(None)), clock), 1)
    assert times_of(items) == [clock.wall_us()]


@pytest.mark.parametrize("offset_s", [-3600, -5.5, 1.5, 5.5, 1e6, -1.7e9])
async def test_an_implausible_capture_time_is_ignored(clock: FixedClock, offset_s: float) -> None:
    wrong = clock.wall_us() + round(offset_s * US)
    items = await take(poller_of(ScriptedCamera(answer(wrong, picture(START_US, SMALL))), clock), 1)
    assert times_of(items) == [clock.wall_us()]


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(1 << 62, 0), (-(1 << 62), 0), (START_US // US, 2_000_000_000), (START_US // US, -(1 << 31))]
)
async def test_a_capture_time_that_is_no_time_at_all_is_ignored(clock: FixedClock, seconds: int, nanos: int) -> None:
    """Such a `Timestamp` cannot be made by its own methods, and arrives all the same."""
    images, metadata = answer(None)
    metadata.captured_at.seconds, metadata.captured_at.nanos = seconds, nanos
    others = [answer(None, picture(START_US + US, SMALL)), answer(None, picture(START_US + 2 * US, SMALL))]
    items = await take(poller_of(ScriptedCamera((images, metadata), (images, metadata), *others), clock), 2)
    assert [isinstance(one, Packet) for one in items] == [True, True]


async def test_a_capture_time_that_repeats_is_told_as_such(clock: FixedClock, caplog: pytest.LogCaptureFixture) -> None:
    given = [answer(START_US, picture(START_US + n * US, SMALL)) for n in range(3)]
    assert times_of(await take(poller_of(ScriptedCamera(*given), clock), 3))[0] == START_US
    assert caplog.text.count("captured before the last one, or at the same time; using arrival times") == 1
    assert "implausible" not in caplog.text


async def test_after_a_capture_time_goes_backwards_arrival_times_are_used_for_a_while(clock: FixedClock) -> None:
    arrival = clock.wall_us()
    given = [START_US, START_US - 50_000, START_US + 100_000]
    items = await take(poller_of(ScriptedCamera(*map(answer, given)), clock), 3)
    assert times_of(items) == [START_US, arrival, arrival]


@pytest.mark.parametrize(
    "wrong_s", [(4, -4), (-4, 4), (-3600, 0), (0, -3600), (0, 10 * 365 * 86_400), (0, 0, 0, -4)], ids=str
)
async def test_a_capture_time_that_is_wrong_again_and_again_is_told_once_and_moves_no_image(
    clock: FixedClock, caplog: pytest.LogCaptureFixture, wrong_s: tuple[float, ...]
) -> None:
    """For longer than an image is distrusted: no run ends, and after the first images all have their arrival."""
    arrivals: list[int] = []

    class Camera(ScriptedCamera):
        async def get_images(self, **_: Any) -> Answer:
            clock.advance(1)
            arrivals.append(clock.wall)
            wrong_us = round(wrong_s[len(arrivals) % len(wrong_s)] * US)
            return answer(clock.wall - 30_000 + wrong_us, picture(clock.wall, SMALL))

    times = times_of(await take(poller_of(Camera(), clock), 200))
    assert times == sorted(times)
    assert times[5:] == arrivals[5:200]
    assert caplog.text.count("using arrival times") == 1


FAULTS: dict[str, Answer | Exception] = {
    "grpc error": GRPCError(Status.UNAVAILABLE, "out of order"),
    "lost connection": ConnectionResetError("lost"),
    "garbage": answer(None, b"no picture"),
    "truncated": answer(None, picture(START_US, SMALL)[:500]),
    "no bytes": answer(None, b""),
    "no picture": ([], ResponseMetadata()),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_camera_fault_makes_one_gap_and_then_recording_goes_on(
    short_timeouts: None, fault: Answer | Exception
) -> None:
    clock = SystemClock()
    camera = ScriptedCamera(answer(None), *[fault] * 20, answer(None), answer(None))
    poller = poller_of(camera, clock)
    items = await take(poller, 4)
    assert [type(item) for item in items] == [Packet, Gap, Packet, Packet]
    assert isinstance(items[1], Gap) and "\n" not in items[1].reason and items[1].reason
    assert poller.fault is None


@pytest.mark.usefixtures("short_timeouts")
async def test_another_fault_that_lasts_replaces_the_reason_of_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that passes does not, nor another size of what is damaged."""
    monkeypatch.setattr("videostore.viam.poller.CAMERA_REASON_LASTS_S", 0.3)
    cut = [answer(None, picture(START_US, SMALL)[: 400 + n]) for n in range(10)]
    passing = [GRPCError(Status.UNAVAILABLE, "unplugged"), GRPCError(Status.INTERNAL, "no image yet")] * 3
    camera = ScriptedCamera(*cut, *passing)
    first, second = await take(poller_of(camera, SystemClock()), 2)
    assert isinstance(first, Gap) and "without an end" in first.reason
    assert isinstance(second, Gap) and "does not answer" in second.reason


async def test_a_single_fault_is_no_gap(clock: FixedClock) -> None:
    clock.wall = START_US + 100_000
    given = [START_US, START_US + 50_000]
    camera = ScriptedCamera(answer(given[0]), GRPCError(Status.UNAVAILABLE, "busy"), answer(given[1]))
    assert times_of(await take(poller_of(camera, clock), 2)) == given


async def test_images_that_are_not_whole_are_counted_with_their_fault(clock: FixedClock) -> None:
    clock.wall = START_US + 100_000
    given = [START_US, START_US + 50_000]
    bad = [answer(START_US + 10_000, damage(START_US, SMALL)) for damage in (without_scan, half_png)]
    camera = ScriptedCamera(answer(given[0]), *bad, answer(given[1]))
    poller = poller_of(camera, clock)
    assert times_of(await take(poller, 2)) == given
    assert (poller.faulty_frames, poller.fault) == (2, None)
    assert poller.last_fault.startswith("camera 'cam' sent a PNG of ")
    assert isinstance(poller, FaultCount)


async def test_a_camera_that_never_worked_makes_a_gap_at_once(short_timeouts: None) -> None:
    camera = ScriptedCamera(*[GRPCError(Status.UNAVAILABLE, "out of order")] * 5)
    poller = poller_of(camera, SystemClock())
    (gap,) = await take(poller, 1)
    assert isinstance(gap, Gap)
    assert "'cam'" in gap.reason and "out of order" in gap.reason
    assert poller.fault == gap.reason


async def test_a_request_that_hangs_makes_a_gap_and_does_not_block_the_next(short_timeouts: None) -> None:
    camera = ScriptedCamera(answer(None), hang, hang, answer(None), answer(None))
    items = await take(poller_of(camera, SystemClock()), 4)
    assert [type(item) for item in items] == [Packet, Gap, Packet, Packet]
    assert camera.under_way == 0


async def test_the_oldest_request_is_given_up_when_it_has_hung_for_too_long(
    short_timeouts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.viam.poller.CAMERA_PATIENCE_S", 0.5)
    asked, given_up = itertools.count(), set[int]()

    async def hang_and_tell() -> Answer:
        number = next(asked)
        try:
            return await hang()
        finally:
            given_up.add(number)

    camera = ScriptedCamera(answer(None), *[hang_and_tell] * 200)
    taking = asyncio.ensure_future(take(poller_of(camera, SystemClock()), 9))
    await until(lambda: {0, 1} <= given_up)
    assert camera.under_way <= 2
    await end_task(taking)
    assert camera.under_way == 0


async def test_a_camera_that_freezes_makes_a_gap(short_timeouts: None) -> None:
    now_us = SystemClock().wall_us()
    frozen = answer(now_us)
    camera = ScriptedCamera(*[frozen] * 200, answer(now_us + US))
    items = await take(poller_of(camera, SystemClock()), 3)
    assert [type(item) for item in items] == [Packet, Gap, Packet]


async def test_a_camera_that_is_known_to_be_slow_makes_no_gaps(
    clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like a camera that takes 5 s for an image, at a twentieth of all times."""
    monkeypatch.setattr("videostore.viam.poller.CAMERA_SILENCE_S", 0.1)

    async def slow() -> Answer:
        for _ in range(5):  # the clock stands still while a busy machine does
            await asyncio.sleep(0.05)
            clock.advance(0.05)
        return answer(None)

    items = await take(poller_of(ScriptedCamera(*[slow] * 100), clock), 8)
    known = items[3:]
    assert [type(item) for item in known] == [Packet] * len(known)
    assert sum(isinstance(item, Packet) for item in items) >= 6


async def test_that_several_sources_come_and_none_is_named_is_said_once(
    clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["color", "depth", *map(str, range(1000))]
    camera = ScriptedCamera(*(answer(START_US + n * US, None, *names[: 1000 - n]) for n in range(3)))
    await take(poller_of(camera, clock), 3)
    (warning,) = [record.getMessage() for record in caplog.records if "source_name" in record.getMessage()]
    assert warning.startswith("Camera 'cam' sends 1000 images at a time: 'color', 'depth', '0', ")
    assert "Recording the first one." in warning and len(warning) < 300


async def test_of_one_source_nothing_is_said(clock: FixedClock, caplog: pytest.LogCaptureFixture) -> None:
    for source, names in [(None, ["color"]), ("depth", ["color", "depth"])]:
        camera = ScriptedCamera(answer(START_US, None, *names))
        await take(poller_of(camera, clock, source=source), 1)
    assert "source_name" not in caplog.text


async def test_the_first_of_several_sources_is_used_unless_one_is_named(clock: FixedClock) -> None:
    images, metadata = answer(START_US)
    images.append(NamedImage("depth", picture(START_US + 1, SMALL), JPEG))
    for source, content in [(None, images[0].data), ("color", images[0].data), ("depth", images[1].data)]:
        camera = ScriptedCamera((images, metadata))
        (packet,) = await take(poller_of(camera, clock, source=source), 1)
        assert isinstance(packet, Packet) and packet.data == content
        assert camera.filters == [[source] if source else None]


async def test_a_missing_source_is_a_fault_that_lists_the_available_ones(clock: FixedClock) -> None:
    poller = poller_of(ScriptedCamera(answer(START_US, None, "color", "infrared")), clock, source="depth")
    (gap,) = await take(poller, 1)
    assert isinstance(gap, Gap)
    for word in ("'cam'", "'depth'", "'color', 'infrared'"):
        assert word in gap.reason


async def test_the_camera_is_asked_no_more_often_than_the_frame_rate() -> None:
    now_us = SystemClock().wall_us()
    camera = ScriptedCamera(*(answer(now_us + n * 1000) for n in range(100)))
    poller = FramePoller(camera, None, 20, SystemClock(), LOGGER)
    begin = SystemClock().monotonic_us()
    await take(poller, 8)
    assert SystemClock().monotonic_us() - begin >= 0.3 * US


async def test_ending_the_iteration_cancels_the_requests(short_timeouts: None) -> None:
    camera = ScriptedCamera(answer(None))
    items = await take(poller_of(camera, SystemClock()), 2)
    assert isinstance(items[1], Gap)
    assert camera.under_way == 0
