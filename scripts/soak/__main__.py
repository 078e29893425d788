"""`make soak`: runs the module for long under faults at random, and proves from its clips that no frame was lost.

Everything is written below one directory; the processes that the soak starts, and the device that it mounts, end with
it. The order of the faults is the same for the same seed and duration.
"""

import argparse
import asyncio
import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import psutil

from scripts.fakes.painted_camera import PaintedCamera, read_clip
from scripts.fakes.viam_server import ModuleStartError, Parent
from scripts.soak.deeds import SIZES, Deeds
from scripts.soak.faults import KINDS, US, Excuse, Fault, schedule
from scripts.soak.judge import MAX_DRIFT_US, Judge, runs_of
from scripts.soak.report import SHOWN_LINES, Record, report
from scripts.soak.station import BITRATE, CALL_ERRORS, HEIGHT, WIDTH, AsyncSave, Station, now_us, timestamp, told
from scripts.soak.usage import new_life, sample

PIECE_S = 25
# Only a directory that bears this file is emptied for another run.
MARK = ".videostore-soak"
DISK_FULL = "disk-full"
CALM_S = (10.0, 25.0)
# After a fault a request may still be under way; then the module is as it is when all is well.
SETTLE_S = 4.0
SAMPLE_S = 2.0
# What is fetched then was recorded since the fault.
CHECKED_S = 8.0
REBUILT_S = 60.0
SAVED_S = 90.0
FIRST_FRAME_S = 20.0
TROUBLE = (*CALL_ERRORS, ModuleStartError, LookupError, RuntimeError, psutil.Error)


class SoakError(Exception):
    """The soak cannot go on; the text is for the terminal."""


