"""Free space on the device of the storage path."""

from __future__ import annotations

import shutil

from videostore.base.errors import ConfigError, shown
from videostore.config import StorageConfig


def check_floor(storage: StorageConfig) -> None:
    """Refuse to keep more room free than the device of the storage path has. Blocking.

    Raises:
        ConfigError: it is smaller.
    """
    total_bytes = shutil.disk_usage(storage.storage_path).total
    if storage.min_free_bytes(total_bytes) >= total_bytes:
        raise ConfigError(
            f"The attribute storage.min_free_gb is {shown(storage.min_free_gb)}, but must be less than the "
            f"size of the device of {str(storage.storage_path)!r}, {total_bytes / 2**30:.2f} GiB."
        )


def shortage_bytes(storage: StorageConfig) -> int:
    """What the device of the storage path lacks of the room that must stay free; negative where it has more."""
    usage = shutil.disk_usage(storage.storage_path)
    return storage.min_free_bytes(usage.total) - usage.free
