"""Finds the storage directory to read."""

from __future__ import annotations

import os
from pathlib import Path

from videostore.base.errors import NothingStoredError, RequestError, reason_of
from videostore.base.files import why_not_created
from videostore.cli import environment
from videostore.cli.arguments import unescape
from videostore.config import DEFAULT_STORAGE_PATH
from videostore.media.segment_names import name_time_us, parse_open_name
from videostore.storage.damaged_files import DAMAGED_DIRECTORY
from videostore.storage.index import FILE_NAME

_LISTED = 10


def find_directory(given: Path | None) -> Path:
    """The directory that `--storage` or the environment names; otherwise the one that holds a recording.

    That is the current directory if it holds one, otherwise the only such directory below `~/.viam/video-storage`.

    Raises:
        RequestError: there is no such directory, or there are several.
    """
    if given is None and (named := os.environ.get(environment.STORAGE)):
        given = Path(named)
    if given is not None:
        return _checked(Path(unescape(str(given))).expanduser().absolute())
    here = Path.cwd()
    if _holds_recording(here):
        return here
    home = Path(DEFAULT_STORAGE_PATH).expanduser()
    found = _recordings_in(home)
    if len(found) == 1:
        return found[0]
    if found:
        raise RequestError("several-storages", found=_listed(found), variable=environment.STORAGE)
    raise RequestError("no-storage-found", here=here, home=home, variable=environment.STORAGE)


def _checked(directory: Path) -> Path:
    try:
        if _holds_recording(directory):
            return directory
        inside = _recordings_in(directory)
    except FileNotFoundError:
        raise RequestError("command-line-storage-missing", path=directory) from None
    except NotADirectoryError:
        raise RequestError("not-a-directory", path=directory) from None
    except PermissionError as error:
        reason = why_not_created(directory, error)
        raise RequestError("command-line-storage-forbidden", path=directory, reason=reason) from error
    except OSError as error:
        raise RequestError("command-line-storage-unreadable", path=directory, reason=reason_of(error)) from error
    if inside:
        raise RequestError("no-recording-but-inside", path=directory, found=_listed(inside))
    if not _was_used(directory):
        raise NothingStoredError("no-recording", path=directory)
    return directory


def _recordings_in(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            directories = sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []
    found = []
    for directory in directories:
        try:
            if _holds_recording(directory):
                found.append(directory)
        except OSError:  # this user may not read it
            continue
    return found


def _holds_recording(directory: Path) -> bool:
    with os.scandir(directory) as entries:
        return any(
            entry.name == FILE_NAME or parse_open_name(entry.name) or name_time_us(entry.name) is not None
            for entry in entries
        )


def _was_used(directory: Path) -> bool:
    """Whether a recorder used the directory, although nothing of its recording is left there."""
    with os.scandir(directory) as entries:
        return any(entry.name == DAMAGED_DIRECTORY or entry.name.startswith(FILE_NAME) for entry in entries)


def _listed(directories: list[Path]) -> list[str]:
    shown = [str(directory) for directory in directories[:_LISTED]]
    more = [f"and {len(directories) - _LISTED} more"] if len(directories) > _LISTED else []
    return shown + more
