"""Damages storage directories in the ways that verifying finds. Segments are counted by start, from 0."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from videostore.media.fmp4 import read_fragments
from videostore.storage.findings import Problem, VerificationReport
from videostore.storage.index import FILE_NAME

Damage = Callable[[Path], None]
"""Gets a storage directory that holds at least 4 closed segments and their index."""


def segment(directory: Path, number: int) -> Path:
    """One of the closed segments."""
    return sorted(directory.glob("*.mp4"))[number]


def problems(report: VerificationReport) -> list[tuple[str, Problem]]:
    """The findings of a report, without their details."""
    return [(one.file_name, one.problem) for one in report.findings]


def frame_count(directory: Path) -> int:
    """Number of frames that can be read in all closed segments."""
    return sum(len(read_fragments(path).times_us) for path in directory.glob("*.mp4"))


def overwrite_header(path: Path, fragment: int) -> None:
    """Write 64 bad bytes where a fragment begins, as a bad sector would."""
    with path.open("r+b") as file:
        file.seek(read_fragments(path).fragments[fragment - 1].end_byte)
        file.write(b"\xff" * 64)


def change_index(storage: Path, statement: str, name: str) -> None:
    """Change the row of one file."""
    connection = sqlite3.connect(storage / FILE_NAME)
    with connection:
        assert connection.execute(statement, (name,)).rowcount == 1
    connection.close()


def delete_row(storage: Path) -> None:
    change_index(storage, "DELETE FROM files WHERE file_name = ?", segment(storage, 1).name)


def falsify_row(storage: Path) -> None:
    change_index(storage, "UPDATE files SET start_us = start_us - 700000 WHERE file_name = ?", segment(storage, 1).name)


def delete_file(storage: Path) -> None:
    segment(storage, 1).unlink()


def delete_index(storage: Path) -> None:
    (storage / FILE_NAME).unlink()


def overwrite_index(storage: Path) -> None:
    (storage / FILE_NAME).write_bytes(b"no database" * 1000)


def reopen(storage: Path) -> None:
    """Undo the closing of a segment."""
    path = segment(storage, 3)
    change_index(storage, "DELETE FROM files WHERE file_name = ?", path.name)
    path.rename(storage / "1725000000123457-000003.open")


def overwrite_file(storage: Path) -> None:
    path = segment(storage, 1)
    path.write_bytes(b"\xa5garbage" * 1000)
    os.utime(path, (0, 0))  # so old that a recorder would delete it


def add_unreadable_open(storage: Path) -> None:
    path = storage / "1725000000123457-000007.open"
    path.write_bytes(b"\xa5garbage" * 1000)
    os.utime(path, (0, 0))
