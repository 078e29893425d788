"""Processes that read segments for the index, where tens of thousands are not in it. Python's threads take turns: two
of them need longer than one.

Each gets lines with a directory and names, and answers what `probe` finds, or None for what it cannot read.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import select
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from videostore.base.constants import READING_CHILD
from videostore.base.processes import DEVNULL, PIPE, open_process
from videostore.base.system import subordinate
from videostore.media.segment import Segment, probe

MANY = 2000
"""Reading fewer files takes less time than starting a process, which imports what it needs."""
_MOST = 4
_PATIENCE_S = 60.0
_PATIENCE_PER_FILE_S = 0.1
"""They read a file in a few milliseconds, but from a disk that is busy with recording."""
_END_S = 5.0
_SIZE = struct.Struct(">I")


class ReadingProcesses:
    """Owns the processes. All of it blocks."""

    def __init__(self, directory: Path, *, patience_s: float = _PATIENCE_S) -> None:
        """They are given up when they have not answered for so long, and a tenth of a second more for each file."""
        self._patience_s = patience_s
        self._directory = os.path.abspath(directory)
        program = [] if getattr(sys, "frozen", False) else ["-m", "videostore"]
        self._processes = [
            # Elsewhere than in the directory, which may be what a user holds: Python would import from there.
            open_process(
                subordinate([sys.executable, *program, READING_CHILD]),
                cwd="/",
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
            )
            for _ in range(min(os.cpu_count() or 1, _MOST))
        ]

    def read(self, names: Sequence[str]) -> dict[str, Segment]:
        """What the files hold that could be read; nothing if the processes have ended, or do not answer."""
        found: dict[str, Segment] = {}
        shares = [names[number :: len(self._processes)] for number in range(len(self._processes))]
        until_s = time.monotonic() + self._patience_s + _PATIENCE_PER_FILE_S * len(names)
        try:
            for process, share in zip(self._processes, shares, strict=True):
                assert process.stdin is not None
                _write(process.stdin.fileno(), json.dumps([self._directory, *share]).encode() + b"\n", until_s)
            for process, share in zip(self._processes, shares, strict=True):
                assert process.stdout is not None
                pipe = process.stdout.fileno()
                (size,) = _SIZE.unpack(_read(pipe, _SIZE.size, until_s))
                answers: list[Segment | None] = pickle.loads(_read(pipe, size, until_s))  # noqa: S301 (our own program)
                found |= {name: one for name, one in zip(share, answers, strict=True) if one is not None}
        except (OSError, ValueError, EOFError, struct.error, pickle.UnpicklingError):
            self.close()  # answers and questions no longer agree
        return found

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # what waits for a disk that hangs ends with it
                process.wait(_END_S)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError, AttributeError):
                    pipe.close()  # type: ignore[union-attr]
        self._processes = []


def _write(pipe: int, data: bytes, until_s: float) -> None:
    """Raises TimeoutError, an OSError, if it is not taken in time."""
    os.set_blocking(pipe, False)
    left = memoryview(data)
    while left:
        _, ready, _ = select.select([], [pipe], [], max(0.0, until_s - time.monotonic()))
        if not ready:
            raise TimeoutError
        left = left[os.write(pipe, left) :]


def _read(pipe: int, count: int, until_s: float) -> bytes:
    """Raises TimeoutError, an OSError, if it does not come in time, or EOFError."""
    data = bytearray()
    while len(data) < count:
        ready, _, _ = select.select([pipe], [], [], max(0.0, until_s - time.monotonic()))
        if not ready:
            raise TimeoutError
        if not (block := os.read(pipe, count - len(data))):
            raise EOFError
        data += block
    return bytes(data)


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """What such a process does, until its questions end."""
    for line in questions:
        directory, *names = json.loads(line)
        data = pickle.dumps([_probe(Path(directory, name)) for name in names], pickle.HIGHEST_PROTOCOL)
        answers.write(_SIZE.pack(len(data)) + data)
        answers.flush()


def _probe(path: Path) -> Segment | None:
    try:
        return probe(path)
    except Exception:  # noqa: BLE001 (the process that asks reads it again, and says what is wrong)
        return None
