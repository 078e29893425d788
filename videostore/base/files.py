"""Paths, and files and directories that must reach stable storage."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from videostore.base.errors import reason_of
from videostore.base.system import rename_exclusively, sync_data

AnyPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""A path as a caller of the library may give it: whatever `os.fspath` takes."""
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
_WRONG_PATHS = frozenset(
    {errno.EEXIST, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}
)
PASSING_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})
"""Errors that pass when the system has resources again. Others, such as those of a bad sector, stay."""


def as_path(path: AnyPath) -> Path:
    """The same path as a `Path`.

    Raises:
        TypeError: it is not a path.
    """
    return Path(os.fsdecode(path))


def mount_point(directory: AnyPath) -> Path:
    """The directory where the device of a directory is mounted. Blocking."""
    resolved = Path(os.path.realpath(as_path(directory)))
    return next(path for path in (resolved, *resolved.parents) if os.path.ismount(path))


def make_private_directory(directory: AnyPath) -> None:
    """Create a directory that only its owner can read, unless it exists. Its parents are created as usual. Blocking.

    Raises:
        OSError: it cannot be created.
    """
    path = as_path(directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def missing_directories(directory: AnyPath) -> list[Path]:
    """What creating a directory creates: itself and those above it that do not exist, the innermost first. Blocking."""
    path = as_path(directory)
    return [one for one in (path, *path.parents) if not os.path.lexists(one)]


def remove_empty_directories(directories: Iterable[Path]) -> None:
    """Remove directories, in this order, unless something is in them. Blocking."""
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()


def why_not_created(directory: AnyPath, error: OSError) -> str:
    """Why a directory cannot be created or used: what is in its place, who has no right, or what the system says.

    Blocking.
    """
    path = as_path(directory)
    steps = (*reversed(path.parents), path)
    for one in steps:
        if os.path.lexists(one) and not os.path.isdir(one):
            return f"{one} is a link that leads nowhere" if os.path.islink(one) else f"{one} is not a directory"
    if error.errno == errno.ENOENT:  # such as below /proc
        exists = next(one for one in path.parents if os.path.isdir(one))
        return f"no directory can be created in {exists}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return _no_right(steps)
    return reason_of(error)


def why_no_place(directory: AnyPath) -> str | None:
    """Why nothing can be written to a directory, which need not exist: what is in its place, or who has no right. None
    if nothing is wrong with it, or only with its disk, which may be read-only or not be mounted. Blocking.
    """
    path = as_path(directory)
    steps = (*reversed(path.parents), path)
    last = path
    for one in steps:
        if os.path.isdir(one):
            last = one
        elif os.path.exists(one):
            return f"{one} is not a directory"
    if _leads_nowhere(path):
        return None
    with contextlib.suppress(OSError):
        if not os.access(last, os.W_OK | os.X_OK) and not os.statvfs(last).f_flag & os.ST_RDONLY:
            return _no_right(steps)
    return None


def is_wrong_path(directory: Path, error: OSError) -> bool:
    """Whether a directory cannot be created for what is wrong with its path, rather than with its disk. Blocking."""
    return error.errno in _WRONG_PATHS and not (error.errno == errno.EEXIST and _leads_nowhere(directory))


def _leads_nowhere(path: Path) -> bool:
    """Whether a path is, or is below, a link to what does not exist: a disk may be mounted there later. Blocking."""
    return any(os.path.islink(one) and not os.path.exists(one) for one in (path, *path.parents))


def _no_right(steps: Sequence[Path]) -> str:
    closed = next((one for one in steps if os.path.isdir(one) and not os.access(one, os.X_OK)), None)
    refused = closed or next(one for one in reversed(steps) if os.path.isdir(one))
    user, owner = _user_name(os.geteuid()), _user_name(refused.stat().st_uid)
    return f"the user {user.removeprefix('user ')} has no right to do that in {refused}, which belongs to {owner}"


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container
        return f"user {number}"


def rename_to_free(source: Path, target: Path) -> None:
    """Rename a file unless the new name exists: nothing is overwritten, whatever other processes do. Blocking.

    Raises:
        FileExistsError: the new name exists.
        OSError: the file cannot be renamed.
    """
    try:
        os.link(source, target)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # no hard links; some servers say that in their own way, or fail to say that it was made
        if not _is_same(source, target):
            if not rename_exclusively(source, target):
                _replace_empty(source, target)
            return
    source.unlink()


def _is_same(source: Path, target: Path) -> bool:
    try:
        return os.path.samestat(source.lstat(), target.lstat())
    except FileNotFoundError:
        return False


def _replace_empty(source: Path, target: Path) -> None:
    """Take the name with an empty file, which only one process can, and replace that."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        os.replace(source, target)
    except OSError:
        target.unlink()
        raise


def open_regular(path: AnyPath, buffering: int = -1) -> BinaryIO:
    """Open a file to read it. One that another program left in its place, such as a named pipe, would block. Blocking.

    Raises:
        OSError: it does not exist, is not a regular file, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return os.fdopen(descriptor, "rb", buffering)
    except BaseException:
        os.close(descriptor)
        raise


def kind_of_file(mode: int) -> str:
    """What is there that is not a regular file, from the mode in its status."""
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def sync_file(path: AnyPath) -> None:
    """Force a file's bytes to stable storage. Blocking.

    Raises:
        OSError: the file does not exist, or the device failed.
    """
    # Read-only: closing a descriptor that could write would tell the watcher that the segment was closed.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        sync_data(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: AnyPath) -> None:
    """Force a directory's entries, which are the names in it, to stable storage. Blocking.

    Some file systems cannot do this and do not need it: a failure is ignored.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
