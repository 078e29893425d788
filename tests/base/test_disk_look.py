from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import Stores, until
from videostore.base import disk_look
from videostore.base.disk_look import disk_answers
from videostore.base.errors import VideoStoreError
from videostore.config import parse_config
from videostore.storage import free_space


class Disk:
    """Keeps all who ask for its space waiting, as a disk does that hangs."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked: list[Path] = []
        self._ask = os.statvfs

    def ask(self, path: Any) -> Any:
        self.asked.append(Path(path))
        assert self.answers.wait(120)
        return self._ask(path)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    with monkeypatch.context() as patched:
        patched.setattr(os, "statvfs", disk.ask)
        patched.setattr(disk_look, "ANSWERS_WITHIN_S", 0.2)
        patched.setattr(free_space, "ANSWERS_WITHIN_S", 0.2)
        yield disk
        disk.answers.set()


async def test_a_disk_that_hangs_is_asked_once_however_often_a_recorder_is_tried(tmp_path: Path, disk: Disk) -> None:
    directory = tmp_path / "a" / "b"
    for _ in range(3):
        assert not await asyncio.to_thread(disk_answers, directory)
    assert disk.asked == [tmp_path]
    disk.answers.set()
    await until(lambda: not disk_look._looks)


def test_a_directory_of_any_kind_is_on_a_disk_that_answers(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for directory in (tmp_path, tmp_path / "file" / "below", tmp_path / "link", Path("/"), Path("a\0b")):
        assert disk_answers(directory)
    assert not disk_look._looks


async def test_a_recorder_is_refused_with_its_directory_and_starts_when_its_disk_goes_on(
    tmp_path: Path, disk: Disk
) -> None:
    stores = Stores(tmp_path)
    with pytest.raises(VideoStoreError, match=f"storage.storage_path '{stores.storage}' does not respond") as told:
        await asyncio.wait_for(stores.open(), 60)
    assert told.value.code == "storage-stalled"
    assert not stores.storage.exists()
    disk.answers.set()
    await until(lambda: not disk_look._looks)
    await stores.open()
    await stores.close()


async def test_a_config_with_directories_on_a_disk_that_hangs_is_checked(tmp_path: Path, disk: Disk) -> None:
    """A config that is refused is not tried again, so this is no reason to refuse it."""
    storage = {"size_gb": 1, "storage_path": str(tmp_path / "a"), "upload_path": str(tmp_path / "b")}
    given = {"sync": "data-manager", "storage": storage}
    config, warnings = await asyncio.to_thread(parse_config, "recorder", given)
    assert config.storage.storage_path == tmp_path / "a" and not warnings
    storage["upload_path"] = str(tmp_path / "a" / "x" / ".." / "b")
    with pytest.raises(VideoStoreError, match="neither inside the other"):
        await asyncio.to_thread(parse_config, "recorder", given)
