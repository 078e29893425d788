"""Orphans: ffmpeg processes of a killed module that are still writing to the storage directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from videostore.media.segment_names import open_pattern

if TYPE_CHECKING:
    import psutil


def find_orphans(directory: Path, run_us: Iterable[int]) -> dict[int, psutil.Process]:
    """The processes whose command lines name these runs of the directory, by the epoch of the run. Blocking.

    The path in the command line may be a link, or relative to the working directory of the process.
    """
    wanted = {open_pattern(one): one for one in run_us}
    found: dict[int, psutil.Process] = {}
    if wanted:
        import psutil  # slow to import, and seldom needed

        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                for argument in process.cmdline():
                    parent, separator, pattern = argument.rpartition(os.sep)
                    if separator and pattern in wanted and _is_directory(process, parent + separator, directory):
                        found[wanted[pattern]] = process
    return found


def _is_directory(process: psutil.Process, escaped: str, directory: Path) -> bool:
    """Whether a path on the command line of a process is the directory; percent signs in it are doubled."""
    path = escaped.replace("%%", "%")
    if not os.path.isabs(path):
        path = os.path.join(process.cwd(), path)
    if os.path.realpath(path) == os.path.realpath(directory):
        return True
    with contextlib.suppress(OSError):
        return os.path.samefile(path, directory)
    return False
