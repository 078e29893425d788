from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence

import pytest

from videostore.media.packet import FaultCount, Gap, Packet, Source, StreamFormat, batches_of


class Pictures:
    """A source of the least code."""

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        yield Packet(StreamFormat("mjpeg", 2, 2), b"x", 5)
        yield Gap("the camera is off")


def test_everything_with_packets_is_a_source() -> None:
    assert isinstance(Pictures(), Source)
    assert not isinstance(object(), Source)
    assert not isinstance(Pictures(), FaultCount)


async def test_an_image_is_a_keyframe_unless_its_source_says_otherwise() -> None:
    packet, gap = [item async for item in Pictures().packets()]
    assert isinstance(packet, Packet) and packet.keyframe and packet.format.parameter_sets == b""
    assert gap == Gap("the camera is off")


def test_formats_are_equal_if_one_run_can_hold_both() -> None:
    plain = StreamFormat("h264", 1920, 1080, b"sets")
    assert plain == StreamFormat("h264", 1920, 1080, b"sets")
    assert len({plain, StreamFormat("h264", 1920, 1080, b"other"), StreamFormat("hevc", 1920, 1080, b"sets")}) == 3
    assert StreamFormat("mjpeg", 2, 2) != StreamFormat("mjpeg", 2, 2, orientation=6)


def test_a_packet_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Packet(StreamFormat("mjpeg", 2, 2), b"x", 5).captured_us = 6  # type: ignore[misc]


class Together(Pictures):
    """A source whose packets come together."""

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        async for batch in self.batches():
            for item in batch:
                yield item

    async def batches(self) -> AsyncIterator[Sequence[Packet | Gap]]:
        yield [Gap("the first"), Gap("the second")]
        yield [Gap("the third")]


class Filtered(Together):
    """A source of a user that changes what another one yields."""

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        async for item in super().packets():
            if item != Gap("the second"):
                yield item


async def test_what_comes_together_is_taken_together() -> None:
    first, second, third = Gap("the first"), Gap("the second"), Gap("the third")
    assert [list(batch) async for batch in batches_of(Together())] == [[first, second], [third]]
    assert [len(batch) async for batch in batches_of(Pictures())] == [1, 1]
    assert [list(batch) async for batch in batches_of(Filtered())] == [[first], [third]]
