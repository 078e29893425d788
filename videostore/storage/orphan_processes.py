"""Orphans: ffmpeg processes that a killed module left behind, and that still write into the storage directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from videostore.media.segment_names import open_pattern


def find_orphans(directory: Path, run_us: Iterable[int]) -> dict[int, psutil.Process]:
    """The processes whose command lines name these runs of the directory, by whatever path, by the run's epoch.

    Blocking.
    """
    wanted = {open_pattern(one): one for one in run_us}
    found: dict[int, psutil.Process] = {}
    if wanted:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                for argument in process.cmdline():
                    parent, separator, pattern = argument.rpartition(os.sep)
                    if separator and pattern in wanted and _names(process, parent + separator, directory):
                        found[wanted[pattern]] = process
    return found


def _names(process: psutil.Process, told: str, directory: Path) -> bool:
    """Whether that is what a process calls the directory: it may be a link's name, or lie below its own directory."""
    path = told.replace("%%", "%")
    if not os.path.isabs(path):
        path = os.path.join(process.cwd(), path)
    if os.path.realpath(path) == os.path.realpath(directory):
        return True
    with contextlib.suppress(OSError):
        return os.path.samefile(path, directory)
    return False
