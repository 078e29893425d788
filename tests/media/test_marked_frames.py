"""Marked frames: a segment tells which of its stretches came damaged, whole or cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.coding import coded_packets, record_coded
from tests.support.marked import LOST, marked
from tests.support.recording import US, capture_times
from videostore.base.ranges import DamagedRange
from videostore.media.fmp4 import read_fragments
from videostore.media.marked_frames import read_damage
from videostore.media.packet import Packet

GOP = 10


def captured(packets: list[Packet]) -> list[int]:
    return sorted(one.captured_us for one in packets)


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_a_stretch_lasts_from_the_first_marked_frame_to_the_next_keyframe(
    tmp_path: Path, codec: str, b_frames: int
) -> None:
    packets = coded_packets(capture_times(5), codec, gop=GOP, b_frames=b_frames)
    keyframes = [number for number, one in enumerate(packets) if one.keyframe]
    first, last = keyframes[1] + 4, keyframes[2] - 1
    await record_coded(tmp_path, marked(packets, first, last), segment_seconds=60)
    (path,) = tmp_path.iterdir()
    found = read_damage(path, read_fragments(path))
    begin_us = min(one.captured_us for one in packets[first : last + 1])
    assert found == (DamagedRange(begin_us, packets[keyframes[2]].captured_us, LOST),)


async def test_a_damaged_end_lasts_to_the_end_of_the_segment_and_goes_on_in_the_next(tmp_path: Path) -> None:
    packets = coded_packets(capture_times(4), "h264", gop=GOP)
    await record_coded(tmp_path, marked(packets, 15, 24), segment_seconds=2)
    one, other = sorted(tmp_path.iterdir())
    content = read_fragments(one)
    assert read_damage(one, content) == (DamagedRange(packets[15].captured_us, content.end_us, LOST),)
    goes_on = DamagedRange(packets[20].captured_us, packets[25].captured_us, LOST)
    assert read_damage(other, read_fragments(other)) == (goes_on,)


async def test_what_is_whole_has_no_damage_and_what_is_cut_off_keeps_its_marks(tmp_path: Path) -> None:
    packets = coded_packets(capture_times(4), "h264", gop=GOP)
    await record_coded(tmp_path / "whole", packets, segment_seconds=60)
    (path,) = (tmp_path / "whole").iterdir()
    assert read_damage(path, read_fragments(path)) == ()
    await record_coded(tmp_path / "cut", marked(packets, 12, 19), segment_seconds=60)
    (path,) = (tmp_path / "cut").iterdir()
    whole = read_fragments(path)
    path.write_bytes(path.read_bytes()[: whole.fragments[2].begin_byte + 100])
    content = read_fragments(path)
    assert len(content.fragments) < len(whole.fragments)
    assert read_damage(path, content) == (DamagedRange(packets[12].captured_us, content.end_us, LOST),)


async def test_a_mark_that_speaks_of_another_day_is_believed_for_its_frame_only(tmp_path: Path) -> None:
    packets = coded_packets(capture_times(2), "h264", gop=GOP)
    early = [*packets[:5], *marked(packets, 5, 9)[5:10], *packets[10:]]
    for number in range(5, 10):
        mark = early[number].damage
        assert mark is not None
        object.__setattr__(mark, "since_us", mark.since_us - 86_400 * US)
    await record_coded(tmp_path, early, segment_seconds=60)
    (path,) = tmp_path.iterdir()
    (found,) = read_damage(path, read_fragments(path))
    assert (found.from_us, found.to_us) == (packets[5].captured_us, packets[10].captured_us)
