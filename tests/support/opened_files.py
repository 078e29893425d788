"""Watches which files this process opens, or keeps it from opening any."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

_watched: list[tuple[Path, set[str]]] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | bytes | os.PathLike):
        path = Path(os.fsdecode(arguments[0]))
        for directory, opened in _watched:
            if path.suffix == ".mp4" and directory in path.parents:
                opened.add(path.name)


sys.addaudithook(_note)


@contextlib.contextmanager
def watched_opens(directory: Path) -> Iterator[set[str]]:
    """The names of the segments that are opened below a directory in the meantime, also by other names of theirs."""
    opened: set[str] = set()
    _watched.append((directory, opened))
    try:
        yield opened
    finally:
        _watched.remove((directory, opened))


@contextlib.contextmanager
def no_file_can_be_opened() -> Iterator[None]:
    """As where a process has too many of them open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
