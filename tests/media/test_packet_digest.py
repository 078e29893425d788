from __future__ import annotations

import hashlib
import random
import threading

import pytest

from videostore.media.packet_digest import PacketDigest


@pytest.mark.parametrize("count", [0, 1, 400])
def test_the_digest_is_that_of_all_packets_in_their_order(count: int) -> None:
    dice = random.Random(count)
    packets = [
        (None if number == 7 else number * 3, dice.randbytes(dice.randint(1, 90_000))) for number in range(count)
    ]
    expected = hashlib.sha256(b"h264 1/90000 ")
    with PacketDigest(b"h264 1/90000 ") as digest:
        for pts, data in packets:
            digest.add(pts, memoryview(data))
            expected.update(f"{pts} {len(data)} ".encode() + data)
        assert digest.hexdigest() == expected.hexdigest()[:32]


def test_no_thread_is_left_if_reading_ends_early() -> None:
    with pytest.raises(InterruptedError), PacketDigest(b"") as digest:
        for number in range(100):
            digest.add(number, memoryview(bytes(100_000)))
        raise InterruptedError
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("videostore digest")]
