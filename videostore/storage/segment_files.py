"""Segment files: listing them, closing an open one, and judging damaged ones. All of it blocks."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from videostore.base.constants import CLOCK_LEEWAY_US, FILE_ROUNDING_US, MAX_STEP_IN_RUN_US, US_PER_SECOND
from videostore.base.files import open_regular, sync_directory, sync_file
from videostore.media.boxes import DAMAGE
from videostore.media.damage_statement import write_statement
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.media.marked_frames import read_damage
from videostore.media.segment import Segment, describe_fragments
from videostore.media.segment_length import write_length
from videostore.media.segment_names import OPEN_SUFFIX, SUFFIX, closed_name, name_time_us, open_name, parse_open_name
from videostore.media.sound_track import place_sound

UNREADABLE_AGE_S = 30 * 60
"""A file that cannot be read is kept until it is this old: a process may still be writing it."""

_PARTS = (b"prft", b"moof", b"mdat")
"""The boxes of each fragment that we write, in this order."""
_HEADER = re.compile(rb"\0...(?:prft|moof|mdat|mfra)", re.DOTALL)
"""The header of a box. Coded images do not contain it: codecs never produce the first bytes of a short length."""
_CHUNK_BYTES = 1 << 20
_MOST_HEADER_BYTES = 1 << 16
"""Of a segment, far more than one has."""
_SOUND_WITHIN_US = 2 * US_PER_SECOND
"""Sound is in a fragment that begins less than that before it."""


class NextTimes(Protocol):
    """What a run knows of what went into it. Called from any thread."""

    def next_frame_us(self, time_us: int) -> int | None:
        """Capture time of the frame after another one; None if it is not known."""
        ...

    def next_sound_us(self, decoded_us: int) -> int | None:
        """Capture time of the first sound in a segment whose first frame is decoded at a time, which may be told a few
        microseconds off; None if it is not known."""
        ...


def close_segment(path: Path, finished_only: bool, run: NextTimes | None = None) -> Segment | None:
    """Force a segment to stable storage, and rename it to the first free name. Blocking.

    The incomplete last fragment that a kill or a power failure leaves is cut off. Anything else after the last complete
    fragment stays in the file, such as what follows a bad sector.

    If its run goes on, its header gets the time until the next segment. `run` knows which frame went into it behind
    another: the next segment may not exist yet, and does not tell its own time before its first second is complete. It
    also knows when the sound was captured.

    Returns:
        The closed segment; None if the file is a link, or if `finished_only` is set and its end is not written.

    Raises:
        NotOursError: nothing can be read in the file.
        OSError: the file does not exist, or cannot be read or renamed.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    content = read_fragments(path)
    if finished_only and not content.finished:
        return None
    marked = read_damage(path, content)
    damaged = not content.finished and not is_cut_off_after(path, content.size_bytes)
    if not content.finished and not damaged:
        os.truncate(path, content.size_bytes)
    if content.finished and not (content.end_lost or content.start_lost):
        content = _state_length(path, content, run)
        if content.sound is not None and not content.sound.placed and run is not None:
            _place_sound(path, run)
    if marked and content.finished:
        with contextlib.suppress(OSError):  # no room: its frames are marked all the same
            write_statement(path, marked)
    sync_file(path)
    target = _other_name(path)
    if target is not None:  # an earlier process was killed between giving it this name and removing the other
        path.unlink()
    for taken in range(1_000_000 if target is None else 0):
        target = path.with_name(closed_name(content.start_us, taken))
        if _rename_to_free(path, target):
            break
    assert target is not None
    sync_directory(path.parent)
    if damaged:
        content = read_ends(target)  # closed files are read in this way
    named = parse_open_name(path.name)
    segment = describe_fragments(target.name, content, named[1] if named else None, marked)
    return replace(segment, size_bytes=target.stat().st_size)


def _state_length(path: Path, content: FragmentedFile, known: NextTimes | None) -> FragmentedFile:
    """Write how long it is until the next segment of the run, if its first frame is known."""
    run = parse_open_name(path.name)
    if run is None:
        return content
    last_us = content.times_us[-1]
    try:
        next_us: int | None = read_fragments(path.with_name(open_name(run[0], run[1] + 1))).start_us
    except (NotOursError, OSError):  # ffmpeg creates the next file only after it has closed this one
        next_us = known.next_frame_us(content.fragments[-1].times_us[-1]) if known is not None else None
    if next_us is None or not last_us < next_us < last_us + MAX_STEP_IN_RUN_US:
        return content
    try:
        return read_ends(path) if write_length(path, content, next_us) else content
    except OSError:  # no room on a file system that copies, or another owner's file: it can be closed all the same
        return content


def _place_sound(path: Path, run: NextTimes) -> None:
    """Write when the sound was captured, if that is known."""
    with contextlib.suppress(NotOursError, OSError, *DAMAGE):
        content = read_fragments(path)
        sounding_us = first_sound_us(content, run)
        if content.sound is not None and sounding_us is not None:
            first = next(one for one in content.fragments if one.sounds)
            place_sound(path, content.sound, max(0, sounding_us - first.sounds[0].times_us[0]))


