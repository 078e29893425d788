from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from videostore.base.constants import GIB, MIB
from videostore.config.attributes import parse_config
from videostore.config.model import StorageConfig


def storage(size_gb: float = 10, min_free_gb: float | None = None) -> StorageConfig:
    return StorageConfig(size_gb, Path("/srv/rec"), Path("/srv/up"), 30, min_free_gb)


@pytest.mark.parametrize(("size_gb", "expected"), [(1, 1 << 30), (0.5, 1 << 29), (50.0, 50 << 30), (2.25, 9 << 28)])
def test_the_quota_is_counted_in_gib(size_gb: float, expected: int) -> None:
    quota = storage(size_gb).quota_bytes
    assert quota == expected
    assert type(quota) is int


@pytest.mark.parametrize(
    ("device_bytes", "expected"), [(GIB, GIB // 20), (5 * GIB, 256 * MIB), (1000 * GIB, 256 * MIB)]
)
def test_without_min_free_gb_a_share_of_the_device_stays_free(device_bytes: int, expected: int) -> None:
    assert storage().min_free_bytes(device_bytes) == expected


@pytest.mark.parametrize("device_bytes", [GIB, 1000 * GIB])
def test_min_free_gb_applies_to_any_device(device_bytes: int) -> None:
    assert storage(min_free_gb=0.5).min_free_bytes(device_bytes) == GIB // 2


def test_a_config_cannot_be_changed() -> None:
    config, _ = parse_config("recorder", {"sync": "s", "storage": {"size_gb": 1}})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.framerate = 1  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.storage.size_gb = 1  # type: ignore[misc]
