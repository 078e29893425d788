from __future__ import annotations

from pathlib import Path

import pytest

from videostore.base.errors import ConfigError, NoRoomError, TooLargeError
from videostore.clips.limits import check_answer_size, check_clip_room
from videostore.config import StorageConfig
from videostore.storage.free_space import check_floor, shortage_bytes

MIB = 1 << 20


def test_a_clip_that_fits_is_let_pass_and_one_that_does_not_is_told_what_would(small_disk: Path) -> None:
    check_clip_room(small_disk / "not" / "made" / "yet", 11 * MIB, 60_000_000)
    with pytest.raises(NoRoomError, match=r"about 24\.0 MiB, but the disk of .* 11\.8 MiB: ask for at most 29\.\d s"):
        check_clip_room(small_disk / "not" / "made" / "yet", 24 * MIB, 60_000_000)


def test_an_answer_that_would_be_too_large_is_told_how_long_it_may_be() -> None:
    check_answer_size(24 * MIB, 60_000_000, 24 * MIB)
    with pytest.raises(TooLargeError, match=r"about 48\.0 MiB, but a grpc answer carries 24\.0 MiB: .* at most 30 s"):
        check_answer_size(48 * MIB, 60_000_000, 24 * MIB)


def test_more_than_the_device_has_cannot_be_kept_free(small_disk: Path, tmp_path: Path) -> None:
    check_floor(StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=0.01))
    with pytest.raises(ConfigError, match=r"min_free_gb is 1, but must be less than .* 0\.01 GiB"):
        check_floor(StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=1))


def test_what_the_device_lacks_of_the_floor_is_told(small_disk: Path, tmp_path: Path) -> None:
    storage = StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=6 / 1024)
    assert shortage_bytes(storage) == -6 * MIB
    (small_disk / "file").write_bytes(bytes(8 * MIB))
    assert shortage_bytes(storage) == 2 * MIB
