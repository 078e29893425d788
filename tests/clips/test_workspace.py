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


async def test_a_workspace_exists_until_its_context_ends(tmp_path: Path) -> None:
    base = tmp_path / ".cuts"
    async with Workspaces(base).make() as work:
        assert work.parent == base and work.is_dir()
        (work / "list.txt").write_text("x")
    assert list(base.iterdir()) == []


async def test_within_a_workspace_with_room_no_other_one_is_made(small_disk: Path) -> None:
    workspaces = Workspaces(small_disk / "mine")
    async with workspaces.make() as work:
        async with workspaces.make(1 << 20, work) as same:
            assert same == work and workspaces.promised_bytes == 1 << 20
        assert work.is_dir()
        async with workspaces.make(20 << 20, work) as other:  # more than the disk has
            assert other != work
        assert work.is_dir() and not other.exists()


async def test_a_workspace_is_elsewhere_if_the_directory_is_full_and_only_its_owner_sweeps_it(
    small_disk: Path, elsewhere: Path
) -> None:
    mine, other = Workspaces(small_disk / "mine"), Workspaces(small_disk / "other")
    async with mine.make(20 << 20) as work, other.make(20 << 20) as theirs, Workspaces(None).make() as reading:
        assert {path.parent for path in (work, theirs, reading)} == {elsewhere}
        mine.sweep()
        assert not work.exists() and theirs.exists() and reading.exists()
        Workspaces(None).sweep()
        assert theirs.exists() and reading.exists()


async def test_a_workspace_for_which_there_is_no_room_is_refused_with_the_free_space(small_disk: Path) -> None:
    with pytest.raises(NoRoomError, match=r"about 1073741824\.0 MiB .* neither .* nor .* has more than") as error:
        async with Workspaces(small_disk / ".cuts").make(1 << 50):
            pass
    assert error.value.path == small_disk / ".cuts" and error.value.size_bytes == 1 << 50
    assert error.value.free_bytes is not None and error.value.free_bytes < 1 << 50
    with pytest.raises(NoRoomError, match=r"temporary space, but .*elsewhere has \d"):
        async with Workspaces(None).make(1 << 50):
            pass


async def test_a_system_without_a_usable_temporary_directory_costs_only_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unwritable = "/proc"  # for root too, as on a system that is read-only or full
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [unwritable])
    monkeypatch.setenv("TMPDIR", unwritable)
    recorder, reader = Workspaces(tmp_path / ".cuts"), Workspaces(None)
    for one in (recorder, reader):
        one.sweep()
    async with recorder.make(1 << 10) as work:
        assert work.is_dir()
    with pytest.raises(NoRoomError, match=rf"about 1\.0 MiB of temporary space, but {unwritable} has 0 bytes"):
        async with reader.make():
            pass


async def test_the_workspace_of_a_cancelled_task_is_removed(tmp_path: Path) -> None:
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


async def test_the_workspace_of_a_task_that_is_cancelled_repeatedly_is_removed(tmp_path: Path) -> None:
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


def test_a_reader_removes_only_the_workspaces_of_readers_that_ended(elsewhere: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, alive = elsewhere / f"videostore-reading-{dead.pid}-abc_12", elsewhere / "videostore-reading-1-abc_12"
    others = [elsewhere / "videostore-reading-mine", elsewhere / f"videostore-reading-{dead.pid}"]
    for path in (left, alive, *others):
        path.mkdir()
        (path / "list.txt").touch()
    Workspaces(None).sweep()
    assert sorted(elsewhere.iterdir()) == sorted([alive, *others])
