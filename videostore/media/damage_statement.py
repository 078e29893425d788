"""What a closed segment states of the damage in it, so that not each frame has to be read to learn of it.

It is a box of ours in the table of fragments with which ffmpeg ends a file (`mfra`; ISO/IEC 14496-12, 8.8.9), where
other programs pass over it. A file that was cut off has no table, and its frames are read.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from videostore.base.ranges import DamagedRange
from videostore.media.boxes import MAX_HEADER_BYTES

_UUID = bytes.fromhex("8a0c2d7e51b34c0f9e66f2473ad91b58")
_LAST_BYTES = 16
"""Of `mfro`, which ends the table and states its size."""


def write_statement(path: Path, damaged: Iterable[DamagedRange]) -> bool:
    """State the damage in a segment with a table. A kill meanwhile leaves one without. Blocking.

    Returns:
        Whether that was done: not if it has no table that can be read.

    Raises:
        OSError: the file cannot be read or written.
    """
    text = damage_text(damaged).encode()
    with path.open("r+b", buffering=0) as file:
        found = _read_table(file)
        if found is None:
            return False
        begin, table = found
        content = b"".join(
            struct.pack(">I", len(body) + 8) + kind + body
            for kind, body in _boxes(table[8:-_LAST_BYTES])
            if not (kind == b"uuid" and body.startswith(_UUID))
        )
        content += struct.pack(">I4s", 8 + len(_UUID) + len(text), b"uuid") + _UUID + text
        size = 8 + len(content) + _LAST_BYTES
        last = table[-_LAST_BYTES:-4] + struct.pack(">I", size)
        os.pwrite(file.fileno(), struct.pack(">I4s", size, b"mfra") + content + last, begin)
        os.ftruncate(file.fileno(), begin + size)  # what it stated before may have been longer
        return True


def read_statement(path: Path) -> tuple[DamagedRange, ...] | None:
    """The damage that a segment states; None if it has no table, so that nothing is known. Blocking: three reads.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        found = _read_table(file)
    if found is None:
        return None
    for kind, body in _boxes(found[1][8:-_LAST_BYTES]):
        if kind == b"uuid" and body.startswith(_UUID):
            return parse_damage(body[len(_UUID) :])
    return ()


def damage_text(damaged: Iterable[DamagedRange]) -> str:
    """Damaged ranges as text, for a file or the index."""
    return json.dumps([[one.from_us, one.to_us, one.reason] for one in damaged], separators=(",", ":"))


def parse_damage(text: str | bytes | None) -> tuple[DamagedRange, ...]:
    """Damaged ranges from their text; none if it is none."""
    if not text:
        return ()
    try:
        return tuple(DamagedRange(int(begin), int(end), str(reason)) for begin, end, reason in json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return ()


def _read_table(file: BinaryIO) -> tuple[int, bytes] | None:
    """Where the table begins, and its bytes."""
    file_bytes = file.seek(0, 2)
    if file_bytes < _LAST_BYTES:
        return None
    file.seek(file_bytes - _LAST_BYTES)
    size, kind, _, table_bytes = struct.unpack(">I4sII", file.read(_LAST_BYTES))
    most_bytes = min(file_bytes, MAX_HEADER_BYTES)
    if (size, kind) != (_LAST_BYTES, b"mfro") or not 8 + _LAST_BYTES <= table_bytes <= most_bytes:
        return None
    file.seek(file_bytes - table_bytes)
    table = file.read(table_bytes)
    return (file_bytes - table_bytes, table) if table[4:8] == b"mfra" and len(table) == table_bytes else None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            return
        yield kind, data[at + 8 : at + size]
        at += size
