from __future__ import annotations

from pathlib import Path

from tests.support.coding import coded_packets, record_coded
from tests.support.recording import capture_times
from videostore.media.fmp4 import read_ends, read_fragments


async def test_reordered_frames_have_their_capture_times_in_both_orders(tmp_path: Path) -> None:
    times = capture_times(3.3, fps=20)
    packets = coded_packets(times, "h264", gop=200, b_frames=2)
    assert packets[0].format.reordered and [one.captured_us for one in packets] != times
    await record_coded(tmp_path, packets, segment_seconds=30)
    (path,) = tmp_path.iterdir()
    content = read_fragments(path)
    assert content.is_reordered and len(content.fragments) >= 3
    assert content.times_us == times and content.start_us == times[0]
    assert [content.start_us + one.shown_us for one in content.order] == [one.captured_us for one in packets]
    decoded_us = [one.decoded_us for one in content.order]
    assert decoded_us == sorted(set(decoded_us))
    assert all(one.decoded_us <= one.shown_us for one in content.order)
    assert content.keyframes_us == content.entries_us == times[:1]
    assert content.end_us == read_ends(path).end_us > times[-1]
    assert content.complete_until_us == content.end_us  # nothing follows in a finished file


async def test_an_unfinished_file_is_complete_up_to_where_no_earlier_frame_can_follow(tmp_path: Path) -> None:
    times = capture_times(3.3, fps=20)
    packets = coded_packets(times, "h264", gop=200, b_frames=2)
    await record_coded(tmp_path, packets, segment_seconds=30)
    (path,) = tmp_path.iterdir()
    ragged = 0
    for whole in read_fragments(path).fragments[:-1]:
        content = read_fragments(path, whole.end_byte)
        until_us = content.complete_until_us
        assert [one for one in content.times_us if one < until_us] == [one for one in times if one < until_us]
        assert content.fragments[-1].first_us < until_us
        ragged += content.times_us[-1] >= until_us
    assert ragged  # else this test shows nothing


async def test_frames_in_the_order_of_showing_have_one_order(tmp_path: Path) -> None:
    times = capture_times(1.2, fps=20)
    await record_coded(tmp_path, coded_packets(times, "h264", gop=10), segment_seconds=30)
    (path,) = tmp_path.iterdir()
    content = read_fragments(path)
    assert not content.is_reordered and content.order == () and content.complete_until_us == content.end_us
