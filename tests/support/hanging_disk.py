"""A disk in user space (FUSE) that hangs for real while its process is stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_MOUNTED_WITHIN_S = 60.0


class HangingDisk:
    """A mounted disk that can hang."""

    def __init__(self, path: Path, process_id: int) -> None:
        self.path = path
        self.process_id = process_id

    def hang(self) -> None:
        """From now on, whatever asks it waits."""
        os.kill(self.process_id, signal.SIGSTOP)

    def go_on(self) -> None:
        """What waits goes on."""
        os.kill(self.process_id, signal.SIGCONT)


@contextlib.contextmanager
def hanging_disk(directory: Path) -> Iterator[HangingDisk]:
    """Mount a disk in a directory. It is the test's last use of the disk that leaves the context."""
    behind, path = directory / "behind", directory / "disk"
    behind.mkdir()
    path.mkdir()
    if shutil.which("mergerfs") is None or os.geteuid() != 0:
        pytest.skip("only root can mount with mergerfs, which may not be there")
    # It is asked whenever a file is closed: bindfs refuses that once, and is asked no more.
    server = subprocess.Popen(["mergerfs", "-f", "-o", "minfreespace=0,cache.files=auto-full", behind, path])
    try:
        deadline = time.monotonic() + _MOUNTED_WITHIN_S
        while not path.is_mount():
            if server.poll() is not None:
                pytest.skip("mergerfs cannot mount here")
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield HangingDisk(path, server.pid)
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGCONT)
            subprocess.run(["umount", "--lazy", path], check=False)
            server.kill()
            server.wait()
