"""Memory of the process: what Python and the C library would keep, or search through, for no use."""

from __future__ import annotations

import asyncio
import gc

from videostore.base.system import return_memory

_RETURN_AFTER_S = 1.0
"""An answer is sent and forgotten by then."""


def spare_collections() -> None:
    """Keep the garbage collector off what the imports made: every picture's answer would set it to work.

    Measured: 0.45 ms of CPU less for each picture, out of 2.7.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 5)


class MemoryReturn:
    """Gives the memory of large answers back to the system, a moment after the last of them; glibc would keep it."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """An answer was large."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(_RETURN_AFTER_S, _return_memory)

    def cancel(self) -> None:
        """The process, or its resource, is about to end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _return_memory() -> None:
    gc.collect()
    return_memory()