class Soak:
    """One soak, from the first fault to the verdict. Owns nothing: `run` is given what it works on."""

    def __init__(self, station: Station, record: Record, stop: asyncio.Event) -> None:
        self._station = station
        self._record = record
        self._stop = stop
        self._deeds = Deeds(station)

    async def record(self, faults: Iterator[Fault]) -> None:
        """Record under faults until the time is up, or until told to stop; then end the module in order."""
        station = self._station
        await station.start()
        self._note_life()
        if await station.recording_again(FIRST_FRAME_S) is None:
            raise SoakError(f"The module recorded nothing within {FIRST_FRAME_S:.0f} s.")
        for fault in faults:
            await self._calm(min(fault.calm_s, self._record.asked_s - station.elapsed_s))
            if self._stop.is_set() or station.elapsed_s >= self._record.asked_s:
                break
            await self._fault(fault)
        self._record.recorded_s = station.elapsed_s
        # No frame is on its way when the module ends: all that was delivered must be there.
        station.camera.fault = "hang"
        await asyncio.sleep(1.0)
        await station.terminate()

    async def _fault(self, fault: Fault) -> None:
        station, kind = self._station, fault.kind
        for_s = f" for {fault.hold_s:.1f} s" if fault.hold_s else ""
        station.say(f"{station.elapsed_s:7.1f} s  {kind.name}{for_s}")
        self._record.faults[kind.name] += 1
        if kind.restarts or fault.seed % 4 == 0:
            await station.save_later()
        restarts = int((await station.status()).get("ffmpeg_restarts", 0)) if kind.name.startswith("ffmpeg") else -1
        hit_us = now_us()
        try:
            note = await self._deeds.deed(fault)
        except TROUBLE as error:
            note = ""
            station.fail(f"{kind.name}: {told(error)}")
            await self._revive()
        over_us = now_us()
        again_us = await station.recording_again(kind.back_s, restarts_over=restarts)
        if again_us is None:
            reason = (await station.status()).get("reason", "it does not answer")
            station.fail(f"{kind.back_s:.0f} s after {kind.name} the module does not record: {reason}")
        if kind.lost_before_s is not None:
            to_us = again_us if again_us is not None else now_us()
            station.excuses.append(Excuse(hit_us - round(kind.lost_before_s * US), to_us, kind.name))
        self._note_life()
        recording = f"recording from {max(0, again_us - over_us) / US:.1f} s after its end" if again_us else ""
        notes = [note, recording, await self._deeds.aftermath(fault, hit_us)]
        station.say(f"{'':11}{'; '.join(one for one in notes if one)}")

    async def _calm(self, seconds: float) -> None:
        """Nothing goes wrong for a while: look at what the module takes, and whether it still answers."""
        station = self._station
        began = time.monotonic()
        while (left_s := began + seconds - time.monotonic()) > 0 and not self._stop.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(SAMPLE_S, left_s))
            process = station.parent.process
            if process.returncode is not None:
                station.fail(f"the module ended by itself, with exit code {process.returncode}")
                await self._revive()
            elif time.monotonic() - began > SETTLE_S and not (await station.status()).get("pending_saves", 1):
                usage = await asyncio.to_thread(sample, process.pid, station.elapsed_s, station.storage, station.upload)
                if usage is not None:
                    self._record.lives[-1].samples.append(usage)
        if not self._stop.is_set():
            await station.ask_for_saves()
            if seconds >= CHECKED_S:
                await station.check_calm()

    async def _revive(self) -> None:
        """Begin anew after something went wrong that should not have."""
        try:
            await self._station.parent.kill()
            await self._station.start()
        except TROUBLE as error:
            raise SoakError(f"The module does not start any more: {told(error)}") from error
        self._note_life()

    def _note_life(self) -> None:
        pid = self._station.parent.process.pid
        if not self._record.lives or self._record.lives[-1].pid != pid:
            self._record.lives.append(new_life(pid, self._station.began))

    async def judge(self) -> None:
        """Start the module without a camera, and look at every frame of the recording through its clips."""
        station, delivered = self._station, self._station.camera.delivered
        await station.start(recording=False)
        deadline = time.monotonic() + REBUILT_S
        while why := await asyncio.to_thread(self._deeds.index_lacks):
            if time.monotonic() > deadline:
                station.fail(f"{REBUILT_S:.0f} s after the last start the index is not whole: {why}")
                break
            await asyncio.sleep(0.5)
        await self._await_saves()
        judge = Judge(delivered, station.excuses)
        for number, from_us in enumerate(range(delivered[0], delivered[-1] + 1, PIECE_S * US)):
            await self._judge_piece(judge, number, from_us, from_us + PIECE_S * US)
        self._record.verdict = verdict = judge.finish()
        for first_us, last_us, count in runs_of(verdict.missing)[:SHOWN_LINES]:
            station.say(f"  missing: {count} frames, captured from {timestamp(first_us)} to {timestamp(last_us)}")
        for save in station.saves:
            await self._judge_save(judge, save)
        for path, content in station.foreign.items():
            if not path.exists() or (content is not None and await asyncio.to_thread(path.read_bytes) != content):
                station.fail(f"{path.name}, which is not the module's, was changed or removed")
        await station.terminate()
        left = [*station.upload.rglob("*.prog"), *station.storage.glob(".cuts/*")]
        if left:
            station.fail(f"unfinished clips are left: {[path.name for path in left]}")

    async def _judge_piece(self, judge: Judge, number: int, from_us: int, to_us: int) -> None:
        station = self._station
        to_us = min(to_us, now_us())
        try:
            # Both ways to a clip are tried.
            piece = station.save(from_us, to_us, "judged") if number % 3 == 2 else station.fetch(from_us, to_us)
            clip = await piece
            shown = await asyncio.to_thread(read_clip, clip.data, [(WIDTH, HEIGHT), *SIZES])
        except (*CALL_ERRORS, av.FFmpegError, ValueError) as error:
            if "Nothing is stored" not in told(error):
                station.fail(f"the clip from {timestamp(from_us)} to {timestamp(to_us)}: {told(error)}")
            return
        wrong = judge.take(shown, clip.ranges, from_us, to_us)
        if wrong:
            more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            station.fail(f"the clip from {timestamp(from_us)}: {'; '.join(wrong[:3])}{more}")
        for counter, captured_us in judge.needles:
            await self._judge_needle(counter, captured_us)
        judge.needles.clear()

    async def _judge_needle(self, counter: int, captured_us: int) -> None:
        """A clip of some milliseconds around the time of a frame shows it, so this is the time that it is stored at."""
        station = self._station
        try:
            clip = await station.fetch(captured_us - MAX_DRIFT_US, min(captured_us + MAX_DRIFT_US, now_us()))
            shown = await asyncio.to_thread(read_clip, clip.data, [(WIDTH, HEIGHT), *SIZES])
        except (*CALL_ERRORS, av.FFmpegError, ValueError) as error:
            station.fail(f"frame {counter} is not found at its time, {timestamp(captured_us)}: {told(error)}")
            return
        if not any(frame is not None and frame.counter == counter for _, frame in shown):
            station.fail(f"frame {counter} is not stored at its time, {timestamp(captured_us)}")

    async def _await_saves(self) -> None:
        """Wait until no asynchronous save is pending; what was done once must still be so."""
        saves, deadline = self._station.saves, time.monotonic() + SAVED_S
        for save in saves:
            save.state = "asked for again"
        await self._station.ask_for_saves()
        while any(save.state == "pending" for save in saves) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            await self._station.ask_for_saves()

    async def _judge_save(self, judge: Judge, save: AsyncSave) -> None:
        station, path = self._station, self._station.upload / save.filename
        what = f"the asynchronous save {save.filename!r}, asked for at {save.asked_s:.0f} s"
        if not path.exists():
            self._record.saves["no file"] += 1
            station.fail(f"{what}, has no file; its status is: {save.state}")
            return
        if save.state == "done":
            self._record.saves["done"] += 1
        elif save.forgotten:
            # The file is all that can tell of it, and is looked at below.
            self._record.saves["done and forgotten with the index"] += 1
        else:
            self._record.saves["not done"] += 1
            station.fail(f"{what}, has a file, but its status is: {save.state}")
        try:
            shown = await asyncio.to_thread(read_clip, path, [(WIDTH, HEIGHT), *SIZES])
        except (av.FFmpegError, ValueError, OSError) as error:
            station.fail(f"{what}, cannot be read: {told(error)}")
            return
        if lacks := judge.lacks(shown, save.from_us, save.to_us):
            self._record.saves["lacking frames"] += 1
            station.fail(f"{what}, lacks {lacks} frames that are stored")


