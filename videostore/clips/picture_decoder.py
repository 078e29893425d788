"""Decoders of pictures: processes that stay for a while, so that a strip of pictures starts no ffmpeg for each.

A picture is decoded in a process of its own kind because its bytes come from a camera: what crashes, fills or stops a
decoder must cost neither a recording nor a server. A decoder that is not there, or refuses, costs nothing but time: the
picture is then made by an ffmpeg of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from videostore.base.constants import CUT_NICENESS, MIB, PICTURE_CHILD
from videostore.base.processes import DEVNULL, PIPE, start_process
from videostore.base.system import subordinate, widen_pipe
from videostore.base.tasks import end_task, off_loop
from videostore.clips.picture_child import ANSWER, READY, write_request
from videostore.ffmpeg.process import end_process
from videostore.media.shown_picture import ShownFrames

AT_ONCE = 2
"""Decoders of a program, however many recorders it has."""
WITHIN_S = 10.0
"""A picture that takes longer is given up, with its decoder."""
START_WITHIN_S = 30.0
IDLE_S = 30.0
"""A decoder that has nothing to do for so long is ended: it takes 60 MB."""
MOST_PICTURES = 5000
"""Of one decoder, so that nothing that a library leaks adds up."""
MOST_MEMORY_KIB = 400 * 1024
"""A decoder that has taken more is ended after its picture."""
PAUSE_S = 5.0
"""So long after one that failed no other is started."""
SOON_S = 10.0
"""A decoder is started for a picture that follows another one so soon: a single one costs less by ffmpeg."""

_TURN_WITHIN_S = 1.0
"""A picture waits no longer for a decoder that others keep busy."""
_MOST_BYTES, _MOST_FRAMES, _MOST_PIXELS = 8 * MIB, 120, 4096 * 2304
"""What a decoder takes: more would keep others waiting for longer than an ffmpeg takes to start."""
_LARGEST_JPEG = 32 * MIB
_PIPE_BYTES = MIB
_NEVER = -1e9


def decoder_command() -> list[str]:
    """What starts this program as a decoder of pictures; the frozen program is its own interpreter."""
    return [sys.executable, *([] if getattr(sys, "frozen", False) else ["-m", "videostore"]), PICTURE_CHILD]


class PictureDecoders:
    """The decoders of one event loop. Each user uses them between `join` and `leave`; the last one ends them."""

    def __init__(self, command: Sequence[str] | None = None, *, idle_s: float = IDLE_S, within_s: float = WITHIN_S):
        self._command = decoder_command() if command is None else list(command)
        self._idle_s = idle_s
        self._within_s = within_s
        self._users = 0
        self.is_left = False
        """Whether the last one left: others use others."""
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._free: list[_Decoder] = []
        self._starting: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._asked = self._failed = _NEVER
        self.processes: set[int] = set()
        """Those that run."""

    @property
    def is_ready(self) -> bool:
        """Whether one waits for a picture."""
        return bool(self._free)

    def join(self) -> None:
        """Begin to use them."""
        self._users += 1

    async def leave(self) -> None:
        """Use them no more."""
        self._users -= 1
        if not self._users:
            self.is_left = True
            if self._starting is not None:
                await end_task(self._starting)
            self._end_free()
            while self._ending:
                await asyncio.wait(self._ending)

    async def show(self, shown: ShownFrames) -> bytes | None:
        """The JPEG of a picture; None if no decoder is there for it, or something is wrong with it."""
        loop = asyncio.get_running_loop()
        soon = loop.time() - self._asked < SOON_S
        self._asked = loop.time()
        if not _is_light(shown):
            return None
        try:
            await asyncio.wait_for(self._turns.acquire(), _TURN_WITHIN_S)
        except asyncio.TimeoutError:
            return None
        try:
            if not self._free:
                if soon:
                    self._start()
                return None
            decoder = self._free.pop()
            return await self._ask(decoder, shown)
        finally:
            self._turns.release()

    async def _ask(self, decoder: _Decoder, shown: ShownFrames) -> bytes | None:
        is_well = False
        try:
            jpeg = await asyncio.wait_for(decoder.ask(shown), self._within_s)
            is_well = True
            return jpeg or None
        except (OSError, EOFError, asyncio.TimeoutError):
            self._failed = asyncio.get_running_loop().time()
            return None
        finally:  # a request that is given up leaves it in the middle of its answer
            if is_well and not decoder.is_spent and self._users:
                self._free.append(decoder)
                self._watch_idle()
            else:
                self._end(decoder)

    def _start(self) -> None:
        """Start a decoder in the background, unless one failed just now, or there are enough."""
        resting = asyncio.get_running_loop().time() - self._failed < PAUSE_S
        if self._users and not resting and self._starting is None and len(self.processes) < AT_ONCE:
            self._starting = asyncio.create_task(self._bring_up())

    async def _bring_up(self) -> None:
        decoder = None
        try:
            command = await off_loop(subordinate, self._command, CUT_NICENESS)
            decoder = await _Decoder.start(command)
            self.processes.add(decoder.process_id)
            await asyncio.wait_for(decoder.wait_until_ready(), START_WITHIN_S)
            self._free.append(decoder)
            decoder = None
            self._watch_idle()
        except (OSError, EOFError, ValueError, asyncio.TimeoutError):
            self._failed = asyncio.get_running_loop().time()
        finally:
            self._starting = None
            if decoder is not None:
                self._end(decoder)

    def _watch_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._end_free)

    def _end_free(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        while self._free:
            self._end(self._free.pop())

    def _end(self, decoder: _Decoder) -> None:
        async def end() -> None:
            await decoder.end()
            self.processes.discard(decoder.process_id)

        task = asyncio.create_task(end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class _Decoder:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._pictures = 0
        self._taken_kib = 0

    @classmethod
    async def start(cls, command: Sequence[str]) -> _Decoder:
        process = await start_process(
            command,
            cwd="/",  # not where a user looks at what others wrote: Python would import from there
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
        )
        assert process.stdin is not None
        with contextlib.suppress(ValueError):  # it has already exited
            widen_pipe(process.stdin.transport.get_extra_info("pipe").fileno(), _PIPE_BYTES)
        return cls(process)

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def is_spent(self) -> bool:
        """Whether it has done, or taken, enough."""
        return self._pictures >= MOST_PICTURES or self._taken_kib > MOST_MEMORY_KIB

    async def wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        await self._process.stdout.readexactly(len(READY))

    async def ask(self, shown: ShownFrames) -> bytes:
        """Its answer. Raises OSError or EOFError if it has ended, or says what it should not."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(write_request(shown))
        await self._process.stdin.drain()
        size, self._taken_kib = ANSWER.unpack(await self._process.stdout.readexactly(ANSWER.size))
        if size > _LARGEST_JPEG:
            raise EOFError
        self._pictures += 1
        return await self._process.stdout.readexactly(size)

    async def end(self) -> None:
        await end_process(self._process)


def _is_light(shown: ShownFrames) -> bool:
    size_bytes = sum(len(data) for _, data in shown.frames)
    pixels = shown.size[0] * shown.size[1]
    return size_bytes <= _MOST_BYTES and len(shown.frames) <= _MOST_FRAMES and pixels <= _MOST_PIXELS


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, PictureDecoders] = WeakKeyDictionary()


def shared_decoders() -> PictureDecoders:
    """Those of the running loop, which all stores in it share."""
    loop = asyncio.get_running_loop()
    found = _of_loops.get(loop)
    if found is None or found.is_left:
        found = _of_loops[loop] = PictureDecoders()
    return found
