"""The target of an export: the file that a clip becomes, never one that the recording or somebody else needs."""

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


def check_target(path: Path, storage: Path, overwrite: bool) -> Path:
    """The path of a file that is to be written, without links on the way to it. Blocking.

    Raises:
        RequestError: it may not be written; the sentence says why.
        OSError: its directory cannot be read.
    """
    if not path.parent.is_dir():
        raise RequestError(f"There is no directory {path.parent} for the file {path.name}: make it first.")
    target = path.parent.resolve(strict=True) / path.name
    if _lies_in(target.parent, storage):
        raise RequestError(f"The file {path} would lie in the storage directory {storage}: name one outside of it.")
    with contextlib.suppress(FileNotFoundError):
        mode = target.lstat().st_mode
        if not overwrite:
            raise file_exists_error(path)
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "a device")
            raise RequestError(f"{path} is {kind}, and nothing but a regular file is overwritten: name another one.")
    return target


def file_exists_error(path: Path) -> RequestError:
    """What is said of a file that is not to be overwritten."""
    return RequestError(f"The file {path} exists already: name another one, or overwrite it.")


def _lies_in(directory: Path, storage: Path) -> bool:
    """By what the directories are, for each may have several names."""
    try:
        recording = storage.stat()
    except OSError:  # it is gone just now
        return directory.is_relative_to(os.path.realpath(storage))
    return any(os.path.samestat(one.stat(), recording) for one in (directory, *directory.parents))
