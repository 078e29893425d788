"""Orphans: ffmpeg processes that a killed module left behind, and that still write into the storage directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil

from videostore.run import output_pattern


def find_orphans(directory: Path, run_us: Iterable[int]) -> dict[int, psutil.Process]:
    """The processes whose command lines name these runs of the directory, by the run's epoch. Blocking."""
    wanted = {output_pattern(directory, one): one for one in run_us}
    found: dict[int, psutil.Process] = {}
    if wanted:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                for argument in process.cmdline():
                    if argument in wanted:
                        found[wanted[argument]] = process
    return found
