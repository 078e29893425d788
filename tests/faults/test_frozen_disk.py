"""A disk that is frozen for real: whatever writes to it waits until it is thawed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.machine import US, Machine, run_machine
from videostore.ffmpeg.process import BINARY_VARIABLE

SLOW = """#!/bin/sh
case "$*" in *"{disk}"*) [ -e "{slow}" ] && exec "{binary}" -re "$@" ;; esac
exec "{binary}" "$@"
"""
Slow = tuple[Machine, Path]


class FreezableDisk:
    """A mounted file system that can be frozen."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def freeze(self) -> None:
        subprocess.run(["fsfreeze", "--freeze", self.path], check=True)

    def thaw(self) -> None:
        subprocess.run(["fsfreeze", "--unfreeze", self.path], check=False, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FreezableDisk]:
    image, path = tmp_path / "image", tmp_path / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount an image with ext4")
    disk = FreezableDisk(path)
    yield disk
    disk.thaw()
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture
async def slow(tmp_path: Path, disk: FreezableDisk, binary: str) -> AsyncIterator[Slow]:
    """A machine that writes clips to the disk no faster than they are played, until its file is removed."""
    file, script = tmp_path / "slow", tmp_path / "ffmpeg"
    file.touch()
    script.write_text(SLOW.format(disk=disk.path, slow=file, binary=binary))
    script.chmod(0o755)
    async with run_machine(tmp_path, env={BINARY_VARIABLE: str(script)}) as machine:
        yield machine, file


async def stop_a_cut(machine: Machine, directory: Path, span: dict[str, int]) -> asyncio.Task[Any]:
    """Begin a save, and stop its ffmpeg while it writes into a directory."""
    for _ in range(50):
        save = asyncio.create_task(machine.command("save", **span))
        while not save.done():
            for child in machine.parent.children():
                with contextlib.suppress(psutil.Error):
                    command = child.cmdline()
                    if "-progress" in command and any(str(directory) in part for part in command):
                        child.suspend()
                        if not save.done() and list(directory.rglob("*.prog")):
                            return save
                        child.resume()
            await asyncio.sleep(0)
        await save
    raise AssertionError("each ffmpeg was too quick")


async def test_while_the_disk_of_the_upload_path_is_frozen_recording_status_and_fetches_go_on(
    slow: Slow, disk: FreezableDisk
) -> None:
    """One save is cancelled while its ffmpeg writes, so that its partial file cannot be removed."""
    machine, file = slow
    await machine.add(storage={"upload_path": str(disk.path / "upload")})
    await machine.until(lambda: machine.camera.delivered)
    from_us = machine.camera.delivered[0]
    await machine.recorded_until(from_us + 2 * US)
    span = {"from_us": from_us, "to_us": from_us + 2 * US}
    cancelled = await stop_a_cut(machine, disk.path, span)
    file.unlink()
    await asyncio.to_thread(disk.freeze)
    try:
        cancelled.cancel()
        # More than there are threads for the upload path.
        waiting = [asyncio.create_task(machine.command("save", **span)) for _ in range(6)]
        await machine.record(5)
        to_us = machine.camera.delivered[-1]
        await machine.recorded_until(to_us)
        check, answer = await machine.fetch(from_us, to_us)
        assert check.flawless and "ranges" not in answer, check
        status = await machine.status()
        assert (status["recording"], status["ffmpeg_restarts"], status["dropped_frames"]) == (True, 0, 0)
        assert not any(save.done() for save in waiting)
    finally:
        await asyncio.to_thread(disk.thaw)
    clips = await asyncio.gather(*waiting)
    assert all((disk.path / "upload" / clip["filename"]).exists() for clip in clips)
    await machine.until(lambda: not list(disk.path.rglob("*.prog")))


async def test_a_recorder_starts_while_the_disk_of_the_upload_path_is_frozen(
    machine: Machine, disk: FreezableDisk
) -> None:
    await asyncio.to_thread(disk.freeze)
    try:
        await machine.add(storage={"upload_path": str(disk.path / "upload")})
        await machine.until(lambda: machine.camera.delivered)
        from_us = machine.camera.delivered[0]
        await machine.recorded_until(from_us + 3 * US)
    finally:
        await asyncio.to_thread(disk.thaw)
    answer = await machine.command("save", from_us=from_us, to_us=from_us + 2 * US)
    assert (disk.path / "upload" / answer["filename"]).exists()


async def test_a_frozen_storage_disk_is_told_with_its_directory_and_recorded_on_again(
    machine: Machine, disk: FreezableDisk
) -> None:
    """It still tells how large it is, and what is written to it waits."""
    storage = disk.path / "storage"
    await machine.add(storage={"storage_path": str(storage), "size_gb": 0.03, "min_free_gb": 0.001})
    await machine.record(2)
    await asyncio.to_thread(disk.freeze)
    try:
        assert (await asyncio.to_thread(shutil.disk_usage, disk.path)).total

        async def is_told() -> bool:
            status = await machine.status()
            return not status["recording"] and f"disk of '{storage}' " in str(status["reason"])

        await machine.until(is_told)
    finally:
        await asyncio.to_thread(disk.thaw)
    from_us = machine.camera.delivered[-1]
    await machine.recorded_until(from_us + 4 * US)
