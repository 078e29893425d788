"""A store over a recording, and the storage directory of the Go module."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.go_directory import SECONDS, GoDirectory
from tests.support.recording import Stores, write_foreign
from videostore.store.store import VideoStore


@pytest.fixture(scope="session")
def go_segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Segments of 3 s: a usual one, one of another size and one of another codec."""
    directory = tmp_path_factory.mktemp("segments")
    asyncio.run(write_foreign(directory / "usual.mp4", seconds=SECONDS))
    asyncio.run(write_foreign(directory / "large.mp4", seconds=SECONDS, size=(320, 240)))
    return directory


@pytest.fixture
async def store(stores: Stores, recording: Path) -> VideoStore:
    """A store over 7 s of recording, an hour later."""
    return await stores.over(recording)


@pytest.fixture
def go(stores: Stores, go_segments: Path, tmp_path: Path) -> GoDirectory:
    """A directory that the Go module has left; the test puts segments into it."""
    return GoDirectory(stores, go_segments, tmp_path)
