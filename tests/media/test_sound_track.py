from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest

from tests.support.clapping import Clapping, clapping, record_clapping
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.storage.segment_files import close_segment


def given(camera: Clapping) -> list[tuple[int, int]]:
    """Its sound from the first frame on."""
    first_us = camera.packets[0].captured_us
    sounds = [sound for one in camera.packets for sound in one.sound]
    return [(one.captured_us, len(one.data)) for one in sounds if one.captured_us >= first_us]


def stored(paths: list[Path]) -> list[tuple[int, int]]:
    return [
        pair
        for path in paths
        for stretch in read_fragments(path).sounds
        for pair in zip(stretch.times_us, stretch.sizes, strict=True)
    ]


@pytest.mark.parametrize(
    "camera",
    [
        pytest.param(clapping(7), id="aac"),
        pytest.param(clapping(7, codec="libopus", rate=48000), id="opus"),
        pytest.param(clapping(7, gop_s=3, b_frames=2), id="b-frames"),
        pytest.param(clapping(7).without_sound(1.5, 4.7), id="lost-for-a-while"),
    ],
)
async def test_a_closed_segment_tells_when_each_packet_of_sound_was_captured(tmp_path: Path, camera: Clapping) -> None:
    run = await record_clapping(tmp_path, camera)
    opened = sorted(tmp_path.glob("*.open"))
    expected = given(camera)
    rough = stored(opened)
    assert [size for _, size in rough] == [size for _, size in expected]
    for path in opened:
        assert close_segment(path, finished_only=True, run=run) is not None
    closed = sorted(tmp_path.glob("*.mp4"))
    assert len(closed) >= 3
    exact = stored(closed)
    assert [size for _, size in exact] == [size for _, size in expected]
    assert max(abs(found - true) for (found, _), (true, _) in zip(exact, expected, strict=True)) <= 130
    for path in closed:
        content = read_fragments(path)
        assert content.sound is not None and content.sound.placed == bool(content.sounds)
        assert not content.has_holes and not content.end_lost
        assert read_ends(path).end_us == content.end_us
        frames = [one.captured_us for one in camera.packets if content.start_us <= one.captured_us < content.end_us]
        assert all(abs(a - b) <= 1 for a, b in zip(content.times_us, sorted(frames), strict=True))


async def test_sound_of_an_open_segment_is_right_to_half_a_packet(tmp_path: Path) -> None:
    camera = clapping(7)
    await record_clapping(tmp_path, camera)
    pairs = zip(stored(sorted(tmp_path.glob("*.open"))), given(camera), strict=True)
    assert max(abs(found - true) for (found, _), (true, _) in pairs) <= camera.sound_us // 2 + 130


async def test_other_programs_play_sound_and_picture_of_a_segment_at_the_same_time(tmp_path: Path) -> None:
    camera = clapping(5)
    run = await record_clapping(tmp_path, camera)
    for path in sorted(tmp_path.glob("*.open")):
        close_segment(path, finished_only=True, run=run)
    for path in tmp_path.glob("*.mp4"):
        start_us = read_fragments(path).start_us
        with av.open(str(path)) as container:
            sound = container.streams.audio[0]
            shown = [float(one.pts * one.time_base) for one in container.demux(sound) if one.size]
        true = [(time_us - start_us) / 1e6 for time_us, _ in stored([path])]
        assert shown == pytest.approx(true, abs=0.0002)
        assert all(0 < after - before < 0.07 for before, after in itertools.pairwise(shown))
