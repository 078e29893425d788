"""Writes the index of the Go module, which has none of our columns."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from videostore.storage.index import FILE_NAME

GO_TABLE = """
CREATE TABLE files (
    id INTEGER NOT NULL PRIMARY KEY,
    file_name TEXT NOT NULL UNIQUE,
    start_time_unix INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    codec TEXT NOT NULL,
    inserted_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL,
    deleted_at TIMESTAMP
);
"""
GO_INSERT = (
    "INSERT INTO files (file_name, start_time_unix, duration_ms, size_bytes, width, height, codec, deleted_at)"
    " VALUES (?, ?, ?, ?, 640, 480, 'h264', ?)"
)


def go_index(directory: Path, *rows: tuple[str, int, int, int]) -> None:
    """Create an index with these rows: file name, start in seconds since 1970, milliseconds, bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(directory / FILE_NAME) as go:
        go.execute(GO_TABLE)
        go.executemany(GO_INSERT, [(*row, None) for row in rows])
    go.close()
