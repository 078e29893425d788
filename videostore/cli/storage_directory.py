"""Which storage directory is meant."""

from __future__ import annotations

import os
from pathlib import Path

from videostore.base.errors import RequestError, reason_of
from videostore.cli.time_options import bare
from videostore.config import DEFAULT_STORAGE_PATH
from videostore.media.segment_names import name_time_us, parse_open_name
from videostore.storage.index import FILE_NAME

VARIABLE = "VIDEOSTORE_STORAGE"


def find_directory(given: Path | None) -> Path:
    """The one that was named; else the current one if it holds a recording, else the only one of this user's.

    Raises:
        RequestError: it is not to be told, or not there; the sentence says what can be done.
    """
    if given is None and (named := os.environ.get(VARIABLE)):
        given = Path(named)
    if given is not None:
        return _checked(Path(bare(str(given))).expanduser().absolute())
    here = Path.cwd()
    if _holds_recording(here):
        return here
    home = Path(DEFAULT_STORAGE_PATH).expanduser()
    found = _recordings_in(home)
    if len(found) == 1:
        return found[0]
    how = f"name one with --storage DIR (or in {VARIABLE})"
    if found:
        raise RequestError(f"There are several storage directories: {_listed(found)}; {how}.")
    raise RequestError(
        f"No storage directory was found, neither here ({here}) nor in {home}: {how}; it is the storage_path of the "
        "machine config."
    )


def _checked(directory: Path) -> Path:
    try:
        if _holds_recording(directory):
            return directory
        inside = _recordings_in(directory)
    except FileNotFoundError:
        raise RequestError(f"There is no storage directory {directory}.") from None
    except NotADirectoryError:
        raise RequestError(f"{directory} is no directory: name the one that holds the recording.") from None
    except OSError as error:
        raise RequestError(f"The storage directory {directory} cannot be read: {reason_of(error)}.") from error
    if inside:
        raise RequestError(
            f"{directory} holds no recording, but this does: {_listed(inside)}; name that with --storage."
        )
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
        except OSError:  # not for this user
            continue
    return found


def _holds_recording(directory: Path) -> bool:
    with os.scandir(directory) as entries:
        return any(
            entry.name == FILE_NAME or parse_open_name(entry.name) or name_time_us(entry.name) is not None
            for entry in entries
        )


def _listed(directories: list[Path]) -> str:
    shown = [str(directory) for directory in directories[:10]]
    more = [f"and {len(directories) - 10} more"] if len(directories) > 10 else []
    return ", ".join(shown + more)
