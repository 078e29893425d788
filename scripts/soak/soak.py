"""Records with one module under faults, then compares its clips with every frame that the camera delivered."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

import av
import psutil

from scripts.fakes.painted_camera import read_clip
from scripts.fakes.viam_server import ModuleStartError
from scripts.soak.faults import US, Excuse, Fault
from scripts.soak.injection import SIZES, FaultInjector
from scripts.soak.judge import MAX_DRIFT_US, Judge, runs_of
from scripts.soak.report import SHOWN_LINES, Record
from scripts.soak.tested_module import (
    CALL_ERRORS,
    HEIGHT,
    WIDTH,
    AsyncSave,
    TestedModule,
    message_of,
    nothing_stored,
    now_us,
    timestamp,
)
from scripts.soak.usage import new_history, sample

PIECE_S = 25


# After a fault a request can still be in progress. After this time the module is as without a fault.
SETTLE_S = 4.0


SAMPLE_S = 2.0


# After a calm of this length, the range that is fetched was recorded after the fault.
CHECKED_S = 8.0


REBUILT_S = 60.0


SAVED_S = 90.0


FIRST_FRAME_S = 20.0


TROUBLE = (*CALL_ERRORS, ModuleStartError, LookupError, RuntimeError, psutil.Error)


class SoakError(Exception):
    """The soak cannot go on. The text is for the terminal."""


class Soak:
    """One soak, from the first fault to the verdict. It owns nothing: the caller owns the module."""

    def __init__(self, module: TestedModule, record: Record, stop: asyncio.Event) -> None:
        self._module = module
        self._record = record
        self._stop = stop
        self._injector = FaultInjector(module)

    async def record(self, faults: Iterator[Fault]) -> None:
        """Record under faults until the time is over or `stop` is set, then end the module in order."""
        module = self._module
        await module.start()
        self._note_process()
        if await module.recording_again(FIRST_FRAME_S) is None:
            raise SoakError(f"The module recorded nothing within {FIRST_FRAME_S:.0f} s.")
        for fault in faults:
            await self._calm(min(fault.calm_s, self._record.asked_s - module.elapsed_s))
            if self._stop.is_set() or module.elapsed_s >= self._record.asked_s:
                break
            await self._fault(fault)
        self._record.recorded_s = module.elapsed_s
        # No frame is in transit when the module ends: every delivered frame must be stored.
        module.camera.fault = "hang"
        await asyncio.sleep(1.0)
        await module.terminate()

    async def _fault(self, fault: Fault) -> None:
        module, kind = self._module, fault.kind
        for_s = f" for {fault.hold_s:.1f} s" if fault.hold_s else ""
        module.say(f"{module.elapsed_s:7.1f} s  {kind.name}{for_s}")
        self._record.faults[kind.name] += 1
        if kind.restarts or fault.seed % 4 == 0:
            await module.save_later()
        restarts = int((await module.status()).get("ffmpeg_restarts", 0)) if kind.name.startswith("ffmpeg") else -1
        hit_us = now_us()
        try:
            note = await self._injector.inject(fault)
        except TROUBLE as error:
            note = ""
            module.fail(f"{kind.name}: {message_of(error)}")
            await self._restart()
        over_us = now_us()
        again_us = await module.recording_again(kind.back_s, restarts_over=restarts)
        if again_us is None:
            reason = (await module.status()).get("reason", "it does not answer")
            module.fail(f"the module does not record {kind.back_s:.0f} s after {kind.name}: {reason}")
        if kind.lost_before_s is not None:
            to_us = again_us if again_us is not None else now_us()
            module.excuses.append(Excuse(hit_us - round(kind.lost_before_s * US), to_us, kind.name))
        self._note_process()
        recording = f"recording again {max(0, again_us - over_us) / US:.1f} s after its end" if again_us else ""
        notes = [note, recording, await self._injector.check_after(fault, hit_us)]
        module.say(f"{'':11}{'; '.join(one for one in notes if one)}")

    async def _calm(self, seconds: float) -> None:
        """Wait without a fault. Measure what the module uses, and check that it answers."""
        module = self._module
        began = time.monotonic()
        while (left_s := began + seconds - time.monotonic()) > 0 and not self._stop.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(SAMPLE_S, left_s))
            process = module.parent.process
            if process.returncode is not None:
                module.fail(f"the module ended by itself with exit code {process.returncode}")
                await self._restart()
            elif time.monotonic() - began > SETTLE_S and not (await module.status()).get("pending_saves", 1):
                usage = await asyncio.to_thread(sample, process.pid, module.elapsed_s, module.storage, module.upload)
                if usage is not None:
                    self._record.processes[-1].samples.append(usage)
        if not self._stop.is_set():
            await module.ask_for_saves()
            if seconds >= CHECKED_S:
                await module.check_calm()

    async def _restart(self) -> None:
        """Restart the module after a failure."""
        try:
            await self._module.parent.kill()
            await self._module.start()
        except TROUBLE as error:
            raise SoakError(f"The module cannot be started again: {message_of(error)}") from error
        self._note_process()

    def _note_process(self) -> None:
        pid = self._module.parent.process.pid
        if not self._record.processes or self._record.processes[-1].pid != pid:
            self._record.processes.append(new_history(pid, self._module.began))

    async def judge(self) -> None:
        """Start the module without a camera, and check every frame of the recording in its clips."""
        module, delivered = self._module, self._module.camera.delivered
        await module.start(recording=False)
        deadline = time.monotonic() + REBUILT_S
        while why := await asyncio.to_thread(self._injector.index_lacks):
            if time.monotonic() > deadline:
                module.fail(f"the index is not complete {REBUILT_S:.0f} s after the last start: {why}")
                break
            await asyncio.sleep(0.5)
        await self._await_saves()
        judge = Judge(delivered, module.excuses)
        for number, from_us in enumerate(range(delivered[0], delivered[-1] + 1, PIECE_S * US)):
            await self._judge_piece(judge, number, from_us, from_us + PIECE_S * US)
        self._record.verdict = verdict = judge.finish()
        for first_us, last_us, count in runs_of(verdict.missing)[:SHOWN_LINES]:
            module.say(f"  missing: {count} frames, captured from {timestamp(first_us)} to {timestamp(last_us)}")
        for save in module.saves:
            await self._judge_save(judge, save)
        for path, content in module.foreign.items():
            if not path.exists() or (content is not None and await asyncio.to_thread(path.read_bytes) != content):
                module.fail(f"{path.name}, a foreign file, was changed or removed")
        await module.terminate()
        left = [*module.upload.rglob("*.prog"), *module.storage.glob(".cuts/*")]
        if left:
            module.fail(f"unfinished clips are left behind: {[path.name for path in left]}")

    async def _judge_piece(self, judge: Judge, number: int, from_us: int, to_us: int) -> None:
        module = self._module
        to_us = min(to_us, now_us())
        try:
            # Clips are fetched and saved in turn.
            piece = module.save(from_us, to_us, "judged") if number % 3 == 2 else module.fetch(from_us, to_us)
            clip = await piece
            shown = await asyncio.to_thread(read_clip, clip.data, [(WIDTH, HEIGHT), *SIZES])
        except (*CALL_ERRORS, av.FFmpegError, ValueError) as error:
            if not nothing_stored(error):
                module.fail(f"the clip from {timestamp(from_us)} to {timestamp(to_us)}: {message_of(error)}")
            return
        wrong = judge.take(shown, clip.ranges, from_us, to_us)
        if wrong:
            more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            module.fail(f"the clip from {timestamp(from_us)}: {'; '.join(wrong[:3])}{more}")
        for counter, captured_us in judge.to_locate:
            await self._judge_time(counter, captured_us)
        judge.to_locate.clear()

    async def _judge_time(self, counter: int, captured_us: int) -> None:
        """Check that a clip of a few milliseconds around a frame's time shows the frame: it is stored at that time."""
        module = self._module
        try:
            clip = await module.fetch(captured_us - MAX_DRIFT_US, min(captured_us + MAX_DRIFT_US, now_us()))
            shown = await asyncio.to_thread(read_clip, clip.data, [(WIDTH, HEIGHT), *SIZES])
        except (*CALL_ERRORS, av.FFmpegError, ValueError) as error:
            module.fail(f"frame {counter} cannot be fetched at its time, {timestamp(captured_us)}: {message_of(error)}")
            return
        if not any(frame is not None and frame.counter == counter for _, frame in shown):
            module.fail(f"frame {counter} is not stored at its time, {timestamp(captured_us)}")

    async def _await_saves(self) -> None:
        """Wait until no asynchronous save is pending. Saves that were done before are asked for again."""
        saves, deadline = self._module.saves, time.monotonic() + SAVED_S
        for save in saves:
            save.state = "asked again"
        await self._module.ask_for_saves()
        while any(save.state == "pending" for save in saves) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            await self._module.ask_for_saves()

    async def _judge_save(self, judge: Judge, save: AsyncSave) -> None:
        module, path = self._module, self._module.upload / save.filename
        what = f"the asynchronous save {save.filename!r}, requested at {save.requested_s:.0f} s"
        if not path.exists():
            self._record.saves["no file"] += 1
            module.fail(f"{what}, has no file, and its status is: {save.state}")
            return
        if save.state == "done":
            self._record.saves["done"] += 1
        elif save.forgotten:
            # Only the file can show that it was made. It is checked below.
            self._record.saves["done, but lost with the index"] += 1
        else:
            self._record.saves["not done"] += 1
            module.fail(f"{what}, has a file, but its status is: {save.state}")
        try:
            shown = await asyncio.to_thread(read_clip, path, [(WIDTH, HEIGHT), *SIZES])
        except (av.FFmpegError, ValueError, OSError) as error:
            module.fail(f"{what}, cannot be read: {message_of(error)}")
            return
        if missing := judge.missing_in(shown, save.from_us, save.to_us):
            self._record.saves["with missing frames"] += 1
            module.fail(f"{what}, lacks {missing} frames that are stored")
