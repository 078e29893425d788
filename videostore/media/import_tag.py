"""The tag by which an imported segment tells which file it came from, so that the same file is not stored twice."""

from __future__ import annotations

import re
from pathlib import Path

from videostore.media.boxes import DAMAGE, read_body, read_box

_TAG = re.compile(rb"videostore import ([0-9a-f]{32})")


def import_tag(digest: str) -> str:
    """The `grouping` tag of what was imported from a file with this digest."""
    return f"videostore import {digest}"


def read_import(path: Path) -> str | None:
    """The digest of the file that a segment was imported from; None if it was recorded, or cannot be read. Blocking."""
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
