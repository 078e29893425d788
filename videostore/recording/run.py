"""A run: one long-running ffmpeg and the segments that it writes, contiguous in time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from videostore.base.constants import FFMPEG_FINISH_S, FFMPEG_STUCK_S, MAX_STEP_IN_RUN_US
from videostore.base.errors import FFmpegError
from videostore.base.system import unread_bytes
from videostore.base.tasks import finish_despite_cancellation, off_loop
from videostore.base.write_limit import limit_behind_exit
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.message_limit import MessageLimit
from videostore.ffmpeg.process import PIPE_BYTES, end_process, log_messages, start_ffmpeg
from videostore.media import libav
from videostore.media.packet import Packet, StreamFormat
from videostore.recording.frame_tally import FrameTally, Verdict
from videostore.recording.full_disk import full_disk
from videostore.recording.nut_writer import NutWriter
from videostore.recording.open_files import OpenFiles
from videostore.recording.output_report import follow_report
from videostore.recording.picture_nut import PictureNut, is_picture
from videostore.recording.segmenter import recording_command
from videostore.recording.standstill import Standstill

_FRAMES_KNOWN = 4096
"""Far more frames than an encoder holds back, and than are written before a segment that ended is closed."""

_TOGETHER_BYTES = PIPE_BYTES // 2
"""What comes together is given to ffmpeg together, so that it wakes up once, but not more than this."""

FINISH_PATIENCE_S = 30.0
"""At the end of a source, ffmpeg may take any time, as long as bytes move within this."""


class Run:
    """Owns its ffmpeg from `start` to `finish` or `kill`. A frame's pts is its distance from the first frame."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        first: Packet,
        directory: Path,
        encoder: Encoder,
        on_frame: Callable[[int], None],
    ) -> None:
        """Use `start`."""
        self.format: StreamFormat = first.format
        self.epoch_us = first.captured_us
        """Capture time of the first frame, UTC; pts 0."""
        self.last_us = first.captured_us - 1
        """Latest capture time of the frames that were given to ffmpeg."""
        now_s = asyncio.get_running_loop().time
        self.tally = FrameTally(first.format.codec, on_frame, now_s=now_s, copies=encoder.copies)
        """What came out of ffmpeg."""
        self.standstill = Standstill(now_s)
        self._copies = encoder.copies
        self.files = OpenFiles(directory, first.captured_us)
        """The segments that it writes."""
        self._process = process
        writer = PictureNut if is_picture(first.format) else NutWriter
        self._nut: PictureNut | NutWriter = writer(first, encoder.framerate)
        self._given_us: deque[int] = deque(maxlen=_FRAMES_KNOWN)
        """Capture times of the last frames that were given to ffmpeg."""
        self._giving = threading.Lock()  # never held while anything waits
        self._messages: asyncio.Task[list[str]] | None = None
        self._report: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()
        """Set when a patient end must not wait any longer."""

    @classmethod
    async def start(
        cls,
        first: Packet,
        *,
        binary: str,
        encoder: Encoder,
        directory: Path,
        segment_seconds: float,
        logger: logging.Logger,
        on_frame: Callable[[int], None] = lambda _: None,
        limit: MessageLimit | None = None,
    ) -> Run:
        """Start ffmpeg for a run that begins with `first`, which still has to be written.

        `on_frame` is called with the capture time of each frame that comes out; `limit` is for what ffmpeg says.

        Raises:
            FFmpegError: it cannot be started.
        """
        args = recording_command(
            binary,
            encoder=encoder,
            directory=directory,
            epoch_us=first.captured_us,
            source_codec=first.format.codec,
            orientation=first.format.orientation,
            pad_to_even=bool(first.format.width % 2 or first.format.height % 2),
            segment_seconds=segment_seconds,
            logger=logger,
            reordered=first.format.reordered,
            sound=first.format.sound is not None,
        )
        if not is_picture(first.format) and not libav.is_loaded():
            await off_loop(libav.load)
        process = await start_ffmpeg(args, stdin=True, stdout=True)
        assert process.stdout is not None and process.stderr is not None
        try:
            run = cls(process, first, directory, encoder, on_frame)
        except BaseException:
            await end_process(process)
            raise
        run._messages = asyncio.create_task(
            log_messages(process.stderr, logger, limit=limit, on_error=run.tally.complained)
        )
        run._report = asyncio.create_task(follow_report(process.stdout, run.epoch_us, run.tally, copies=encoder.copies))
        return run

    @property
    def alive(self) -> bool:
        """Whether its ffmpeg is running."""
        return self._process.returncode is None

    @property
    def limit(self) -> str:
        """The limit of the system that has ended its ffmpeg, behind a colon; empty if none has."""
        return f": {limit}" if (limit := limit_behind_exit(self._process.returncode or 0)) else ""

    @property
    def age_us(self) -> int:
        """Time between its first and its last frame."""
        return max(0, self.last_us - self.epoch_us)

    async def wait(self) -> None:
        """Wait until its ffmpeg has exited, for whatever reason."""
        await self._process.wait()

    def takes(self, captured_us: int) -> bool:
        """Whether a frame with this capture time can follow those that were given to ffmpeg."""
        return self._nut.takes(captured_us) and captured_us < self.last_us + MAX_STEP_IN_RUN_US

    def lacks_reference_of(self, packet: Packet) -> bool:
        """Whether a frame is shown before the keyframe of an open GOP with which this run began: it needs an earlier
        one."""
        begins = self.format.reordered > 0 and self.age_us == 0
        return begins and not packet.keyframe and packet.captured_us < self.epoch_us

    async def write(self, packet: Packet) -> None:
        """Hand a packet to ffmpeg, with those that were added; returns when the pipe has room again.

        Raises:
            FFmpegError: ffmpeg has exited, or accepts no more data.
        """
        self.add(packet)
        await self.flush()

    def add(self, packet: Packet) -> None:
        """Let a packet wait for those behind it, which are handed over together; at most until it `is_full`."""
        captured_us = packet.captured_us
        self.tally.went_in(captured_us)  # first: one that cannot be written is lost with the run
        with self._giving:
            self._nut.add(packet)
            self._given_us.append(captured_us)
        self.last_us = max(self.last_us, captured_us)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that it has to be handed over."""
        return self._nut.waiting_bytes >= _TOGETHER_BYTES

    async def flush(self) -> None:
        """Hand over what waits.

        Raises:
            FFmpegError: as for `write`.
        """
        if self._nut.waiting_bytes:
            await self._send(self._nut.take())

    @property
    def fault(self) -> str:
        """What is wrong with its faulty frames."""
        format, said = self.format, self.tally.last_complaint
        reason = f"images of {format.width}x{format.height} ({format.codec}) cannot be decoded"
        return f"{reason}: {said}" if said else reason

    def judge(self) -> Verdict:
        """What is wrong with what comes out of ffmpeg, if anything."""
        if not self.alive:
            return Verdict.FINE
        unread = self._unread_bytes()
        self.standstill.look(unread)
        return self.tally.judge(drained=not unread)

    async def finish(self, *, patient: bool = False) -> None:
        """Let ffmpeg write everything it holds and exit; kill it if it does not.

        It has `FFMPEG_FINISH_S` for that; if `patient`, as long as it reads, decodes or writes.

        Raises:
            FFmpegError: it failed or did not exit; the error says why.
        """
        flushing = asyncio.ensure_future(self._flush())
        try:
            while not await self._is_done(flushing, patient and not self._hurried.is_set()):
                pass
        except asyncio.TimeoutError as error:
            if patient and not self._hurried.is_set():
                raise FFmpegError("ffmpeg-writes-nothing", timeout_s=FINISH_PATIENCE_S) from error
            raise FFmpegError("segment-unfinished", timeout_s=FFMPEG_FINISH_S) from error
        finally:
            flushing.cancel()
            await asyncio.gather(flushing, return_exceptions=True)
            messages = await self.kill()
        code = self._process.returncode or 0
        # ffmpeg fails if it could decode nothing at all: a fault of the frames, which writing them again would repeat.
        if code and (code < 0 or self.tally.recorded or not self.tally.undecodable):
            reason = "; ".join(messages) or limit_behind_exit(code) or "no reason given"
            full = await full_disk(self.files.directory, "; ".join(dict.fromkeys(messages)))
            raise full or FFmpegError("ffmpeg-ended-early", exit_code=code, reason=reason)
        if self._copies:
            self.tally.came_out_until(self.last_us)
        self.tally.settle()

    async def _is_done(self, flushing: asyncio.Future[None], patient: bool) -> bool:
        """Wait for ffmpeg to exit; False if it has not, but is still writing.

        Raises:
            TimeoutError: it has not, and is not writing.
        """
        if not patient:
            await asyncio.wait_for(asyncio.shield(flushing), FFMPEG_FINISH_S)
            return True
        loop = asyncio.get_running_loop()
        before = await loop.run_in_executor(None, self._progress)
        hurried = asyncio.ensure_future(self._hurried.wait())
        both: set[asyncio.Future[Any]] = {flushing, hurried}
        await asyncio.wait(both, timeout=FINISH_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if flushing.done():
            flushing.result()
            return True
        if not self._hurried.is_set() and await loop.run_in_executor(None, self._progress) == before:
            raise asyncio.TimeoutError
        return False

    def hurry(self) -> None:
        """End a patient `finish` soon: the process is shutting down, or new frames wait."""
        self._hurried.set()

    def _progress(self) -> tuple[str, int, int, int]:
        """What changes while ffmpeg works: its newest file, how large it is, what is unread and what came out."""
        unread, came_out = self._unread_bytes(), self.tally.recorded
        last = self.open_paths()[-1:]
        with contextlib.suppress(OSError):
            return (last[0].name, last[0].stat().st_size, unread, came_out) if last else ("", 0, unread, came_out)
        return "", 0, unread, came_out

    async def _flush(self) -> None:
        with contextlib.suppress(FFmpegError):  # the exit code says it
            await self._send(self._nut.end())
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def kill(self) -> list[str]:
        """Kill ffmpeg if it is still running; return its first warnings and errors."""
        await finish_despite_cancellation(self._end())
        return await self._said()

    async def explain(self, reason: str) -> str:
        """Why the run failed, with what ffmpeg said. Waits until ffmpeg has exited."""
        said = "; ".join(dict.fromkeys(await self._said()))
        if full := await full_disk(self.files.directory, said):
            return str(full)
        return f"{reason.rstrip('.')}: {said}." if said else reason

    async def _said(self) -> list[str]:
        return [] if self._messages is None else await asyncio.shield(self._messages)

    async def _end(self) -> None:
        self.standstill.end()
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._report is not None:  # it reads the same pipe as `end_process` does
            await self._report
        await end_process(self._process)

    def open_paths(self) -> list[Path]:
        """The segments of this run that still have their open name: the last one is being written. Blocking."""
        return self.files.find()

    def sync(self) -> None:
        """Sync the open segment to disk, if it has changed. Blocking."""
        self.files.sync()

    def next_frame_us(self, time_us: int) -> int | None:
        """The capture time of the frame that was given to ffmpeg behind another one; None if it is not known any more.

        Files may tell a time a microsecond too early.
        """
        with self._giving:
            given = [*self._given_us]
        return next((after for one, after in itertools.pairwise(given) if time_us <= one <= time_us + 1), None)

    def next_sound_us(self, decoded_us: int) -> int | None:
        """When the first sound was captured that ffmpeg puts into a segment whose first frame is decoded at a time;
        None if it is not known.

        Files may tell a time a few microseconds off.
        """
        with self._giving:
            return self._nut.next_sound_us(decoded_us)

    async def _send(self, data: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        if not self.alive:
            raise FFmpegError("ffmpeg-ended")
        stdin.write(data)
        self.standstill.give(len(data))
        while stdin.transport.get_write_buffer_size():
            unread = self._unread_bytes()
            try:
                await asyncio.wait_for(stdin.drain(), FFMPEG_STUCK_S)
                return
            except asyncio.TimeoutError as error:
                if self._unread_bytes() >= unread:
                    raise FFmpegError("ffmpeg-stuck", timeout_s=FFMPEG_STUCK_S) from error
            except OSError as error:
                raise FFmpegError("ffmpeg-ended") from error

    def _unread_bytes(self) -> int:
        """How much of what was written ffmpeg has not read yet."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(ValueError):  # it is closed
            return stdin.transport.get_write_buffer_size() + unread_bytes(
                stdin.transport.get_extra_info("pipe").fileno()
            )
        return 0
