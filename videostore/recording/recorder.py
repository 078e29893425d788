"""The recorder: takes packets from a source and keeps one ffmpeg at a time recording them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from videostore.base.clock import Clock, SteadyClock
from videostore.base.constants import FFMPEG_BACKOFF_S, MAX_STEP_IN_RUN_US, US_PER_SECOND
from videostore.base.errors import FFmpegError, VideoStoreError, reason_of
from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Gap, Packet, Source
from videostore.recording.backlog import END_OF_SOURCE, Backlog
from videostore.recording.repeat_buffer import RepeatBuffer
from videostore.recording.run import Run

FFMPEG_HEALTHY_S = 10.0
"""A run that lasted this long resets the back-off."""

SYNC_INTERVAL_S = 0.5
"""How often the open segment is synced to disk: a power cut loses this, one keyframe interval, and what is in the pipe;
less than 2 s in all."""

_RATE_WINDOW_US = 5 * US_PER_SECOND


@dataclass(frozen=True, slots=True)
class RecorderHealth:
    """The state of the recorder."""

    recording: bool
    reason: str
    """Why it is not recording; empty while it is."""
    frames_per_second: float
    """Frames recorded, over the last 5 s."""
    last_frame_age_s: float | None
    """Time since the capture of the last recorded frame; None before the first."""
    open_segment: str | None
    """Name of the file that is being written."""
    ffmpeg_restarts: int
    """How often ffmpeg failed."""
    dropped_frames: int
    """Frames that were not recorded because ffmpeg was too slow or not running."""


class Recorder:
    """Records one source into one directory. `record` owns the source's iterator and every ffmpeg that it starts."""

    def __init__(
        self,
        source: Source,
        encoder: Encoder,
        *,
        binary: str,
        directory: Path,
        segment_seconds: float,
        clock: Clock,
        logger: logging.Logger,
        on_run_end: Callable[[Run], Awaitable[None]],
        prepare: Callable[[], Awaitable[None]] | None = None,
        live: bool = True,
        last_stored: Callable[[Run], Awaitable[int]] | None = None,
    ) -> None:
        """`on_run_end` is awaited with each run after its ffmpeg has exited, `prepare` before each run is started.

        A source that is not `live` waits while ffmpeg is busy or not running, and the packets that a failed ffmpeg lost
        are written again: `last_stored` returns the capture time of the last frame of a run that is in a file. Packets
        of a live source are dropped in these cases, and counted.

        `prepare` may raise VideoStoreError or OSError: then it is called again later, as after a failure of ffmpeg.
        """
        self._source = source
        self._encoder = encoder
        self._binary = binary
        self._directory = directory
        self._segment_seconds = segment_seconds
        self._clock = clock
        self._steady = SteadyClock(clock)
        self._logger = logger
        self._on_run_end = on_run_end
        self._prepare = prepare
        self._live = live
        self._repeat = None if live else RepeatBuffer(last_stored)
        self.ended = asyncio.Event()
        """Set when the source has ended and all of it is recorded, or `end_fault` says why not."""
        self.end_fault: str | None = None
        self._lost: list[Packet] = []
        """Packets of a run that could not be finished, to be written again."""
        self._backlog = Backlog()
        self._run: Run | None = None
        self._watcher: asyncio.Task[None] | None = None
        """Ends with the run's ffmpeg."""
        self._reason = "no image has arrived yet"
        self._last_us: int | None = None
        self._written_us: deque[int] = deque()
        """When frames were written in the last seconds, by the monotonic clock."""
        self._restarts = 0
        self._dropped = 0
        self._backoff_s = 0.0
        self._retry_us = 0

    @property
    def run(self) -> Run | None:
        """The current run; None while nothing is recorded."""
        return self._run

    def interrupt(self, reason: str) -> None:
        """Start a new run with the next image."""
        self._backlog.put(Gap(reason))

    def health(self) -> RecorderHealth:
        """Its current state."""
        now_us = self._clock.monotonic_us()
        while self._written_us and now_us - self._written_us[0] > _RATE_WINDOW_US:
            self._written_us.popleft()
        span_us = now_us - self._written_us[0] if self._written_us else 0
        age_s = None
        if self._last_us is not None:
            age_s = round(max(0, self._steady.now_us() - self._last_us) / US_PER_SECOND, 3)
        open_paths = self._run.known_paths if self._run else []
        return RecorderHealth(
            recording=self._run is not None,
            reason="" if self._run else self._reason,
            frames_per_second=round((len(self._written_us) - 1) * US_PER_SECOND / span_us, 2) if span_us else 0.0,
            last_frame_age_s=age_s,
            open_segment=open_paths[-1].name if open_paths else None,
            ffmpeg_restarts=self._restarts,
            dropped_frames=self._dropped + self._backlog.dropped,
        )

    async def record(self) -> None:
        """Record until cancelled; then finish the open segment. A fault ends a run, but never the recording."""
        helpers = [asyncio.create_task(self._pull()), asyncio.create_task(self._sync())]
        try:
            while True:
                await self._handle_safely(await self._backlog.get())
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._end_run("the recorder was stopped")

    async def _pull(self) -> None:
        steps = self._steady.steps
        while True:
            try:
                async with contextlib.aclosing(self._source.packets()) as packets:  # type: ignore[type-var]
                    async for item in packets:
                        self._steady.now_us()  # notices a step of the clock
                        if self._steady.steps != steps:
                            steps = self._steady.steps
                            self._logger.warning("The clock was changed; starting a new run.")
                            self._backlog.put(Gap("the clock was changed"))
                        if not self._live:
                            await self._backlog.room_for(item)
                        self._backlog.put(item)
                self._backlog.put(END_OF_SOURCE)
                return
            except Exception:
                self._logger.exception("The source failed; trying again.")
                self._backlog.put(Gap("the source failed"))
                await asyncio.sleep(1)

    async def _sync(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SYNC_INTERVAL_S)
            if self._run is not None:
                try:
                    await loop.run_in_executor(None, self._run.sync)
                except OSError as error:
                    self._logger.warning("The open segment could not be synced to disk: %s", error)

    async def _watch(self, run: Run) -> None:
        """Notice an ffmpeg that exits by itself, even while no images arrive."""
        await run.wait()
        self._backlog.put(run)

    async def _handle_safely(self, item: Packet | Gap | Run) -> None:
        try:
            await self._handle(item)
        except Exception as error:
            self._logger.exception("An image could not be recorded.")
            await self._fail_run(f"internal error: {error}")

    async def _handle(self, item: Packet | Gap | Run) -> None:
        if isinstance(item, Gap):
            error = await self._finish_with_retries(item.reason)
            if item is END_OF_SOURCE:
                self.end_fault = reason_of(error) if error else None
                self.ended.set()
            return
        if isinstance(item, Run):
            if item is self._run:
                for packet in await self._fail_and_take_lost("ffmpeg exited"):
                    await self._write_with_retries(packet)
            return
        run = self._run
        if run is not None:
            if run.format != item.format:
                await self._finish_with_retries("the image size or format changed")
            elif not run.last_us < item.captured_us < run.last_us + MAX_STEP_IN_RUN_US:
                await self._finish_with_retries("the capture times jumped")
        if self._repeat is not None:
            await self._write_with_retries(item)
            return
        try:
            await self._write(item)
        except (VideoStoreError, OSError) as error:
            self._dropped += 1
            await self._fail_run(f"{reason_of(error).rstrip('.')}.")

    async def _write_with_retries(self, packet: Packet) -> None:
        """Write a packet of a source that can wait, until it is written, and what was lost before it."""
        assert self._repeat is not None
        waiting = deque([packet])
        while waiting:
            if self._run is None:
                await asyncio.sleep((self._retry_us - self._clock.monotonic_us()) / US_PER_SECOND)
            try:
                await self._write(waiting[0])
            except (VideoStoreError, OSError) as error:
                waiting.extendleft(reversed(await self._fail_and_take_lost(reason_of(error))))
            else:
                self._repeat.add(waiting.popleft())

    async def _fail_and_take_lost(self, reason: str) -> list[Packet]:
        """Clean up after a run that failed; return the packets to be written again."""
        run = self._run
        await self._fail_run(reason.rstrip("."))
        return await self._repeat.take_lost(run) if run is not None and self._repeat is not None else []

    async def _finish_with_retries(self, reason: str) -> FFmpegError | None:
        """Finish the run; if the source can wait, write its end again until none of it is lost."""
        while (error := await self._end_run(reason, patient=not self._live)) is not None and self._lost:
            lost, self._lost = self._lost, []
            self._logger.warning("Writing the end of a run again: %s", error)
            for packet in lost:
                await self._write_with_retries(packet)
        return error

    async def _write(self, packet: Packet) -> None:
        if self._run is None:
            if not packet.keyframe or self._clock.monotonic_us() < self._retry_us:
                self._dropped += 1
                return
            if self._prepare is not None:
                await self._prepare()
            self._run = await Run.start(
                packet,
                binary=self._binary,
                encoder=self._encoder,
                directory=self._directory,
                segment_seconds=self._segment_seconds,
                logger=self._logger,
            )
            self._watcher = asyncio.create_task(self._watch(self._run))
            self._logger.info("Recording %dx%d %s.", packet.format.width, packet.format.height, packet.format.codec)
        await self._run.write(packet)
        self._last_us = packet.captured_us
        self._written_us.append(self._clock.monotonic_us())
        while self._written_us[-1] - self._written_us[0] > _RATE_WINDOW_US:
            self._written_us.popleft()
        if self._backoff_s and self._run.age_us > FFMPEG_HEALTHY_S * US_PER_SECOND:
            self._backoff_s = 0.0

    async def _end_run(self, reason: str, *, patient: bool = False) -> FFmpegError | None:
        """Finish the run in order, even while being cancelled: ffmpeg still holds its last images.

        If `patient`, it may take as long as ffmpeg keeps writing. Returns why it could not be finished.
        """
        self._reason = reason
        if self._run is None:
            return None
        finishing = asyncio.ensure_future(self._finish_run(self._run, patient))
        try:
            return await asyncio.shield(finishing)
        except asyncio.CancelledError:
            self._run.hurry()
            await finishing
            raise

    async def _finish_run(self, run: Run, patient: bool) -> FFmpegError | None:
        failed: FFmpegError | None = None
        try:
            await run.finish(patient=patient)
        except FFmpegError as error:
            self._logger.warning("%s", error)
            failed = error
        finally:
            await self._close_run(run)
        if self._repeat is not None:
            if failed is not None:
                self._lost = await self._repeat.take_lost(run)
            self._repeat.clear()
        self._logger.info("Recording paused: %s.", self._reason)
        return failed

    async def _fail_run(self, reason: str) -> None:
        """Clean up after a run whose ffmpeg failed; the pause before each new attempt is longer."""
        run = self._run
        messages = await run.kill() if run else []
        first_s, longest_s = FFMPEG_BACKOFF_S
        self._backoff_s = min(longest_s, self._backoff_s * 2 or first_s)
        self._retry_us = self._clock.monotonic_us() + round(self._backoff_s * US_PER_SECOND)
        self._restarts += 1
        self._reason = f"{reason.rstrip('.')}: {'; '.join(dict.fromkeys(messages))}." if messages else reason
        self._logger.error("Recording was interrupted; trying again in %.1f s: %s", self._backoff_s, self._reason)
        if run is not None:
            await self._close_run(run)

    async def _close_run(self, run: Run) -> None:
        """It stays the current run until its segments are closed, so that a clip can include them."""
        try:
            await self._on_run_end(run)
        except Exception:
            self._logger.exception("The segments of a run could not be closed.")
        finally:
            self._run = None
