"""Memory of the process: fewer garbage collections, and memory that is returned to the system after large responses."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator

from videostore.base.system import return_memory

_RETURN_AFTER_S = 1.0
"""By then a response has been sent and freed."""


def reduce_garbage_collections() -> None:
    """Exempt the objects that exist now from garbage collection, and collect less often from now on.

    With Python's defaults each image from a camera triggers collections. Measured: 0.45 ms less CPU time for each
    image, out of 2.7 ms. Of 46,000 objects that the imports leave, 1,000 are garbage: looking for them takes longer
    than it is worth.
    """
    gc.freeze()
    gc.set_threshold(20_000, 5, 5)
    gc.enable()


@contextlib.contextmanager
def exempt_imports() -> Iterator[None]:
    """Imports in this context trigger no garbage collections, and what they leave is exempt from later ones."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class MemoryReturn:
    """Returns the memory of large responses to the system, shortly after the last one. glibc would keep it."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def schedule(self) -> None:
        """Return memory after a moment, counted from the last call. Call this after a large response."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(_RETURN_AFTER_S, _return_memory)

    def cancel(self) -> None:
        """Return no memory: the process, or its resource, is about to end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _return_memory() -> None:
    gc.collect()
    return_memory()
