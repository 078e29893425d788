"""The storage directory: what lies in it, and how a segment that is finished gets its name. All of it blocks."""

from __future__ import annotations

import os
import re
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from videostore.base.files import sync_directory, sync_file
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.media.segment import Segment, describe_fragments
from videostore.media.segment_names import SUFFIX, closed_name, name_time_us, parse_open_name

UNREADABLE_AGE_S = 30 * 60
"""A file that cannot be read is left alone while it is younger: somebody may still be writing it."""

_PARTS = (b"prft", b"moof", b"mdat")
"""What a fragment of ours is made of, in this order."""
_HEADER = re.compile(rb"\0...(?:prft|moof|mdat|mfra)", re.DOTALL)
"""The header of a box. Pictures do not contain it: the codecs leave no three bytes like those of a short length."""
_CHUNK_BYTES = 1 << 20


def close_segment(path: Path, finished_only: bool) -> Segment | None:
    """Put a segment's bytes on stable storage and give it the first free name; leave links alone. Blocking.

    What a kill or a power failure left of a last fragment is taken off. Anything else behind the last whole fragment,
    as behind a bad sector, stays in the file.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    content = read_fragments(path)
    if finished_only and not content.finished:
        return None
    damaged = not content.finished and not is_cut_off_behind(path, content.size_bytes)
    if not content.finished and not damaged:
        os.truncate(path, content.size_bytes)
    sync_file(path)
    for taken in range(1_000_000):
        target = path.with_name(closed_name(content.start_us, taken))
        if _rename_to_free(path, target):
            break
    sync_directory(path.parent)
    if damaged:
        content = read_ends(target)  # as the closed file will be read from now on
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


def is_cut_off_behind(path: Path, whole_bytes: int) -> bool:
    """Whether nothing but the beginning of one more fragment, or zeros, follows the first so many bytes. Blocking.

    That is what a kill or a power failure leaves. Else the file is damaged there, and may go on with pictures.
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
        else:  # a whole fragment, and yet it was not taken for one
            return False
        if any(at not in expected for at in _headers(file, whole_bytes)):
            return False
        return not any(any(chunk) for _, chunk in _chunks(file, begin))


def _headers(file: BinaryIO, begin: int) -> Iterator[int]:
    """Where something that looks like the header of a box lies."""
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
    """Read every byte of a file, to know that it is not the disk that is at fault. Blocking.

    Raises:
        OSError: they cannot be read just now.
    """
    with path.open("rb") as file:
        for _ in _chunks(file, 0):
            pass


def is_young(status: os.stat_result) -> bool:
    """Whether somebody may still be writing a file that cannot be read."""
    return time.time() - status.st_mtime < UNREADABLE_AGE_S


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
