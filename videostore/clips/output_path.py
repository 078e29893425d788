"""The output path of an export: checks that writing it destroys nothing, neither of the recording nor of others."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from videostore.base.errors import RequestError

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def check_output_path(path: Path, storage: Path, overwrite: bool) -> Path:
    """The path of a file to write, with the links in its directory resolved. Blocking.

    Raises:
        RequestError: it must not be written.
        OSError: its directory cannot be read.
    """
    if not path.parent.is_dir():
        raise RequestError("no-output-directory", directory=path.parent, name=path.name)
    resolved = path.parent.resolve(strict=True) / path.name
    if _is_inside(resolved.parent, storage):
        raise RequestError("output-in-storage", path=path, directory=storage)
    with contextlib.suppress(FileNotFoundError):
        mode = resolved.lstat().st_mode
        if not overwrite:
            raise RequestError("output-exists", path=path)
        if not stat.S_ISREG(mode):
            raise RequestError("output-not-a-file", path=path, found=_KINDS.get(stat.S_IFMT(mode), "a device"))
    return resolved


def written_bytes(path: Path) -> int:
    """How much of an output was written. Blocking."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def remove_written(path: Path) -> int:
    """Remove an output, if it is there. Blocking."""
    path.unlink(missing_ok=True)
    return 0


def _is_inside(directory: Path, storage: Path) -> bool:
    """Compares the directories themselves, because each may have several names."""
    try:
        recording = storage.stat()
    except OSError:  # it does not exist at the moment
        return directory.is_relative_to(os.path.realpath(storage))
    return any(os.path.samestat(one.stat(), recording) for one in (directory, *directory.parents))
