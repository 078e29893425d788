"""The recorder: takes packets from a source and keeps a run of ffmpeg writing them."""

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
from videostore.recording.backlog import _END, Backlog
from videostore.recording.run import Run

BACKLOG_FRAMES = 20
BACKLOG_BYTES = 32 * 1024 * 1024
"""What waits for a slow ffmpeg, one second at the default rate; beyond either bound new frames are dropped, counted."""

KEPT_FOR_REPEAT_S = 30.0
"""Of a source that can wait, so much is kept of what ffmpeg was given, to be written again if ffmpeg fails: more than
an encoder holds, and than lies between two keyframes."""

FFMPEG_HEALTHY_S = 10.0
"""A run that lasted this long resets the back-off."""

SYNC_INTERVAL_S = 0.5
"""How often the open segment is forced to stable storage: a power cut loses this, one keyframe interval, and what is on
its way; less than 2 s in all."""

_RATE_WINDOW_US = 5 * US_PER_SECOND


@dataclass(frozen=True, slots=True)
class RecorderHealth:
    """How the recorder is, for people."""

    recording: bool
    reason: str
    """Why not; empty while recording."""
    frames_per_second: float
    """Recorded, over the last seconds."""
    last_frame_age_s: float | None
    """Since the capture of the last recorded frame; None before the first."""
    open_segment: str | None
    ffmpeg_restarts: int
    dropped_frames: int
    """Not recorded because ffmpeg was too slow, or away."""


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
        """`on_run_end` is awaited with each run after its ffmpeg has ended, `prepare` before each is started.

        A source that is not `live` waits while ffmpeg is busy or away, and what an ffmpeg that failed has taken with it
        is written again: `last_stored` tells the capture time of the last frame of a run that is in a file. Of a live
        source packets are dropped then, and counted.

        `prepare` may raise VideoStoreError or OSError: then it is tried again, like an ffmpeg that fails.
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
        self._last_stored = last_stored
        self._recent_packets: deque[Packet] = deque()
        """Of a source that is not live: what was written to ffmpeg last, and may be lost with it."""
        self._recent_bytes = 0
        self.ended = asyncio.Event()
        """Set when the source has come to its end, and all of it is recorded, or `end_fault` says why not."""
        self.end_fault: str | None = None
        self._lost: list[Packet] = []
        """What a run that could not be finished has taken with it, where it can be written again."""
        self._backlog = Backlog(BACKLOG_FRAMES, BACKLOG_BYTES)
        self._run: Run | None = None
        self._watcher: asyncio.Task[None] | None = None
        """Ends with the run's ffmpeg."""
        self._reason = "no picture has arrived yet"
        self._last_us: int | None = None
        self._recent: deque[int] = deque()
        self._restarts = 0
        self._dropped = 0
        self._backoff_s = 0.0
        self._retry_us = 0

    @property
    def run(self) -> Run | None:
        """The current run, if one is going on."""
        return self._run

    def interrupt(self, reason: str) -> None:
        """Let the next picture begin a new run."""
        self._backlog.put(Gap(reason))

    def health(self) -> RecorderHealth:
        """How it is right now."""
        now_us = self._clock.monotonic_us()
        while self._recent and now_us - self._recent[0] > _RATE_WINDOW_US:
            self._recent.popleft()
        span_us = now_us - self._recent[0] if self._recent else 0
        age_s = None
        if self._last_us is not None:
            age_s = round(max(0, self._steady.now_us() - self._last_us) / US_PER_SECOND, 3)
        open_paths = self._run.open_paths() if self._run else []
        return RecorderHealth(
            recording=self._run is not None,
            reason="" if self._run else self._reason,
            frames_per_second=round((len(self._recent) - 1) * US_PER_SECOND / span_us, 2) if span_us else 0.0,
            last_frame_age_s=age_s,
            open_segment=open_paths[-1].name if open_paths else None,
            ffmpeg_restarts=self._restarts,
            dropped_frames=self._dropped + self._backlog.dropped,
        )

    async def record(self) -> None:
        """Record until cancelled; then finish the open segment. A fault ends a run, never the recording."""
        helpers = [asyncio.create_task(self._pull()), asyncio.create_task(self._sync())]
        try:
            while True:
                await self._take_safely(await self._backlog.get())
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
                        self._steady.now_us()  # follows a step of the clock, if there was one
                        if self._steady.steps != steps:
                            steps = self._steady.steps
                            self._logger.warning("The clock was stepped; a new run begins.")
                            self._backlog.put(Gap("the clock was stepped"))
                        if not self._live:
                            await self._backlog.room_for(item)
                        self._backlog.put(item)
                self._backlog.put(_END)
                return
            except Exception:
                self._logger.exception("The camera's pictures cannot be taken; trying again.")
                self._backlog.put(Gap("the source has failed"))
                await asyncio.sleep(1)

    async def _sync(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SYNC_INTERVAL_S)
            if self._run is not None:
                try:
                    await loop.run_in_executor(None, self._run.sync)
                except OSError as error:
                    self._logger.warning("The open segment could not be forced to disk: %s", error)

    async def _watch(self, run: Run) -> None:
        """Let the recorder notice an ffmpeg that ends by itself, even while no pictures come."""
        await run.wait()
        self._backlog.put(run)

    async def _take_safely(self, item: Packet | Gap | Run) -> None:
        try:
            await self._take(item)
        except Exception as error:
            self._logger.exception("A picture could not be recorded.")
            await self._fail_run(f"an error of the recorder: {error}")

    async def _take(self, item: Packet | Gap | Run) -> None:
        if isinstance(item, Gap):
            error = await self._finish_surely(item.reason)
            if item is _END:
                self.end_fault = reason_of(error) if error else None
                self.ended.set()
            return
        if isinstance(item, Run):
            if item is self._run:
                for packet in await self._fail_and_take_back("ffmpeg has ended"):
                    await self._write_surely(packet)
            return
        run = self._run
        if run is not None:
            if run.format != item.format:
                await self._finish_surely("the pictures' format has changed")
            elif not run.last_us < item.captured_us < run.last_us + MAX_STEP_IN_RUN_US:
                await self._finish_surely("the pictures' time leaped")
        if not self._live:
            await self._write_surely(item)
            return
        try:
            await self._write(item)
        except (VideoStoreError, OSError) as error:
            self._dropped += 1
            await self._fail_run(f"{reason_of(error).rstrip('.')}.")

    async def _write_surely(self, packet: Packet) -> None:
        """Write a packet of a source that can wait: again and again, with what was lost before it."""
        waiting = deque([packet])
        while waiting:
            if self._run is None:
                await asyncio.sleep((self._retry_us - self._clock.monotonic_us()) / US_PER_SECOND)
            try:
                await self._write(waiting[0])
            except (VideoStoreError, OSError) as error:
                waiting.extendleft(reversed(await self._fail_and_take_back(reason_of(error))))
            else:
                self._remember(waiting.popleft())

    def _remember(self, packet: Packet) -> None:
        kept = self._recent_packets
        kept.append(packet)
        self._recent_bytes += len(packet.data)
        while (
            packet.captured_us - kept[0].captured_us > KEPT_FOR_REPEAT_S * US_PER_SECOND
            or self._recent_bytes > BACKLOG_BYTES
        ) and len(kept) > 1:
            self._recent_bytes -= len(kept.popleft().data)

    async def _fail_and_take_back(self, reason: str) -> list[Packet]:
        """Clear away a run that failed; return what was written to it, and is in no file."""
        run = self._run
        await self._fail_run(f"{reason.rstrip('.')}")
        return await self._take_back(run) if run is not None and not self._live else []

    async def _take_back(self, run: Run) -> list[Packet]:
        """What was written to a run that failed, and is in no file."""
        stored_us = await self._last_stored(run) if self._last_stored is not None else run.last_us
        kept, self._recent_packets, self._recent_bytes = self._recent_packets, deque(), 0
        return [one for one in kept if one.captured_us > stored_us]

    async def _finish_surely(self, reason: str) -> FFmpegError | None:
        """Finish the run; of a source that can wait, again until nothing of it is lost."""
        while (error := await self._end_run(reason, patient=not self._live)) is not None and self._lost:
            lost, self._lost = self._lost, []
            self._logger.warning("The end of a run is written again: %s", error)
            for packet in lost:
                await self._write_surely(packet)
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
        self._recent.append(self._clock.monotonic_us())
        while self._recent[-1] - self._recent[0] > _RATE_WINDOW_US:
            self._recent.popleft()
        if self._backoff_s and self._run.age_us > FFMPEG_HEALTHY_S * US_PER_SECOND:
            self._backoff_s = 0.0

    async def _end_run(self, reason: str, *, patient: bool = False) -> FFmpegError | None:
        """Finish the run as it should end, also while being cancelled: its last pictures are still in ffmpeg.

        A `patient` one may take as long as ffmpeg goes on writing. Returns why it could not be finished.
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
        if failed is not None and not self._live:
            self._lost = await self._take_back(run)
        self._recent_packets, self._recent_bytes = deque(), 0
        self._logger.info("The recording pauses: %s.", self._reason)
        return failed

    async def _fail_run(self, reason: str) -> None:
        """Clear away a run whose ffmpeg failed, and wait longer before each new attempt."""
        run = self._run
        said = await run.kill() if run else []
        first_s, longest_s = FFMPEG_BACKOFF_S
        self._backoff_s = min(longest_s, self._backoff_s * 2 or first_s)
        self._retry_us = self._clock.monotonic_us() + round(self._backoff_s * US_PER_SECOND)
        self._restarts += 1
        self._reason = f"{reason.rstrip('.')}: {'; '.join(dict.fromkeys(said))}." if said else reason
        self._logger.error("The recording was interrupted, trying again in %.1f s: %s", self._backoff_s, self._reason)
        if run is not None:
            await self._close_run(run)

    async def _close_run(self, run: Run) -> None:
        """Until its segments are closed it stays the current run, so that a clip finds them."""
        try:
            await self._on_run_end(run)
        except Exception:
            self._logger.exception("The segments of a run could not be closed.")
        finally:
            self._run = None
