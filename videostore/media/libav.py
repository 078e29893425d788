"""PyAV, imported when it is first used: its libraries take 17 MB and 0.1 s, and to record images needs nothing of it.

On the event loop, it is used only after `load`.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av as av
    import av.bitstream
    import av.error
    import av.filter
    import av.logging
    import av.video.codeccontext
else:

    class _Late:
        def __getattr__(self, name: str) -> Any:
            found = getattr(importlib.import_module("av"), name)
            setattr(self, name, found)
            return found

    av = _Late()


def load() -> None:
    """Import it. Blocking."""
    importlib.import_module("av")


def is_loaded() -> bool:
    """Whether it has been imported."""
    return "av" in sys.modules


def errors_of_reading() -> tuple[type[Exception], ...]:
    """What reading a file raises: errors of the system, and its own if it is imported."""
    return (OSError, av.error.FFmpegError) if is_loaded() else (OSError,)
