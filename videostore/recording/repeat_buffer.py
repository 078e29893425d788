"""The packets that a run was given last, kept to be written again if ffmpeg fails before they are in a file."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable

from videostore.base.constants import FILE_ROUNDING_US, MIB, US_PER_SECOND
from videostore.base.errors import VideoStoreError
from videostore.media.packet import Packet
from videostore.recording.run import Run

KEPT_FOR_REPEAT_S = 30.0
"""This much is kept: more than an encoder holds back, and more than lies between two keyframes."""

KEPT_FOR_REPEAT_BYTES = 32 * MIB
"""The oldest packets beyond this are dropped."""

GIVE_UP_AFTER = 7
"""So many failures in a row, of which none leaves a frame in a file, end the recording: with the pauses between them it
has been tried for 13 s, in which retention would have made room."""


class RepeatBuffer:
    """The last packets that were written to a run, for sources that can wait: only they can be written again."""

    def __init__(self, last_stored: Callable[[Run], Awaitable[int]] | None) -> None:
        """`last_stored` returns the capture time of a run's last frame that is in a file; None: all of them are."""
        self._last_stored = last_stored
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self.failures = 0
        """How often recording has failed since a frame was last stored."""

    @property
    def hopeless(self) -> bool:
        """Whether it has failed so often that another attempt makes no sense."""
        return self.failures >= GIVE_UP_AFTER

    def add(self, packet: Packet) -> None:
        """Keep a packet that was written."""
        self._packets.append(packet)
        self._bytes += len(packet.data)
        while len(self._packets) > 1 and (
            packet.captured_us - self._packets[0].captured_us > KEPT_FOR_REPEAT_S * US_PER_SECOND
            or self._bytes > KEPT_FOR_REPEAT_BYTES
        ):
            self._bytes -= len(self._packets.popleft().data)

    async def take_lost(self, run: Run | None) -> list[Packet]:
        """After a failure: the packets that were written to its run and are in no file; the buffer is empty then.

        None: no run could be started.
        """
        self.failures += 1
        if run is None:
            return []
        try:
            stored_us = await self._last_stored(run) if self._last_stored is not None else run.last_us
        except (OSError, sqlite3.Error, VideoStoreError):  # better twice in files than in none
            stored_us = run.epoch_us - 1
        kept = list(self._packets)
        self.clear()
        if stored_us < run.epoch_us:  # nothing of this run
            return [one for one in kept if one.captured_us > stored_us]
        self.failures = 1
        for number in range(len(kept) - 1, -1, -1):  # in the order of decoding, later frames may be captured earlier
            if abs(kept[number].captured_us - stored_us) <= FILE_ROUNDING_US:
                return kept[number + 1 :]
        return [one for one in kept if one.captured_us > stored_us]

    def clear(self) -> None:
        """Forget all packets: they are in files."""
        self._packets, self._bytes = deque(), 0
