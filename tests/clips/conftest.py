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


@pytest.fixture
def stuck_ffmpeg(tmp_path: Path, binary: str) -> Path:
    """An ffmpeg that does nothing as long as the file `stuck` exists."""
    stuck = tmp_path / "stuck"
    stuck.touch()
    script = tmp_path / "ffmpeg"
    script.write_text(f'#!/bin/sh\nwhile [ -e "{stuck}" ]; do sleep 0.05; done\nexec "{binary}" "$@"\n')
    script.chmod(0o755)
    return script
