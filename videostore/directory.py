"""The storage directory: what lies in it, and how a segment that is finished gets its name. All of it blocks."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from videostore.fragments import read_fragments
from videostore.run import sync_file
from videostore.segment import SUFFIX, Segment, closed_name, describe_fragments, name_time_us, parse_open_name
from videostore.upload import sync_directory


def close_segment(path: Path, finished_only: bool) -> Segment | None:
    """Put a segment's bytes on stable storage and give it the first free name; leave links alone. Blocking."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    content = read_fragments(path)
    if finished_only and not content.finished:
        return None
    if not content.finished:  # cut off by a kill or a power failure, behind the last whole fragment
        os.truncate(path, content.size_bytes)
    sync_file(path)
    for taken in range(1_000_000):
        target = path.with_name(closed_name(content.start_us, taken))
        if _rename_to_free(path, target):
            break
    sync_directory(path.parent)
    run = parse_open_name(path.name)
    segment = describe_fragments(target.name, content, run[1] if run else None)
    return replace(segment, size_bytes=target.stat().st_size)


def _rename_to_free(path: Path, target: Path) -> bool:
    """Rename, unless the name is taken: nothing is ever written over."""
    try:
        os.link(path, target)
    except FileExistsError:
        if not path.samefile(target):  # else an earlier process was killed between the two names
            return False
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links; nobody else gives names here
        if target.exists():
            return False
        os.rename(path, target)
        return True
    path.unlink()
    return True


def list_directory(directory: Path) -> tuple[list[str], list[str]]:
    """Names of the open and of the closed segments in a directory; other files and all directories are not ours.

    Blocking, and without a question to the disk for each file.
    """
    opened, closed = [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name.endswith(SUFFIX):
                if name_time_us(name) is not None and _is_file(entry):
                    closed.append(name)
            elif parse_open_name(name) and _is_file(entry):
                opened.append(name)
    return opened, closed


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def compare(closed: list[str], indexed: dict[str, int]) -> tuple[list[str], list[str]]:
    """What the index does not know, and what has no file."""
    on_disk = set()
    for name in closed:  # one by one: a single call over all would hold up every other thread
        on_disk.add(name)
    return [name for name in closed if name not in indexed], [name for name in indexed if name not in on_disk]
