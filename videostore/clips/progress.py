"""Progress: how much of the work on a clip is done, read from what ffmpeg reports while it runs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videostore.clips.plan import ClipPart

OnProgress = Callable[[float], None]
"""Gets the share of the work that is done, from 0 to 1."""


_STOPPED_READING = re.compile(
    r"Impossible to open|Error during demuxing|Error retrieving a packet|Input/output error|No such file"
    r"|filter failed to receive|(\.txt|pipe:0): Invalid data"
)
"""What ffmpeg reports when it cannot read an input to its end."""


class CutProgress:
    """Adds up what every ffmpeg run for one clip has written, and keeps the errors that they named."""

    def __init__(self, total_us: int, on_progress: OnProgress | None = None) -> None:
        """`total_us` is the length of all that will be written, in microseconds, parts that are joined later included.

        `on_progress` is called whenever more is written.
        """
        self._total_us = max(1, total_us)
        self._written_us = 0
        self._on_progress = on_progress
        self.complaints: list[str] = []
        """What ffmpeg reported as errors, although it may not have failed."""
        self.begun = asyncio.Event()
        """Set when an ffmpeg works, so that this process has time for something else."""
        self.decoded: list[Sequence[ClipPart]] = []
        """The parts whose frames are decoded, of each piece of the clip."""

    def add(self, more_us: int) -> None:
        """There is more to write than was expected."""
        self._total_us += more_us

    @property
    def stopped_reading(self) -> bool:
        """Whether ffmpeg reported that it could not read on."""
        return any(_STOPPED_READING.search(complaint) for complaint in self.complaints)

    async def follow(self, output: asyncio.StreamReader) -> bool:
        """Read the output of an ffmpeg that runs with `-progress`, until it ends. Several may run at a time.

        Returns whether it says that it has come to the end: if a signal ends it while it opens its inputs, its exit
        code is 0 all the same.
        """
        written_us, ended = 0, False
        async for line in output:
            name, _, value = line.decode(errors="replace").strip().partition("=")
            ended = ended or (name, value) == ("progress", "end")
            if name == "out_time_us" and value.isdigit():
                self._written_us += max(0, int(value) - written_us)
                written_us = max(written_us, int(value))
                if self._on_progress is not None:
                    self._on_progress(min(1.0, self._written_us / self._total_us))
        return ended
