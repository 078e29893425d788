"""Servers that the tests of a file share."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recording import write_foreign
from tests.support.web_server import FOREIGN_S, WebServer, run_web


@pytest.fixture(scope="session")
def mixed(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording, and a plain MP4 as the Go module writes it behind a gap. Tests must not change it."""
    directory = tmp_path_factory.mktemp("mixed") / "Front Door"
    shutil.copytree(recording, directory)
    asyncio.run(write_foreign(directory / f"{FOREIGN_S}.mp4"))
    return directory


@pytest.fixture(scope="module")
def web(mixed: Path) -> Iterator[WebServer]:
    """A server over it."""
    with run_web([mixed]) as server:
        yield server
