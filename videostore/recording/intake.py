"""The intake: takes what a source yields into the backlog of its recorder."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from videostore.base.clock import SteadyClock
from videostore.media.packet import Gap, Source, batches_of
from videostore.recording.backlog import END_OF_SOURCE, Backlog

_AGAIN_S = 1.0


class Intake:
    """Owns the iterator of a source while it is run."""

    def __init__(
        self, source: Source, backlog: Backlog, clock: SteadyClock, logger: logging.Logger, *, live: bool
    ) -> None:
        """A source that is not `live` waits until the backlog has room."""
        self._source = source
        self._backlog = backlog
        self._clock = clock
        self._logger = logger
        self._live = live

    async def run(self) -> None:
        """Take everything, up to the end of the source. A source that fails is started again, after a gap."""
        steps = self._clock.steps
        while True:
            try:
                async with contextlib.aclosing(batches_of(self._source)) as batches:  # type: ignore[type-var]
                    async for batch in batches:
                        self._clock.now_us()  # notices a step of the clock
                        if self._clock.steps != steps:
                            steps = self._clock.steps
                            self._logger.warning("The clock was changed; starting a new run.")
                            self._backlog.put(Gap("the clock was changed"))
                        for item in batch:
                            if not self._live:
                                await self._backlog.room_for(item)
                            self._backlog.put(item)
                self._backlog.put(END_OF_SOURCE)
                return
            except Exception:
                self._logger.exception("The source failed; trying again.")
                self._backlog.put(Gap("the source failed"))
                await asyncio.sleep(_AGAIN_S)
