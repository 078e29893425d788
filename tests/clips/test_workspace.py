from __future__ import annotations

import asyncio
import subprocess
import tempfile
from pathlib import Path

import pytest

from videostore.base.errors import NoRoomError
from videostore.clips.workspace import Workspaces


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary directory."""
    path = tmp_path / "elsewhere"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


async def test_a_workspace_is_there_as_long_as_its_context(tmp_path: Path) -> None:
    base = tmp_path / ".cuts"
    async with Workspaces(base).make() as work:
        assert work.parent == base and work.is_dir()
        (work / "list.txt").write_text("x")
    assert list(base.iterdir()) == []


async def test_it_is_made_elsewhere_where_the_directory_is_full_and_is_swept_by_its_owner_alone(
    small_disk: Path, elsewhere: Path
) -> None:
    mine, other = Workspaces(small_disk / "mine"), Workspaces(small_disk / "other")
    async with mine.make(20 << 20) as work, other.make(20 << 20) as theirs, Workspaces(None).make() as reading:
        assert {path.parent for path in (work, theirs, reading)} == {elsewhere}
        mine.sweep()
        assert not work.exists() and theirs.exists() and reading.exists()
        Workspaces(None).sweep()
        assert theirs.exists() and reading.exists()


async def test_where_nowhere_is_room_that_is_said_with_what_there_is(small_disk: Path) -> None:
    with pytest.raises(NoRoomError, match=r"about 1073741824\.0 MiB .* neither .* nor .* has room for more than"):
        async with Workspaces(small_disk / ".cuts").make(1 << 50):
            pass
    with pytest.raises(NoRoomError, match=r"elsewhere has no room for more than"):
        async with Workspaces(None).make(1 << 50):
            pass


async def test_one_that_nobody_waits_for_any_more_is_removed_all_the_same(tmp_path: Path) -> None:
    base = tmp_path / ".cuts"

    async def take() -> None:
        async with Workspaces(base).make():
            await asyncio.sleep(60)

    for pause_s in (0, 0.0005, 0.05):
        task = asyncio.create_task(take())
        await asyncio.sleep(pause_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not base.exists() or list(base.iterdir()) == []


async def test_one_whose_user_is_cancelled_again_and_again_is_removed_all_the_same(tmp_path: Path) -> None:
    base = tmp_path / ".cuts"

    async def take() -> None:
        async with Workspaces(base).make() as work:
            for number in range(300):
                (work / f"{number}.mp4").touch()
            await asyncio.sleep(60)

    for pause_s in (0, 0.0005, 0.05):
        for times in (2, 3, 4):
            task = asyncio.create_task(take())
            await asyncio.sleep(pause_s)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not base.exists() or list(base.iterdir()) == []


def test_readers_that_start_sweep_what_dead_ones_left_and_nothing_else(elsewhere: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, alive = elsewhere / f"videostore-reading-{dead.pid}-abc_12", elsewhere / "videostore-reading-1-abc_12"
    others = [elsewhere / "videostore-reading-mine", elsewhere / f"videostore-reading-{dead.pid}"]
    for path in (left, alive, *others):
        path.mkdir()
        (path / "list.txt").touch()
    Workspaces(None).sweep()
    assert sorted(elsewhere.iterdir()) == sorted([alive, *others])
