"""The tag by which an imported segment tells which file it came from, so that the same file is not stored twice."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from videostore.media.boxes import DAMAGE, read_body, read_box
from videostore.media.segment_names import run_comment

_RUN = re.compile(rb"videostore run \d{1,18}")
UNKNOWN_DIGEST = "0" * 32
"""Of a file that has not been read to its end yet."""
_TAG = re.compile(rb"videostore import ([0-9a-f]{32})")


def import_tag(digest: str) -> str:
    """The `grouping` tag of what was imported from a file with this digest."""
    return f"videostore import {digest}"


def write_origin(path: Path, run_us: int, digest: str) -> None:
    """Write the epoch of a run into the `comment` tag of a segment that is not in use yet, and the digest of the file
    that it comes from into its `grouping` tag. Blocking.

    Raises:
        OSError: the file cannot be read or written.
        ValueError: it has no such tags, or ones of another length.
    """
    with path.open("r+b", buffering=0) as file:
        at, file_bytes = 0, path.stat().st_size
        while box := read_box(file, at, file_bytes):
            if box.kind == b"moov":
                _replace(file, box.body, read_body(file, box), {_RUN: run_comment(run_us), _TAG: import_tag(digest)})
                return
            at = box.end
    raise ValueError(f"{path.name} has no header")


def _replace(file: BinaryIO, at: int, body: bytes, texts: Mapping[re.Pattern[bytes], str]) -> None:
    for pattern, text in texts.items():
        found = pattern.search(body)
        if found is None or len(found[0]) != len(text):
            raise ValueError(f"there is no room for {text!r}")
        if found[0] != text.encode():
            file.seek(at + found.start())
            file.write(text.encode())


def read_import(path: Path) -> str | None:
    """The digest of the file that a segment was imported from; None if it was recorded, or cannot be read. Blocking."""
    try:
        status = path.stat()
    except OSError:
        return None
    return _read(path, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1 << 16)
def _read(path: Path, *version: int) -> str | None:
    """The same for one state of the file: of several files, each looks at all segments that are stored."""
    try:
        with path.open("rb", buffering=4096) as file:
            at, file_bytes = 0, path.stat().st_size
            while box := read_box(file, at, file_bytes):
                if box.kind == b"moov":
                    found = _TAG.search(read_body(file, box))
                    return found[1].decode() if found else None
                at = box.end
    except (OSError, *DAMAGE):
        pass
    return None
