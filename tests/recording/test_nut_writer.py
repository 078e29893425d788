from __future__ import annotations

import io

import av
import pytest

from tests.support.recording import SMALL, START_US, capture_times, packet
from videostore.recording.nut_writer import NutWriter


@pytest.mark.parametrize("mime", ["image/jpeg", "image/png", "image/vnd.viam.rgba"])
def test_packets_come_out_of_the_stream_with_their_bytes_and_exact_times(mime: str) -> None:
    packets = [packet(time_us, SMALL, mime) for time_us in capture_times(1)]
    writer = NutWriter(packets[0], framerate=20)
    stream = b"".join([*(bytes(writer.add(one)) for one in packets), bytes(writer.end())])
    with av.open(io.BytesIO(stream), format="nut") as container:
        found = [(bytes(one), one.pts * one.time_base) for one in container.demux() if one.size and one.pts is not None]
    assert [data for data, _ in found] == [one.data for one in packets]
    assert [round(time_s * 1_000_000) for _, time_s in found] == [one.captured_us - START_US for one in packets]


def test_each_packet_is_sent_at_once() -> None:
    packets = [packet(time_us, SMALL) for time_us in capture_times(0.5)]
    writer = NutWriter(packets[0], framerate=20)
    assert all(len(writer.add(one)) >= len(one.data) for one in packets)
