"""Processes that read segments for the index, where tens of thousands are not in it. Python's threads take turns: two
of them need longer than one.

Each gets lines with a directory and names, and answers what `probe` finds, or None for what it cannot read.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from videostore.base.constants import READING_CHILD
from videostore.base.system import subordinate
from videostore.media.segment import Segment, probe

MANY = 2000
"""Reading fewer files takes less time than starting a process, which imports what it needs."""
_MOST = 4
_SIZE = struct.Struct(">I")


class ReadingProcesses:
    """Owns the processes. All of it blocks."""

    def __init__(self, directory: Path) -> None:
        self._directory = os.path.abspath(directory)
        program = [] if getattr(sys, "frozen", False) else ["-m", "videostore"]
        self._processes = [
            # Elsewhere than in the directory, which may be what a user holds: Python would import from there.
            subprocess.Popen(
                subordinate([sys.executable, *program, READING_CHILD]),
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for _ in range(min(os.cpu_count() or 1, _MOST))
        ]

    def read(self, names: Sequence[str]) -> dict[str, Segment]:
        """What the files hold that could be read; nothing if the processes have ended."""
        found: dict[str, Segment] = {}
        shares = [names[number :: len(self._processes)] for number in range(len(self._processes))]
        try:
            for process, share in zip(self._processes, shares, strict=True):
                assert process.stdin is not None
                process.stdin.write(json.dumps([self._directory, *share]).encode() + b"\n")
                process.stdin.flush()
            for process, share in zip(self._processes, shares, strict=True):
                assert process.stdout is not None
                (size,) = _SIZE.unpack(process.stdout.read(_SIZE.size))
                answers: list[Segment | None] = pickle.loads(process.stdout.read(size))  # noqa: S301 (our own program)
                found |= {name: one for name, one in zip(share, answers, strict=True) if one is not None}
        except (OSError, ValueError, EOFError, struct.error, pickle.UnpicklingError):
            self.close()  # answers and questions no longer agree
        return found

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError, AttributeError):
                    pipe.close()  # type: ignore[union-attr]
        self._processes = []


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
