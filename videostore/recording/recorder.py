"""The recorder: takes packets from a source and keeps one ffmpeg at a time recording them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeGuard

from videostore.base.clock import Clock, SteadyClock
from videostore.base.constants import NOTHING_YET, STOPPED
from videostore.base.errors import FFmpegError, VideoStoreError, reason_of
from videostore.base.tasks import end_tasks_during, finish_despite_cancellation
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.message_limit import MessageLimit
from videostore.media.packet import Gap, Packet, Source
from videostore.recording.backlog import END_OF_SOURCE, Backlog, gap_reason
from videostore.recording.backoff import Backoff
from videostore.recording.format_gate import FormatGate
from videostore.recording.frame_tally import SILENT_AFTER_S
from videostore.recording.health import HealthMeter, RecorderHealth
from videostore.recording.intake import Intake
from videostore.recording.repeat_buffer import RepeatBuffer
from videostore.recording.run import Run
from videostore.recording.run_watch import watch
from videostore.recording.syncer import Syncer


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
        on_run_start: Callable[[int, str], None] = lambda _epoch_us, _reason: None,
    ) -> None:
        """`on_run_start` gets the time of a run's first frame, and why nothing was recorded before it.

        `on_run_end` is awaited with each run after its ffmpeg has exited, `prepare` before each run is started.

        `last_stored` returns the capture time of the last frame of a run that is in a file: those behind it are lost if
        its ffmpeg has failed. A source that is not `live` waits while ffmpeg is busy or not running, and what was lost
        is written again; if nothing of it can be stored any more, its recording ends. Packets of a live source are
        dropped in these cases, and counted.

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
        self._on_run_start = on_run_start
        self._prepare = prepare
        self._live = live
        self._repeat = None if live else RepeatBuffer(last_stored)
        self._last_stored = last_stored
        self.ended = asyncio.Event()
        """Set when the source has ended and all of it is recorded, or `end_fault` says why not."""
        self.end_fault: str | None = None
        self.last_failure = ""
        """Why recording was interrupted last, in ffmpeg's own words too; empty if it never was."""
        self._lost: list[Packet] = []  # of a run that could not be finished, to be written again
        self._backlog = Backlog()
        self._run: Run | None = None
        self._pulling: asyncio.Task[None]
        self._watcher: asyncio.Task[None] | None = None
        """Ends with the run's ffmpeg."""
        self._gate = FormatGate()
        self._message_limit = MessageLimit()
        self._meter = HealthMeter(source, clock, self._steady, directory)
        self._reason = NOTHING_YET
        self._backoff = Backoff(clock)

    @property
    def run(self) -> Run | None:
        """The current run; None while nothing is recorded."""
        return self._run

    def interrupt(self, reason: str) -> None:
        """Start a new run with the next image."""
        self._backlog.put(Gap(reason))

    def health(self) -> RecorderHealth:
        """Its current state."""
        return self._meter.health(self._run, self._reason, self._backlog.dropped)

    async def record(self) -> None:
        """Record until cancelled; then finish the open segment. A fault ends a run, but never the recording."""
        intake = Intake(self._source, self._backlog, self._steady, self._logger, live=self._live)
        syncing = Syncer(lambda: self._run, self._logger)
        self._pulling = asyncio.create_task(intake.run())
        try:
            while True:
                await self._handle_safely(await self._backlog.get())
        finally:  # the segment is finished, however long the source takes to close
            syncing.stop()
            await end_tasks_during(self._end_run(STOPPED), [self._pulling])

    async def _handle_safely(self, item: Packet | Gap | Run) -> None:
        if self.ended.is_set():  # what is left of a source of which nothing can be stored any more
            return
        try:
            if self._continues(item):
                self._gather(item)
            else:
                await self._handle(item)
            while (run := self._run) is not None and not run.is_full and self._continues(first := self._backlog.first):
                item = first  # a step of the loop for each would cost more than what is done for it
                self._backlog.get_nowait()
                self._gather(item)
            if run is not None and (run.is_full or not self._backlog.filled):
                await self._attempt(run.flush())
        except Exception as error:
            self._logger.exception("An image could not be recorded.")
            again = [item] if self._repeat is not None and isinstance(item, Packet) else []
            holds = self._run is not None and isinstance(item, Packet) and self._run.tally.took(item.captured_us)
            self._meter.dropped += isinstance(item, Packet) and not again and not holds
            for packet in [*await self._fail_and_take_lost(f"internal error: {error}"), *again]:
                await self._write_with_retries(packet)
            self.end_fault = self._reason if item is END_OF_SOURCE else None
        if self._repeat is not None and self._repeat.hopeless:
            self._give_up()
        elif item is END_OF_SOURCE:
            self.ended.set()

    def _continues(self, item: Packet | Gap | Run | None) -> TypeGuard[Packet]:
        """Whether it is a packet that continues the run of a live source."""
        run = self._run
        if run is None or self._repeat is not None or not isinstance(item, Packet):
            return False
        return (item.format is run.format or item.format == run.format) and run.takes(item.captured_us)

    def _gather(self, packet: Packet) -> None:
        """Let a packet that continues the run wait for those behind it."""
        if self._run is not None and self._is_recordable(packet):
            self._add(self._run, packet)

    def _add(self, run: Run, packet: Packet) -> None:
        run.add(packet)
        self._meter.count_damage(packet.damage, packet.captured_us)
        if run.tally.recorded:
            self._backoff.healthy_for(run.age_us)

    def _give_up(self) -> None:
        """End the recording of a source that can wait, since waiting does not help."""
        self._reason = self.end_fault = self.last_failure
        self._logger.error("The recording ends: %s", self.end_fault)
        self._pulling.cancel()
        self.ended.set()

    async def _handle(self, item: Packet | Gap | Run) -> None:
        if isinstance(item, Gap):
            before = self._reason if self._run is None and self._reason != NOTHING_YET else ""
            error = await self._finish_with_retries(gap_reason(item, self._source, before), patient=True)
            if item is END_OF_SOURCE:
                self.end_fault = reason_of(error) if error else self._meter.fault_of_all
            return
        if isinstance(item, Run):
            if item is self._run:
                silent = FFmpegError("ffmpeg-writes-nothing", timeout_s=SILENT_AFTER_S)
                reason = reason_of(silent) if item.alive else "ffmpeg exited"
                for packet in await self._fail_and_take_lost(reason + item.limit):
                    await self._write_with_retries(packet)
            return
        if not self._is_recordable(item):
            return
        run = self._run
        if run is not None:
            if run.format != item.format:
                await self._finish_with_retries("the image size or format changed")
            elif not run.takes(item.captured_us) and not run.lacks_reference_of(item):
                await self._finish_with_retries("the capture times jumped")
        if self._repeat is not None:
            await self._write_with_retries(item)
        else:
            await self._attempt(self._write(item))

    async def _attempt(self, work: Awaitable[None]) -> None:
        """Give something to the run of a live source. If that fails, the run ends, and what it holds is counted."""
        try:
            await work
        except (VideoStoreError, OSError) as error:
            self._meter.dropped += self._run is None  # none could be started for a frame
            await self._fail_run(f"{reason_of(error).rstrip('.')}.")

    def _is_recordable(self, packet: Packet) -> bool:
        """Whether a packet can be recorded; if not, it is counted with its reason."""
        reason = ""
        if self._encoder.copies and packet.format.codec == "rawvideo":
            reason = self._reason = "raw images cannot be recorded without an encoder"
        elif self._live and not self._gate.admits(packet.format, packet.captured_us):
            reason = "the images alternate between sizes, formats or orientations"
        if reason:
            self._meter.count_fault(reason)
        return not reason

    async def _write_with_retries(self, packet: Packet) -> None:
        """Write a packet of a source that can wait, and what was lost before it, until it is written or hopeless."""
        assert self._repeat is not None
        waiting = deque([packet])
        suspect: Packet | None = None  # an internal error came with it, and may come because of it
        while waiting and not self._repeat.hopeless:
            if self._run is None:
                await self._backoff.wait()
            try:
                await self._write(waiting[0])
            except (VideoStoreError, OSError) as error:
                waiting.extendleft(reversed(await self._fail_and_take_lost(reason_of(error))))
            except Exception as error:
                self._logger.exception("An image could not be recorded.")
                packet = waiting.popleft()
                if packet is suspect:
                    self._meter.dropped += 1
                else:
                    suspect = packet
                    waiting.appendleft(packet)
                waiting.extendleft(reversed(await self._fail_and_take_lost(f"internal error: {error}")))
            else:
                self._repeat.add(waiting.popleft())

    async def _fail_and_take_lost(self, reason: str) -> list[Packet]:
        """Clean up after a run that failed; return the packets to be written again."""
        run = self._run
        await self._fail_run(reason.rstrip("."))
        return await self._repeat.take_lost(run) if self._repeat is not None else []

    async def _finish_with_retries(self, reason: str, *, patient: bool = False) -> Exception | None:
        """Finish the run; if the source can wait, write its end again until none of it is lost, or that is hopeless."""
        while (error := await self._end_run(reason, patient=patient or not self._live)) is not None and self._lost:
            lost, self._lost = self._lost, []
            if self._repeat is not None and self._repeat.hopeless:
                break
            self._logger.warning("Writing the end of a run again: %s", error)
            for packet in lost:
                await self._write_with_retries(packet)
        return error

    async def _write(self, packet: Packet) -> None:
        if self._run is None:
            if not packet.keyframe or self._backoff.left_s > 0:
                self._meter.dropped += 1
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
                on_frame=self._meter.frame_came_out,
                limit=self._message_limit,
            )
            self._on_run_start(packet.captured_us, self._reason)
            watching = watch(self._run, self._backlog, self._meter, self._logger, copies=self._encoder.copies)
            self._watcher = asyncio.create_task(watching)
            self._logger.info("Recording %dx%d %s.", packet.format.width, packet.format.height, packet.format.codec)
        if self._run.lacks_reference_of(packet):
            self._meter.dropped += 1
            return
        self._add(self._run, packet)
        if self._repeat is not None:
            await self._run.flush()

    async def _end_run(self, reason: str, *, patient: bool = False) -> Exception | None:
        """Finish the run in order, even while being cancelled: ffmpeg still holds its last images.

        If `patient`, while ffmpeg keeps writing and no frame of a live source waits. Returns why it was not finished.
        """
        self._reason = reason
        if (run := self._run) is None:
            return None
        self._meter.ended = reason if self._live and patient else ""
        finishing = asyncio.ensure_future(self._finish_run(run, patient))
        try:
            return await asyncio.shield(finishing)
        except asyncio.CancelledError:
            run.hurry()
            await finish_despite_cancellation(finishing)
            raise

    async def _finish_run(self, run: Run, patient: bool) -> Exception | None:
        failed: Exception | None = None
        resumed = asyncio.create_task(self._backlog.holds_packet())
        if self._live:
            resumed.add_done_callback(lambda _: run.hurry())
        try:
            await run.finish(patient=patient)
        except FFmpegError as error:
            self._logger.warning("%s", error)
            failed, self.last_failure = error, reason_of(error)
        except Exception as error:
            self._logger.exception("A run could not be finished.")
            failed, self.last_failure = error, f"internal error: {error}"
            await run.kill()
        finally:
            resumed.cancel()
            await self._close_run(run, failed=failed is not None)
        if self._repeat is not None:
            if failed is not None:
                self._lost = await self._repeat.take_lost(run)
            self._repeat.clear()
        self._logger.info("Recording paused: %s.", self._reason)
        return failed

    async def _fail_run(self, reason: str) -> None:
        """Clean up after a run whose ffmpeg failed; the pause before each new attempt is longer."""
        run = self._run
        if run is not None:
            self._meter.ended = reason if run.alive else await run.explain(reason)
            await run.kill()
            reason = await run.explain(reason)
        self._backoff.lengthen()
        self._meter.restarts += 1
        self._reason = self.last_failure = reason
        self._logger.error("Recording was interrupted; trying again in %.1f s: %s", self._backoff.pause_s, self._reason)
        if run is not None:
            await self._close_run(run, failed=True)

    async def _close_run(self, run: Run, *, failed: bool) -> None:
        """It stays the current run until its segments are closed, so that a clip can include them."""
        stored_us: int | None = None
        try:
            await finish_despite_cancellation(self._on_run_end(run))
            stored_us = await self._last_stored(run) if failed and self._last_stored else None
        except Exception:
            self._logger.exception("The segments of a run could not be closed.")
        finally:
            self._meter.take_over(run, stored_us, failed=failed, loses=self._live)
            self._run = None
