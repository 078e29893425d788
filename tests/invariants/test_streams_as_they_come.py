"""Streams of H.264 and H.265 are recorded as they come, with and without B frames, however far keyframes are apart."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import at_most, cut_short, each_value
from tests.support.coded_stream import FPS as CODED_FPS
from tests.support.coded_stream import Coding, code, painted_number, slices
from tests.support.foreign_recording import FPS, FRAME_US, write_foreign_video
from tests.support.inputs import NetworkCamera, Tap, distances, open_input, store_of
from tests.support.lateness import watching_lateness
from tests.support.recording import START_US, US, until
from tests.support.rtsp_camera import RtspCamera
from tests.support.silent_sets import all_silenced
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.storage.verify import verify_directory

CLIPS = at_most(8, 4)


def coding(codec: str, gop: int, b_frames: int, *, open_gop: bool) -> dict[str, str]:
    params = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:b-adapt=0:open-gop={int(open_gop)}"
    if codec == "h264":
        return {"c:v": "libx264", "preset": "veryfast", "x264-params": f"{params}:b-pyramid=normal"}
    return {"c:v": "libx265", "preset": "ultrafast", "tag:v": "hvc1", "x265-params": f"log-level=error:{params}"}


@cut_short
@each_value(gop=[(1, False), (2, False), (10, False), (1, True)], b_frames=[0, 3], codec=["h264", "hevc"])
async def test_all_frames_are_stored_at_their_times_and_clips_of_any_range_are_exact(
    tmp_path: Path, binary: str, codec: str, b_frames: int, gop: tuple[int, bool]
) -> None:
    gop_s, open_gop = gop
    times = [START_US + number * FRAME_US for number in range((gop_s + 2) * FPS)]
    path = tmp_path / "input.mp4"
    await write_foreign_video(path, times, coding(codec, gop_s * FPS, b_frames, open_gop=open_gop))
    source = Tap(open_input(path, binary))
    async with store_of(source, tmp_path, binary, live=False) as store:
        await asyncio.wait_for(store.ended(), 150)
        assert not source.gaps
        recorded = sorted(source.times_us)
        segments = sorted((tmp_path / "storage").glob("*.mp4"))
        contents = [read_fragments(one) for one in segments]
        leading = [one.leading.shown_us if one.leading is not None else () for one in contents]
        stored = [[*first, *one.times_us] for first, one in zip(leading, contents, strict=True)]
        assert [time_us for times_us in stored for time_us in times_us] == recorded
        assert any(leading) is (open_gop and b_frames > 0 and codec == "hevc")
        assert distances(recorded) == distances(times)
        assert any(content.is_reordered for content in contents) is bool(b_frames)
        assert all(one.end_us - one.first_us <= 2_000_000 for content in contents for one in content.fragments)
        dice = random.Random(f"{codec} {b_frames} {gop_s}")
        for number in range(CLIPS):
            first = dice.randrange(len(times) - 1)
            last = dice.randrange(first + 1, len(times))
            clip = await store.fetch(recorded[first], recorded[last], container="fmp4" if number % 3 == 0 else "mp4")
            shown = read_clip(clip.data)
            assert [frame and frame.captured_us for _, frame in shown] == times[first:last], (first, last)
            off_us = [
                (seconds - shown[0][0]) * 1_000_000 - (time_us - times[first])
                for (seconds, _), time_us in zip(shown, times[first:last], strict=True)
            ]
            assert max(map(abs, off_us)) < 15 and clip.ranges is None
    report = await verify_directory(tmp_path / "storage")
    # Those at the beginning of a file that need the one before it are not decoded.
    assert not report.findings
    assert len(times) - len(segments) * b_frames <= report.decoded_frames <= len(times)
    assert open_gop or report.decoded_frames == len(times)


@pytest.mark.parametrize("b_frames", [0, 2])
async def test_a_clip_of_the_open_segment_lacks_no_frame_and_its_fragments_are_short(
    tmp_path: Path, binary: str, b_frames: int
) -> None:
    """However far keyframes are apart: fragments are cut in time, also between a frame and those shown before it."""
    camera = NetworkCamera(b_frames=b_frames, gop=1000)
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    storage = tmp_path / "storage"

    def stored_us() -> int:
        opened = list(storage.glob("*.open"))
        with contextlib.suppress(NotOursError, FileNotFoundError):
            return read_fragments(opened[0]).complete_until_us if opened else 0
        return 0

    try:
        async with store_of(source, tmp_path, binary, live=True) as store:
            await until(lambda: len(source.packets_seen) > 0)
            first_us = source.packets_seen[0].captured_us
            for seconds in range(1, 5):
                await until(lambda seconds=seconds: stored_us() > first_us + seconds * US)  # type: ignore[misc]
                clip = await store.fetch(first_us, max(source.times_us) + 1)
                shown = [frame and frame.captured_us for _, frame in read_clip(clip.data)]
                begin = camera.delivered.index(shown[0] or 0)
                assert shown == camera.delivered[begin : begin + len(shown)]
            (path,) = storage.glob("*.open")
            content = read_fragments(path)
            # A fragment is cut at a frame: where a busy machine delivers none for a while, it is longer by that.
            longest_us = max(2 * US, US + 2 * max(distances(camera.delivered)))
            assert all(one.end_us - one.first_us <= longest_us for one in content.fragments)
            assert len(content.keyframes_us) == 1
    finally:
        await camera.stop()


@pytest.mark.parametrize("told", [True, False])
async def test_b_frames_over_rtsp_are_stored_at_their_distances_and_clips_of_them_are_exact(
    tmp_path: Path, binary: str, told: bool
) -> None:
    """RTP does not tell when frames are decoded, and many cameras not how far they are reordered."""
    pictures = code(Coding("h264", b_frames=3, length_s=6))
    pictures = pictures if told else all_silenced(pictures)
    async with RtspCamera(pictures) as camera, watching_lateness() as late:
        source = Tap(open_input(camera.url, binary))
        async with store_of(source, tmp_path, binary, live=True) as store:
            await until(lambda: len(list((tmp_path / "storage").glob("*.mp4"))) >= 2)
            seen = source.packets_seen[:]
            for packet, sent in zip(seen, pictures, strict=False):
                assert slices("h264", packet.data) == slices("h264", sent.data)
            segments = sorted((tmp_path / "storage").glob("*.mp4"))
            stored = [time_us for one in segments for time_us in read_fragments(one).times_us]
            assert len(stored) > CODED_FPS and stored == sorted(source.times_us)[: len(stored)]
            for first, last in ((0, len(stored)), (4, 22), (9, 10)):
                clip = await store.fetch(stored[first], stored[last] if last < len(stored) else stored[-1] + 1)
                shown = [frame and painted_number(frame.captured_us) for _, frame in read_clip(clip.data)]
                assert shown == [number % len(pictures) for number in range(first, last)]
    true = [one.shown * US // CODED_FPS for one in pictures]
    moved = [time_us - source.times_us[0] - place for time_us, place in zip(source.times_us, true, strict=False)]
    assert not source.gaps and source.packets_seen[0].format.reordered
    assert max(map(abs, moved)) < US // CODED_FPS + late.us
