"""Whether the disk of a directory answers, asked before anything else on it is: what asks one that hangs never ends."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

ANSWERS_WITHIN_S = 20.0
"""A disk that sleeps needs up to 15 s to spin up. viam-server gives a resource a minute to start."""


class _Look:
    def __init__(self) -> None:
        self.began_s = time.monotonic()
        self.is_done = threading.Event()


_looks: dict[Path, _Look] = {}
"""Those that wait. A recorder that is tried again waits for the same one, as each keeps a thread."""
_changing = threading.Lock()


def disk_answers(directory: Path) -> bool:
    """Whether the disk of a directory, or of the first one above it that exists, answers within `ANSWERS_WITHIN_S`.

    One that has been asked for longer is not waited for. Blocking.
    """
    with _changing:
        look = _looks.get(directory)
        if look is None:
            look = _looks[directory] = _Look()
            threading.Thread(target=_look, args=(directory, look), name="looks at a disk", daemon=True).start()
    return look.is_done.wait(max(0.0, look.began_s + ANSWERS_WITHIN_S - time.monotonic()))


def _look(directory: Path, look: _Look) -> None:
    with contextlib.suppress(OSError, ValueError):  # what is wrong with it is told when it is opened
        # The system may know by itself that a file exists; this is always asked of the disk.
        os.statvfs(next(one for one in (directory, *directory.parents) if os.path.lexists(one)))
    with _changing:
        del _looks[directory]
    look.is_done.set()
