from __future__ import annotations

import math
from pathlib import Path

import pytest

from videostore.base.errors import ConfigError, NoRoomError, TooLargeError
from videostore.clips.limits import check_clip_room, check_response_size
from videostore.config import StorageConfig
from videostore.storage.free_space import check_floor, shortage_bytes

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


def test_more_than_the_disk_has_cannot_be_kept_free(small_disk: Path, tmp_path: Path) -> None:
    check_floor(StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=0.01))
    with pytest.raises(ConfigError, match=r"min_free_gb is 1, but must be less than .* 0\.01 GiB"):
        check_floor(StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=1))


def test_what_the_device_lacks_of_the_floor_is_told(small_disk: Path, tmp_path: Path) -> None:
    storage = StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=6 / 1024)
    assert shortage_bytes(storage) == -6 * MIB
    (small_disk / "file").write_bytes(bytes(8 * MIB))
    assert shortage_bytes(storage) == 2 * MIB