def prepare(directory: Path) -> None:
    """Makes the output directory, or empties that of an earlier soak. Raises SoakError if it holds anything else."""
    if directory.exists():
        if not directory.is_dir() or (any(directory.iterdir()) and not (directory / MARK).exists()):
            raise SoakError(f"{directory} is not empty and was not made by a soak: name another --directory.")
        clear(directory)
        for made in ("report.txt", "module.log"):
            (directory / made).unlink(missing_ok=True)
    (directory / "storage").mkdir(parents=True)
    (directory / MARK).touch()


def clear(directory: Path) -> None:
    """Removes recordings and clips; the report and the log stay."""
    for made in ("storage", "upload"):
        shutil.rmtree(directory / made, ignore_errors=True)


@contextlib.contextmanager
def small_device(path: Path, size_bytes: int) -> Iterator[None]:
    """A file system in memory at `path` while this lasts. Raises SoakError where none can be mounted."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "videostore-soak", str(path)]
    if os.geteuid() != 0:
        raise SoakError("Only root can mount the small device that is to be filled: leave out --disk-full.")
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise SoakError(f"The small device cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=False)


async def run(record: Record, names: list[str], calm_s: tuple[float, float]) -> None:
    """Soaks, judges, and leaves what it found in `record`. Raises SoakError."""
    stop = asyncio.Event()
    here = asyncio.current_task()
    assert here is not None
    _end_on_signals(stop, here.cancel, record)
    # Twice what the bit rate makes: the quota must not delete anything, whatever the encoder does.
    expected_bytes = (record.asked_s + 60) * BITRATE / 8
    limits = {"size_gb": (4 * expected_bytes + (64 << 20)) / (1 << 30)}
    camera = PaintedCamera("painted", width=WIDTH, height=HEIGHT)
    with contextlib.ExitStack() as owned:
        if DISK_FULL in names:
            owned.enter_context(small_device(record.directory / "storage", int(3 * expected_bytes) + (96 << 20)))
            limits["min_free_gb"] = 0.01
        async with Parent([camera]) as parent:
            station = Station(parent, camera, record.directory, limits, record.seed, print)
            record.station = station
            soak = Soak(station, record, stop)
            try:
                await soak.record(schedule(record.seed, record.asked_s, names, calm_s))
                print(f"{station.elapsed_s:7.1f} s  recorded; now every frame is looked for in the clips")
                if not camera.delivered:
                    raise SoakError("The camera delivered nothing.")
                await soak.judge()
            finally:
                _write_log(parent, record.directory / "module.log")


def _end_on_signals(stop: asyncio.Event, cancel: Callable[[], object], record: Record) -> None:
    """The first signal ends the recording and judges what there is; the second ends that as well."""

    def end() -> None:
        record.interrupted = True
        if stop.is_set():
            cancel()
        else:
            print("\nInterrupted: judging what there is. Once more ends that, too.", flush=True)
            stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)


def _write_log(parent: Parent, path: Path) -> None:
    logged = (f"{line.level}\t{line.logger}\t{line.message}" for line in parent.logs)
    path.write_text("\n".join([*parent.module_output, *logged, ""]), encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description="Run the module for long under faults at random.")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long to record (default: 30)")
    parser.add_argument("--seed", type=int, help="the same seed and duration make the same faults (default: a new one)")
    parser.add_argument("--faults", metavar="A,B", help="only these, of: " + ", ".join(kind.name for kind in KINDS))
    parser.add_argument(
        "--disk-full",
        action="store_true",
        help="record to a small file system in memory, which somebody else fills; for root alone",
    )
    parser.add_argument("--calm", type=float, nargs=2, default=CALM_S, metavar="S", help="shortest and longest calm")
    parser.add_argument(
        "--directory", type=Path, default=Path("soak-output"), help="where everything goes (default: ./soak-output)"
    )
    arguments = parser.parse_args()
    known = [kind.name for kind in KINDS if kind.name != DISK_FULL or arguments.disk_full]
    arguments.names = known if arguments.faults is None else arguments.faults.split(",")
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no such fault, or not without its option: {', '.join(sorted(unknown))}")
    return arguments


def main() -> int:
    """Runs the soak; the exit code is 0 if nothing failed."""
    arguments = _parse()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Progress is live also where it goes through a pipe; an odd encoding must not end it.
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1_000_000)
    directory: Path = arguments.directory.resolve()
    record = Record(seed, directory, arguments.minutes * 60)
    print(f"Soaking for {arguments.minutes:g} min with seed {seed}, below {directory}.")
    try:
        prepare(directory)
        asyncio.run(run(record, arguments.names, tuple(arguments.calm)))
    except (SoakError, ModuleStartError) as error:
        print(f"\nThe soak cannot go on. {error}", file=sys.stderr)
        if record.station is None:
            return 1
        record.station.failures.append(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        record.interrupted = True
    lines = report(record)
    print("\n".join(lines))
    (directory / "report.txt").write_text("\n".join([*lines[1:], ""]), encoding="utf-8")
    if not record.failures:
        clear(directory)
    else:
        print(f"Report, log and recording are in {directory}.")
    return 1 if record.failures else 130 if record.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
