from __future__ import annotations

import math
from pathlib import Path

import pytest

from videostore.base.errors import NoRoomError, TooLargeError
from videostore.clips.limits import check_clip_room, check_response_size

MIB = 1 << 20


def test_a_clip_that_does_not_fit_on_the_disk_is_refused_with_the_length_that_would(small_disk: Path) -> None:
    directory = small_disk / "not" / "made" / "yet"
    check_clip_room(directory, 11 * MIB, 60_000_000)
    with pytest.raises(
        NoRoomError, match=r"about 24\.0 MiB, but the disk of .* room for 11\.8 MiB\. Ask for at most 29\.\d s"
    ) as error:
        check_clip_room(directory, 24 * MIB, 60_000_000)
    assert (error.value.path, error.value.size_bytes) == (directory, 24 * MIB)
    assert error.value.free_bytes is not None and 11 * MIB < error.value.free_bytes < 12 * MIB
    assert error.value.longest_s == math.floor(600 * error.value.free_bytes / (24 * MIB)) / 10


def test_a_clip_that_is_too_large_for_a_response_is_refused_with_the_length_that_is_not() -> None:
    check_response_size(24 * MIB, 60_000_000, 24 * MIB)
    with pytest.raises(
        TooLargeError, match=r"about 48\.0 MiB; a grpc response holds at most 24\.0 MiB\. .* at most 30 s"
    ) as error:
        check_response_size(48 * MIB, 60_000_000, 24 * MIB)
    assert (error.value.size_bytes, error.value.limit_bytes, error.value.longest_s) == (48 * MIB, 24 * MIB, 30.0)


def test_the_longest_length_is_rounded_down_to_a_tenth_of_a_second() -> None:
    for size_bytes, longest_s in [(1001, 59.9), (1_000_000, 0.0), (3000, 20.0), (7000, 8.5)]:
        with pytest.raises(TooLargeError) as error:
            check_response_size(size_bytes, 60_000_000, 1000)
        assert error.value.longest_s == longest_s
        assert error.value.code == ("clip-too-large" if longest_s else "limit-too-small")


def test_a_limit_that_no_clip_fits_into_is_said_to_be_too_small() -> None:
    with pytest.raises(TooLargeError, match=r"about 1\.9 MiB; the limit of 1000 bytes is too small for any part of it"):
        check_response_size(2_000_000, 60_000_000, 1000)
