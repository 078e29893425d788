from __future__ import annotations

import io

import av
import pytest

from tests.support.coding import coded_packets
from tests.support.recording import capture_times
from videostore.media.nut_header import with_decode_delay
from videostore.recording.nut_writer import NutWriter


def test_how_far_frames_are_reordered_is_read_from_the_header_and_its_checksum_is_right() -> None:
    packets = coded_packets(capture_times(0.5), "h264", gop=5)
    writer = NutWriter(packets[0], 20)
    for one in packets:
        writer.add(one)
    written = bytes(writer.end())
    assert with_decode_delay(written, 0) == written  # so the checksum is the muxer's
    changed = with_decode_delay(written, 7)
    assert len(changed) == len(written) and sum(a != b for a, b in zip(written, changed, strict=True)) <= 5
    with av.open(io.BytesIO(changed), format="nut") as container:
        assert [bytes(one) for one in container.demux(video=0) if one.size] == [one.data for one in packets]


def test_what_has_no_header_of_a_stream_is_refused() -> None:
    with pytest.raises(ValueError):
        with_decode_delay(b"nut/multimedia container\0", 2)
