from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US
from videostore.base.errors import NoRoomError, VideoStoreError
from videostore.storage.directory_lock import DirectoryLock
from videostore.store.import_place import check_place, opened


async def test_a_refusal_removes_what_was_created_for_it_and_nothing_else(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "sd"
    for kept in (False, True):
        with pytest.raises(NoRoomError):
            async with opened(directory, LOGGER) as archive:
                if kept:
                    (directory / f"{START_US}.mp4").touch()
                await check_place(archive, Path("video.mp4"), 1 << 20, 1e-6)
        assert directory.exists() is kept and (tmp_path / "new").exists() is kept


async def test_a_directory_in_use_is_refused_and_stays(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path / "door")
    try:
        with pytest.raises(VideoStoreError) as refused:
            async with opened(tmp_path / "door", LOGGER):
                pass
    finally:
        lock.release()
    assert refused.value.code == "import-while-recording" and (tmp_path / "door").is_dir()


async def test_more_than_the_disk_holds_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path / "sd", LOGGER) as archive:
        with pytest.raises(NoRoomError) as refused:
            await check_place(archive, Path("video.mp4"), 1 << 60, None)
    assert refused.value.code == "import-beyond-disk"
