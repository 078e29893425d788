"""What the tests of the storage share."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.recording import LOGGER
from videostore.storage.archive import Archive


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    """An archive over an empty directory."""
    archive = await Archive.open(tmp_path / "storage", LOGGER)
    yield archive
    await archive.close()


@pytest.fixture
def storage(tmp_path: Path, recording: Path) -> Path:
    """A copy of the recording of 7 s: four closed segments, and their index."""
    return Path(shutil.copytree(recording, tmp_path / "storage"))
