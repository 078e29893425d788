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
