"""Limits that no number of free bytes shows: the oldest segments go, and recording goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.support.disk import flawless_now, recording_now
from tests.support.recording import SIZE, Pulse, Stores, until

MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes a file system in a file, and mounts it."""
    mounted: list[Path] = []

    def make(size_bytes: int, *command: str) -> Path:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        file, directory = tmp_path / "image", tmp_path / "mounted"
        with file.open("wb") as new:
            new.truncate(size_bytes)
        directory.mkdir()
        subprocess.run([*command, file], check=True, capture_output=True)
        if subprocess.run(["mount", "-o", "loop", file, directory], capture_output=True).returncode:
            pytest.skip("only root can mount a file system, and the kernel must know it")
        mounted.append(directory)
        return directory

    yield make
    for directory in mounted:
        subprocess.run(["umount", "-l", directory], check=True)


@pytest.fixture
async def limited(image: Callable[..., Path]) -> AsyncIterator[Callable[[Path], Stores]]:
    """Stores in a directory, which are closed before it is unmounted."""
    opened: list[Stores] = []

    def stores(directory: Path) -> Stores:
        opened.append(Stores(directory))
        return opened[-1]

    yield stores
    for one in opened:
        await one.close()


def limit_share(share: Path) -> None:
    """Create a subvolume of a btrfs with a quota of 4 MiB."""
    commands: tuple[tuple[str | Path, ...], ...] = (
        ("quota", "enable", share.parent),
        ("subvolume", "create", share),
        ("qgroup", "limit", "4M", share),
    )
    for command in commands:
        subprocess.run(["btrfs", *command], check=True, capture_output=True)


async def records_on(stores: Stores, size: tuple[int, int]) -> None:
    """Record until the first segments are gone, and go on without a flaw."""
    pulse = Pulse(0.05, size)
    store = await stores.open(pulse, segment_seconds=1, min_free_gb=1e-6)
    await until(lambda: store.health().segments >= 2)
    first = min(stores.storage.glob("*.mp4"))
    await until(lambda: not first.exists())
    free_bytes = shutil.disk_usage(stores.directory).free
    await until(lambda: recording_now(store))
    await flawless_now(store, pulse)
    health = store.health()
    assert health.segments > 0 and free_bytes > MIB
    assert health.storage_limit is not None and str(stores.storage) in health.storage_limit


@pytest.mark.exhaustive
async def test_a_quota_of_the_file_system_costs_the_oldest_segments(
    image: Callable[..., Path], limited: Callable[[Path], Stores]
) -> None:
    root = image(130 * MIB, "mkfs.btrfs", "-q")
    limit_share(root / "share")
    await records_on(limited(root / "share"), (640, 360))
    # Without room, a write to memory that is shared through a file ends the process there.
    assert not list((root / "share").rglob("*-shm"))


async def test_a_file_system_without_inodes_costs_the_oldest_segments(
    image: Callable[..., Path], limited: Callable[[Path], Stores]
) -> None:
    root = image(128 * MIB, "mkfs.ext4", "-q", "-T", "largefile4")
    await records_on(limited(root), SIZE)