def first_sound_us(content: FragmentedFile, run: NextTimes) -> int | None:
    """When the first sound of a segment was captured, of which the file does not tell it; None if it is not known."""
    first = next((one for one in content.fragments if one.sounds), None)
    sounding_us = run.next_sound_us(content.decoded_from_us)
    if content.sound is None or content.sound.placed or first is None or sounding_us is None:
        return None
    from_us = first.decoded_us[0] if first.decoded_us else first.times_us[0]
    return sounding_us if from_us - FILE_ROUNDING_US <= sounding_us < from_us + _SOUND_WITHIN_US else None


def _other_name(path: Path) -> Path | None:
    """The closed segment that is the same file; None if there is none. The first free name may be another one now."""
    status = path.lstat()
    if status.st_nlink < 2:
        return None
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.inode() == status.st_ino and entry.name != path.name and name_time_us(entry.name) is not None:
                other = entry.stat(follow_symlinks=False)
                if (other.st_dev, other.st_ino) == (status.st_dev, status.st_ino):
                    return path.with_name(entry.name)
    return None


def _rename_to_free(path: Path, target: Path) -> bool:
    """Rename a file unless the name exists: no file is ever overwritten."""
    try:
        os.link(path, target)
    except FileExistsError:  # perhaps a link to this very file: removing the other name would leave nothing
        return False
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links; the lock keeps other recorders away
        if os.path.lexists(target):
            return False
        os.rename(path, target)
        return True
    path.unlink()
    return True


def is_cut_off_after(path: Path, whole_bytes: int) -> bool:
    """Whether only the beginning of another fragment, or zeros, follow after `whole_bytes`. Blocking.

    That is what a kill or a power failure leaves. Otherwise the file is damaged there, and video may follow.
    """
    with path.open("rb") as file:
        begin, file_bytes, expected = whole_bytes, os.fstat(file.fileno()).st_size, set[int]()
        for kind in _PARTS:
            file.seek(begin)
            header = file.read(8)
            if len(header) < 8:
                begin = file_bytes
                break
            size, found = struct.unpack(">I4s", header)
            if size < 8 or (found != kind and (found, kind) != (b"mfra", _PARTS[0])):
                break
            expected.add(begin)
            begin += size
            if begin > file_bytes:
                break
        else:  # a complete fragment that could not be read
            return False
        if any(at not in expected for at in _headers(file, whole_bytes)):
            return False
        return not any(any(chunk) for _, chunk in _chunks(file, begin))


def _headers(file: BinaryIO, begin: int) -> Iterator[int]:
    """Positions of what looks like the header of a box."""
    last = b""
    for at, chunk in _chunks(file, begin):
        for match in _HEADER.finditer(last + chunk):
            yield at - len(last) + match.start()
        last = chunk[-7:]


def _chunks(file: BinaryIO, begin: int) -> Iterator[tuple[int, bytes]]:
    file.seek(begin)
    while chunk := file.read(_CHUNK_BYTES):
        yield begin, chunk
        begin += len(chunk)


def read_through(path: Path) -> None:
    """Read every byte of a file, to find out whether the disk is at fault. Blocking.

    Raises:
        OSError: the file cannot be read at the moment.
    """
    with path.open("rb") as file:
        for _ in _chunks(file, 0):
            pass


def holds_no_frame(path: Path) -> bool:
    """Whether an open segment is empty or a header alone, as a killed ffmpeg leaves it in its first second. Blocking.

    No part of a fragment is in it: a file in which one bit of the header is wrong is not taken for that.

    Raises:
        OSError: it cannot be read.
    """
    if parse_open_name(path.name) is None:
        return False
    with open_regular(path) as file:
        content = file.read(_MOST_HEADER_BYTES + 1)
    if len(content) > _MOST_HEADER_BYTES or any(name in content for name in _PARTS):
        return False
    return content[4:8] == b"ftyp"[: len(content[4:8])]


def is_young(status: os.stat_result) -> bool:
    """Whether a process may still be writing a file that cannot be read.

    A time in the future was set before the clock was set back: the file is old.
    """
    return -CLOCK_LEEWAY_US / US_PER_SECOND < time.time() - status.st_mtime < UNREADABLE_AGE_S


class ListedNames(NamedTuple):
    """The names of segments that are in a directory, in no order."""

    opened: list[str]
    closed: list[str]
    replaced: list[str]
    """Those of either that are no files, but links, directories or pipes for instance."""


def list_directory(directory: Path) -> ListedNames:
    """Names of the segments in a directory, without other files. Blocking. It does not read the status of each file."""
    names = ListedNames([], [], [])
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name.endswith(SUFFIX):
                if name_time_us(name) is not None:
                    (names.closed if _is_file(entry) else names.replaced).append(name)
            elif parse_open_name(name):
                (names.opened if _is_file(entry) else names.replaced).append(name)
    return names


def list_open(directory: Path) -> list[str]:
    """Names that open segments have, whatever they are. Blocking; it takes a fraction of what `list_directory` does."""
    return [name for name in os.listdir(directory) if name.endswith(OPEN_SUFFIX) and parse_open_name(name)]


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)
