from __future__ import annotations

from pathlib import Path

import pytest

from videostore.base.errors import ConfigError
from videostore.config import StorageConfig
from videostore.storage.free_space import check_floor, shortage_bytes

MIB = 1 << 20


def test_more_than_the_device_has_cannot_be_kept_free(small_disk: Path, tmp_path: Path) -> None:
    check_floor(StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=0.01))
    with pytest.raises(ConfigError, match=r"min_free_gb is 1\. It must be less than .* 0\.01 GiB") as raised:
        check_floor(StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=1))
    assert (raised.value.code, raised.value.attribute) == ("floor-beyond-device", "storage.min_free_gb")
    assert (raised.value.value, raised.value.path) == (1, small_disk)
    assert raised.value.fields["device_bytes"] == 12 * MIB


def test_the_shortage_is_what_must_be_freed_to_reach_the_floor(small_disk: Path, tmp_path: Path) -> None:
    storage = StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=6 / 1024)
    assert shortage_bytes(storage) == -6 * MIB
    (small_disk / "file").write_bytes(bytes(8 * MIB))
    assert shortage_bytes(storage) == 2 * MIB


def test_up_to_half_of_the_floor_may_be_taken_for_a_while(small_disk: Path, tmp_path: Path) -> None:
    storage = StorageConfig(1, small_disk, tmp_path, 30, min_free_gb=6 / 1024)
    (small_disk / "file").write_bytes(bytes(8 * MIB))
    assert shortage_bytes(storage, spared_bytes=MIB) == MIB
    assert shortage_bytes(storage, spared_bytes=100 * MIB) == -MIB
