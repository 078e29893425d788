from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.recording import Cutter


@pytest.fixture
async def whole(cutter: Callable[[Path], Awaitable[Cutter]], recording: Path, tmp_path: Path) -> Cutter:
    """Cuts clips of a copy of the recording of 7 s."""
    shutil.copytree(recording, tmp_path / "storage")
    return await cutter(tmp_path / "storage")
