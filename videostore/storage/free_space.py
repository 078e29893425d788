"""Free space on the device of the storage path."""

from __future__ import annotations

import os
import shutil

from videostore.base.disk_look import ANSWERS_WITHIN_S, disk_answers
from videostore.base.errors import ConfigError, VideoStoreError
from videostore.config import StorageConfig


def check_disk(storage: StorageConfig) -> None:
    """Check that the disk of the storage path answers, and is large enough for the space to keep free. Blocking.

    Raises:
        VideoStoreError: it does not answer (`storage-stalled`).
        ConfigError, OSError: as `check_floor`.
    """
    path = storage.storage_path
    if not disk_answers(path):
        raise VideoStoreError(
            "storage-stalled", attribute="storage.storage_path", path=path, timeout_s=ANSWERS_WITHIN_S
        )
    check_floor(storage)


def check_floor(storage: StorageConfig) -> None:
    """Check that the space to keep free is smaller than the device of the storage path. Blocking.

    A storage path that does not exist is on the device of the first directory above it that does.

    Raises:
        ConfigError: it is not (`floor-beyond-device`).
        OSError: the storage path cannot be read.
    """
    if storage.min_free_gb is None:  # the default is a share of the device
        return
    path = storage.storage_path
    total_bytes = shutil.disk_usage(next(one for one in (path, *path.parents) if os.path.exists(one))).total
    if storage.min_free_bytes(total_bytes) >= total_bytes:
        raise ConfigError(
            "floor-beyond-device",
            attribute="storage.min_free_gb",
            value=storage.min_free_gb,
            path=storage.storage_path,
            device_bytes=total_bytes,
        )


def shortage_bytes(storage: StorageConfig, spared_bytes: int = 0) -> int:
    """How many bytes must be freed to keep as much free as configured; negative if more is free. Blocking.

    Up to half of that may be taken by `spared_bytes`, which will be free again by themselves.

    Raises:
        OSError: the storage path does not exist, or cannot be read.
    """
    usage = shutil.disk_usage(storage.storage_path)
    min_free_bytes = storage.min_free_bytes(usage.total)
    return min_free_bytes - min(spared_bytes, min_free_bytes // 2) - usage.free
