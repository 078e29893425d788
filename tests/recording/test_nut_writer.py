from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path

import av
import pytest

from tests.support.clapping import FPS, clapping, record_clapping
from tests.support.recording import SMALL, START_US, US, capture_times, packet
from videostore.media.fmp4 import read_fragments
from videostore.recording.nut_writer import NutWriter
from videostore.sources.arrival_time import ArrivalTimeEstimator
from videostore.storage.segment_files import close_segment


@pytest.mark.parametrize("mime", ["image/jpeg", "image/png", "image/vnd.viam.rgba"])
def test_packets_come_out_of_the_stream_with_their_bytes_and_exact_times(mime: str) -> None:
    packets = [packet(time_us, SMALL, mime) for time_us in capture_times(1)]
    writer = NutWriter(packets[0], framerate=20)
    for one in packets:
        writer.add(one)
    stream = bytes(writer.end())
    with av.open(io.BytesIO(stream), format="nut") as container:
        found = [(bytes(one), one.pts * one.time_base) for one in container.demux() if one.size and one.pts is not None]
    assert [data for data, _ in found] == [one.data for one in packets]
    assert [round(time_s * 1_000_000) for _, time_s in found] == [one.captured_us - START_US for one in packets]


def test_each_packet_can_be_taken_at_once() -> None:
    packets = [packet(time_us, SMALL) for time_us in capture_times(0.5)]
    writer = NutWriter(packets[0], framerate=20)
    for one in packets:
        writer.add(one)
        assert writer.waiting_bytes >= len(one.data)
        assert one.data in writer.take() and writer.waiting_bytes == 0


def test_packets_that_are_taken_together_are_the_same_stream() -> None:
    packets = [packet(time_us, SMALL) for time_us in capture_times(0.5)]
    one_by_one, together = NutWriter(packets[0], framerate=20), NutWriter(packets[0], framerate=20)
    parts = bytearray()
    for one in packets:
        one_by_one.add(one)
        parts += one_by_one.take()
        together.add(one)
    assert parts + one_by_one.end() == together.end()


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("earlier_us", [20_000, 98_000, 400_000])
async def test_no_frame_is_lost_when_a_better_estimate_dates_pictures_and_sound_earlier(
    tmp_path: Path, b_frames: int, earlier_us: int
) -> None:
    """Packets of sound come closer together than NUT can tell apart."""
    camera, dates, packets = clapping(3, b_frames=b_frames), ArrivalTimeEstimator(), []
    for place, one in enumerate(camera.packets):
        delay_us = 500_000 - (earlier_us if place >= 37 else 0)
        assert dates.observe(one.captured_us - START_US, START_US + place * US // FPS + delay_us)
        captured_us = dates.date(one.captured_us - START_US)
        moved_us = captured_us - one.captured_us
        sound = tuple(replace(heard, captured_us=heard.captured_us + moved_us) for heard in one.sound)
        packets.append(replace(one, captured_us=captured_us, sound=sound))
    run = await record_clapping(tmp_path, replace(camera, packets=tuple(packets)))
    stored = [read_fragments(path) for path in run.open_paths()]
    assert sorted(time_us for one in stored for time_us in one.times_us) == sorted(one.captured_us for one in packets)
    heard = [time_us for one in stored for part in one.fragments for sound in part.sounds for time_us in sound.times_us]
    assert len(heard) >= sum(len(one.sound) for one in packets) - 1  # the first one begins before the first frame


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("codec, rate", [("libopus", 48_000), ("aac", 16_000)])
@pytest.mark.parametrize("moved_us, later_us", [(0, -9), (0, -3), (0, 2), (8, 1), (8, -12), (13, 0)])
async def test_sound_that_is_captured_with_a_keyframe_keeps_its_time(
    tmp_path: Path, moved_us: int, later_us: int, codec: str, rate: int, b_frames: int
) -> None:
    """Counted in samples, it may come before the keyframe or behind it, whichever came first."""
    camera = clapping(4, codec=codec, rate=rate, b_frames=b_frames)
    heard = [one for sent in camera.packets for one in sent.sound]
    keyframe_us = START_US + 2 * US
    nearest_us = min((one.captured_us for one in heard), key=lambda one: abs(one - keyframe_us))
    by_us = keyframe_us + moved_us + later_us - nearest_us
    packets = []
    for place, one in enumerate(camera.packets):
        sound = tuple(replace(part, captured_us=part.captured_us + by_us) for part in one.sound)
        packets.append(replace(one, captured_us=one.captured_us + moved_us * (place > 0), sound=sound))
    run = await record_clapping(tmp_path, replace(camera, packets=tuple(packets)), segment_seconds=1)
    stored: list[tuple[int, bytes]] = []
    for opened in run.open_paths():
        segment = close_segment(opened, False, run)
        assert segment is not None
        path = tmp_path / segment.file_name
        content, data = read_fragments(path), path.read_bytes()
        assert content.sound is not None and content.sound.placed
        for part in (part for fragment in content.fragments for part in fragment.sounds):
            ends = itertools.accumulate(part.sizes, initial=part.begin_byte)
            parts = [data[begin:end] for begin, end in itertools.pairwise(ends)]
            stored += zip(part.times_us, parts, strict=True)
    given = [one for sent in packets for one in sent.sound][-len(stored) :]
    assert [one.data for one in given] == [data for _, data in stored]
    assert max(abs(one.captured_us - time_us) for one, (time_us, _) in zip(given, stored, strict=True)) <= US / rate + 2
