"""Where an import puts the segments of a file until they are complete."""

from __future__ import annotations

import shutil
from pathlib import Path

STAGE = ".import"
"""In the storage directory, so that the segments can be moved to their place at once."""


def clear_import(directory: Path) -> None:
    """Remove what an import has left in a storage directory that this process has locked. Blocking.

    An import holds the lock as well, so the import that left it was killed. What cannot be removed stays.
    """
    shutil.rmtree(directory / STAGE, ignore_errors=True)
