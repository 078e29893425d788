"""The thread that reads the sound of an input, which an ffmpeg writes beside the video."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from videostore.base.constants import MIB, US_PER_SECOND
from videostore.media.lenient_tags import lenient_tags
from videostore.media.libav import av
from videostore.media.sound import COPIED, SoundFormat, opus_head, split_adts

_READ_OPTIONS = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
SOUND_LATER_US = 60 * US_PER_SECOND
"""So much ffmpeg adds to the times of the sound: they may begin below 0, which NUT does not take."""
_MOST_BYTES = 4 * MIB
_MOST_PACKETS = 20_000
"""What may wait for its video: minutes. The oldest sound beyond that is dropped: a thread that waited would make ffmpeg
wait, and the video with it."""


class SoundReader:
    """Owns the thread that reads NUT from a pipe, from the beginning to `end`.

    Sound never delays the video: it waits here until the frame comes with which it is recorded.
    """

    def __init__(self, nut: BinaryIO, report: Callable[..., None], later_us: int) -> None:
        """It closes `nut`, whose times are later by `later_us` than those of the video. `report` logs a text with its
        arguments."""
        self.format: SoundFormat | None = None
        """What is recorded; None until it is known."""
        self.unusable = ""
        """The codec, if it has to be encoded."""
        self._nut = nut
        self._later_us = later_us
        self._report = report
        self._packets: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()  # never held while anything waits
        self._loop = asyncio.get_running_loop()
        self._known = asyncio.Event()
        self._thread = threading.Thread(target=self._read, name="videostore sound", daemon=True)
        self._thread.start()

    async def known(self, within_s: float) -> None:
        """Wait until the format is known, or there is none, but not longer."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._known.wait(), within_s)

    def take(self, until_us: int) -> list[tuple[int, bytes]]:
        """The packets up to a time of the input's own clock, each with its time, which are forgotten."""
        taken = []
        with self._lock:
            while self._packets and self._packets[0][0] <= until_us:
                taken.append(self._packets.popleft())
                self._bytes -= len(taken[-1][1])
        return taken

    def end(self) -> None:
        """After ffmpeg has ended: wait for the thread. Blocking, briefly."""
        self._thread.join()
        self._nut.close()

    def _read(self) -> None:
        try:
            with av.open(
                f"pipe:{self._nut.fileno()}", format="nut", options=_READ_OPTIONS, **lenient_tags()
            ) as container:
                for time_us, data in self._packets_of(container):
                    self._keep(time_us, data)
        except (av.error.FFmpegError, OSError, ValueError, IndexError):
            pass  # ffmpeg exited, and has reported why
        except Exception as error:  # noqa: BLE001 - the thread has no caller that would see it
            self._report("The sound of the input cannot be read: %r", error)
        finally:
            self._tell()
            with contextlib.suppress(OSError):  # what is not read must not hold ffmpeg up
                while self._nut.read(1 << 16):
                    pass

    def _packets_of(self, container: Any) -> Iterator[tuple[int, bytes]]:
        stream = container.streams.audio[0]
        context = stream.codec_context
        codec = context.name if context else "unknown"
        if codec not in COPIED:
            self.unusable = codec
            return
        config = bytes(context.extradata or b"")
        if codec == "opus":
            config = config or opus_head(context.channels)
        if config:
            self._set(SoundFormat(codec, context.sample_rate, context.channels, config))
        scale, unit = US_PER_SECOND * stream.time_base.numerator, stream.time_base.denominator
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            data = bytes(packet)
            if not config:
                found = split_adts(data)
                if found is None:
                    continue
                data = found[1]
                if found[0] != self.format:
                    self._set(found[0])
            yield (2 * packet.pts * scale + unit) // (2 * unit) - self._later_us, data

    def _set(self, format: SoundFormat) -> None:
        with self._lock:
            self._packets.clear()  # they have another format
            self._bytes = 0
        self.format = format
        self._tell()

    def _keep(self, time_us: int, data: bytes) -> None:
        with self._lock:
            self._packets.append((time_us, data))
            self._bytes += len(data)
            while self._bytes > _MOST_BYTES or len(self._packets) > _MOST_PACKETS:
                self._bytes -= len(self._packets.popleft()[1])

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._known.set)
