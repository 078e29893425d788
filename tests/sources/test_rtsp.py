"""A camera that is reached over RTSP: one quick case. `make test-streams` tries many, with a server of GStreamer."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.coded_stream import FPS, Coding, code, painted_us, slices
from tests.support.inputs import Tap, distances, open_input, painted_times, playing, store_of
from tests.support.recording import US, until
from tests.support.rtsp_camera import RTP_HZ, Conduct, RtspCamera, payloads
from videostore.store.store import VideoStore


async def test_a_camera_whose_rtp_time_wraps_is_passed_on_picture_by_picture(binary: str) -> None:
    pictures = code(Coding("h264", length_s=4))
    wrapped_after = FPS
    conduct = Conduct(first_rtp_time=(1 << 32) - wrapped_after * RTP_HZ // FPS)
    async with RtspCamera(pictures, conduct) as camera:
        source = Tap(open_input(camera.url, binary))
        async with playing(source):
            await until(lambda: len(source.packets_seen) > 2 * wrapped_after or source.gaps)
    assert source.gaps == []
    passed = [slices("h264", one.data) for one in source.packets_seen]
    assert passed == [slices("h264", pictures[number % len(pictures)].data) for number in range(len(passed))]
    # Times may move together, by a smaller delay than any before: that never makes a distance longer.
    assert [one for one in distances(source.times_us) if not 0 < one <= US // FPS + 1000] == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_pictures_of_which_packets_are_lost_are_marked_and_told(
    tmp_path: Path, binary: str, transport: str
) -> None:
    """In TCP nothing is lost, but servers leave out packets that their client does not take in time."""
    pictures = code(Coding("h264", length_s=4))
    round_packets, second = sum(len(payloads(one.data)) for one in pictures), list[int]()

    def lost(number: int) -> bool:
        """The second loss comes when the first stretch is over: on a busy machine, one round of the stream later."""
        if number >= 95 and number % round_packets == 95 % round_packets and not second and _ends(source):
            second.append(number)
        return number in (41, 42, *second)

    async with RtspCamera(pictures, Conduct(lost=lost)) as camera:
        source = Tap(open_input(camera.url, binary, options={"rtsp_transport": transport}))
        async with store_of(source, tmp_path, binary, live=True) as store:
            await until(lambda: _whole_again(source) or source.gaps)
            await until(lambda: (store.health().recorder or pytest.fail()).damaged_frames)
            health = store.health().recorder
            first_us, last_us = source.times_us[0], source.times_us[-1]
        async with VideoStore.open(tmp_path / "storage") as stored:
            state = await stored.state()
            clip = await stored.fetch(first_us, last_us)
    assert source.gaps == []
    assert health is not None and health.damaged_frames >= 2
    assert {one.reason for one in state.damaged} <= {"packets-lost", "frame-missing"}
    assert clip.ranges is None and len(clip.damaged) == len(state.damaged) == 2
    # Every picture that cannot be right is in a stretch, wherever the camera began to count.
    marked = {slices("h264", one.data)[0] for one in source.packets_seen if one.damage is not None}
    sent = [slices("h264", one.data) for one in pictures]
    damaged = [passed for one in source.packets_seen if (passed := slices("h264", one.data)) not in sent]
    assert damaged and all(one[0] in marked for one in damaged)


_HOUR = 3600 * RTP_HZ


@pytest.mark.parametrize(
    ("rtp_time", "gaps"),
    [
        (lambda number, right: 1000, 0),
        (lambda number, right: right + _HOUR * (2 if number < 2 * FPS else 1), 2),
        (lambda number, right: right + _HOUR * 10 * (number >= 2 * FPS), 2),
    ],
    ids=["stand still", "go back by an hour", "jump ahead by 10 hours"],
)
async def test_pictures_whose_times_cannot_be_right_are_dated_by_when_they_come(
    binary: str, caplog: pytest.LogCaptureFixture, rtp_time: Callable[[int, int], int], gaps: int
) -> None:
    """Times that jump in each connection make gaps twice, then they are not used any more."""
    async with RtspCamera(code(Coding("h264", length_s=8)), Conduct(rtp_time=rtp_time)) as camera:
        source = Tap(open_input(camera.url, binary))
        async with playing(source):
            await until(lambda: len(source.gaps) >= gaps and _dated_by_arrival(caplog), 60)
            before = len(source.packets_seen)
            await until(lambda: len(source.packets_seen) > before + 4 * FPS, 60)
    assert len(source.gaps) == gaps and len(_dated_by_arrival(caplog)) == 1
    true_us = {painted_us(one.painted): one.captured_us for one in camera.sent}  # of the last client
    dated = zip(source.times_us[before:], painted_times(source.packets_seen)[before:], strict=True)
    late_us = [one - true_us[painted] for one, painted in dated]
    assert min(late_us) > -50_000 and statistics.median(late_us) < US
    assert source.times_us == sorted(set(source.times_us))


def _dated_by_arrival(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one for one in caplog.messages if "are dated by when they arrive" in one]


@pytest.mark.parametrize(("b_frames", "reencode"), [(0, False), (0, True), (2, False)])
async def test_pictures_of_a_slow_camera_are_dated_by_when_they_came(
    binary: str, b_frames: int, reencode: bool
) -> None:
    """Not by when ffmpeg passes them on: its parser knows where a frame ends when the next one comes, a filter and an
    encoder wait for the next one too."""
    conduct = Conduct(fps=2)
    async with RtspCamera(code(Coding("h264", b_frames=b_frames, length_s=4)), conduct) as camera:
        source = Tap(open_input(camera.url, binary, reencode=reencode))
        async with playing(source):
            await until(lambda: len(source.packets_seen) > 20)
    true_us = {painted_us(one.painted): one.captured_us for one in camera.sent}  # of the last client
    dated = zip(sorted(source.times_us), painted_times(source.packets_seen), strict=False)
    late_us = [one - true_us[painted] for one, painted in dated]
    # Those of the slowest way would be half a second late.
    assert source.gaps == [] and abs(statistics.median(late_us)) < 250_000


async def test_a_camera_that_sends_few_frames_is_recorded_when_it_has_been_waited_for(binary: str) -> None:
    """ffmpeg waits for seven frames of H.264 by itself."""
    pictures = code(Coding("h264", gop_s=0, length_s=4))
    async with RtspCamera(pictures, Conduct(fps=0.8)) as camera:
        source = Tap(open_input(camera.url, binary, patience_s=5))
        async with playing(source):
            await until(lambda: len(source.packets_seen) >= 4)
    true_us = {painted_us(one.painted): one.captured_us for one in camera.sent}  # of the last client
    assert "no frame within 5 s" in source.gaps[0].reason
    painted = painted_times(source.packets_seen)
    late_us = [one - true_us[painted] for one, painted in zip(source.times_us, painted, strict=False)]
    assert abs(statistics.median(late_us)) < 250_000 and len(set(painted)) == len(source.packets_seen)


def _ends(source: Tap) -> list[int]:
    """Where stretches of damage are over: the numbers of the first whole packets."""
    damaged = [one.damage is not None for one in source.packets_seen]
    return [number for number in range(1, len(damaged)) if damaged[number - 1] and not damaged[number]]


def _whole_again(source: Tap) -> bool:
    """Whether two stretches of damage are over."""
    ends = _ends(source)
    return len(ends) >= 2 and len(source.packets_seen) > ends[-1] + 2 * FPS
