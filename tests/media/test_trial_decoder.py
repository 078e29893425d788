from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.coding import coded_packets, record_coded
from tests.support.damaged_frames import LENGTH, SLICE, damage_frame
from tests.support.recording import H264, H265, START_US, US, capture_times, record, take_over
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
from videostore.media.trial_decoder import undecodable_fragments


@pytest.mark.parametrize("encoder", [H264, H265])
async def test_a_fragment_decodes_unless_a_frame_of_it_is_damaged(tmp_path: Path, encoder: Encoder) -> None:
    await record(tmp_path, capture_times(4), encoder=encoder, segment_seconds=30)
    await take_over(tmp_path)
    path = tmp_path / f"{START_US // US}.mp4"
    content = read_fragments(path)
    assert undecodable_fragments(path, content.codec, content.fragments) == frozenset()
    damaged = {damage_frame(path, 2, 4, SLICE if encoder is H264 else LENGTH).times_us[0]}
    assert undecodable_fragments(path, content.codec, content.fragments) == damaged
    assert undecodable_fragments(path, content.codec, content.fragments[:2]) == frozenset()
    assert undecodable_fragments(path, "av1", content.fragments) == frozenset()


async def test_a_keyframe_that_does_not_decode_is_found_in_a_stream_with_few_of_them(tmp_path: Path) -> None:
    await record_coded(tmp_path, coded_packets(capture_times(6), "h264", gop=20), segment_seconds=30)
    await take_over(tmp_path)
    path = tmp_path / f"{START_US // US}.mp4"
    content = read_fragments(path)
    keyed = [number for number, one in enumerate(content.fragments) if one.is_keyed]
    damaged = damage_frame(path, keyed[1], 0, SLICE).times_us[0]
    found = undecodable_fragments(path, content.codec, content.fragments)
    assert damaged in found
    assert max(found) < content.fragments[keyed[2]].times_us[0]
