"""What it means that a storage directory cannot be created or opened."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.files import why_not_created


def storage_error(directory: Path, error: OSError | sqlite3.Error, *, read_only: bool = False) -> VideoStoreError:
    """The error that says why, and what would be right. Blocking."""
    if not isinstance(error, OSError):
        return VideoStoreError("storage-unusable", path=directory, reason=reason_of(error))
    reason = why_not_created(directory, error)
    if read_only or os.path.isdir(directory):
        return VideoStoreError("storage-unusable", path=directory, reason=reason)
    return VideoStoreError("storage-not-created", attribute="storage.storage_path", path=directory, reason=reason)
