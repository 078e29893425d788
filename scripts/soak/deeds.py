"""How each fault is made. What a deed takes away from the recording by itself, it adds to the station's excuses."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from scripts.soak.faults import BY_NAME, US, Excuse, Fault
from scripts.soak.station import ASK_PER_SECOND, BITRATE, CALL_ERRORS, INTERVAL_S, NAME, Station, now_us
from videostore.media.fmp4 import NotOursError, read_fragments
from videostore.media.segment_names import name_time_us

INDEX = "index.sqlite.db"
# An ffmpeg that takes nothing is killed after 10 s; the pipe before it takes a while to fill.
STUCK_S = 25.0
HEALED_S = 30.0
REQUESTS = 20
CANCELLED = 8
SLOW_S = 2.0
SIZES = ((320, 180), (480, 360))
WRONG_MIMES = ("image/png", "text/plain", "image/vnd.viam.dep")
FILLER = "filled-by-somebody-else"


class Deeds:
    """Does faults to one station. `deed` returns when the fault is over, though not yet what comes of it."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._camera = station.camera
        self._deeds: dict[str, Callable[[Fault, random.Random], Awaitable[str]]] = {
            **{name: self._camera_fault for name in BY_NAME if name.startswith("camera-")},
            "wrong-mime": self._wrong_mime,
            "size-change": self._size_change,
            "gray": self._gray,
            "slow-camera": self._slow,
            "fast-camera": self._fast,
            "ffmpeg-killed": self._ffmpeg_killed,
            "ffmpeg-stopped": self._ffmpeg_stopped,
            "module-terminated": self._terminated,
            "module-killed": self._module_killed,
            "all-killed": self._all_killed,
            "reconfigured": self._reconfigured,
            "index-deleted": self._index_fault,
            "index-garbage": self._index_fault,
            "index-deleted-at-rest": self._index_fault_at_rest,
            "index-garbage-at-rest": self._index_fault_at_rest,
            "index-locked": self._index_locked,
            "foreign-files": self._foreign_files,
            "segment-truncated": self._segment_fault,
            "segment-removed": self._segment_fault,
            "concurrent-requests": self._concurrent_requests,
            "cancelled-requests": self._cancelled_requests,
            "disk-full": self._disk_full,
        }

    async def deed(self, fault: Fault) -> str:
        """Do one fault; gives what a person would like to know of it."""
        return await self._deeds[fault.kind.name](fault, random.Random(fault.seed))

    async def aftermath(self, fault: Fault, hit_us: int) -> str:
        """What must come right after a fault though recording goes on; gives what a person would like to know."""
        if not fault.kind.name.startswith("index-"):
            return ""
        began = time.monotonic()
        if why := await self._wait_until_healed(hit_us):
            self._station.fail(f"the index is not healed {HEALED_S:.0f} s after {fault.kind.name}: {why}")
            return ""
        return f"healed {time.monotonic() - began:.1f} s later"

    # The camera

    async def _camera_fault(self, fault: Fault, dice: random.Random) -> str:
        self._camera.fault = fault.kind.name.removeprefix("camera-")
        try:
            await asyncio.sleep(fault.hold_s)
        finally:
            self._camera.fault = None
        return ""

    async def _wrong_mime(self, fault: Fault, dice: random.Random) -> str:
        self._camera.reported_mime = dice.choice(WRONG_MIMES)
        try:
            await asyncio.sleep(fault.hold_s)
            return self._camera.reported_mime
        finally:
            self._camera.reported_mime = None

    async def _size_change(self, fault: Fault, dice: random.Random) -> str:
        before = self._camera.width, self._camera.height
        self._camera.width, self._camera.height = dice.choice(SIZES)
        try:
            await asyncio.sleep(fault.hold_s)
            return f"{self._camera.width}x{self._camera.height}"
        finally:
            self._camera.width, self._camera.height = before

    async def _gray(self, fault: Fault, dice: random.Random) -> str:
        self._camera.gray = True
        try:
            await asyncio.sleep(fault.hold_s)
        finally:
            self._camera.gray = False
        return ""

    async def _slow(self, fault: Fault, dice: random.Random) -> str:
        return await self._paced(fault, SLOW_S, SLOW_S)

    async def _fast(self, fault: Fault, dice: random.Random) -> str:
        return await self._paced(fault, 1 / ASK_PER_SECOND, 1 / 30)

    async def _paced(self, fault: Fault, shortest_s: float, longest_s: float) -> str:
        self._station.pace(shortest_s, longest_s)
        try:
            await asyncio.sleep(fault.hold_s)
        finally:
            self._station.pace(*INTERVAL_S)
        return ""

    # Processes

    async def _ffmpeg_killed(self, fault: Fault, dice: random.Random) -> str:
        for child in self._station.recording_ffmpegs():
            with contextlib.suppress(psutil.Error):
                child.kill()
        return ""

    async def _ffmpeg_stopped(self, fault: Fault, dice: random.Random) -> str:
        children = self._station.recording_ffmpegs()
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        while any(child.is_running() for child in children):
            if time.monotonic() - began > STUCK_S:
                self._station.fail(f"{STUCK_S:.0f} s after SIGSTOP the module has not killed its ffmpeg")
                for child in children:
                    with contextlib.suppress(psutil.Error):
                        child.send_signal(signal.SIGCONT)
                break
            await asyncio.sleep(0.1)
        return f"replaced after {time.monotonic() - began:.1f} s"

    async def _terminated(self, fault: Fault, dice: random.Random) -> str:
        await self._station.terminate()
        await self._station.start()
        return f"ended in {self._station.ends_s[-1]:.2f} s" if self._station.ends_s else ""

    async def _module_killed(self, fault: Fault, dice: random.Random) -> str:
        await self._station.kill_module_alone()
        await self._station.start()
        return ""

    async def _all_killed(self, fault: Fault, dice: random.Random) -> str:
        await self._station.parent.kill()
        await self._station.start()
        return ""

    async def _reconfigured(self, fault: Fault, dice: random.Random) -> str:
        self._station.bitrate = BITRATE + dice.randrange(200_000)
        await self._station.parent.reconfigure(NAME, self._station.attributes())
        return ""

    # The index

    async def _index_fault(self, fault: Fault, dice: random.Random) -> str:
        return await asyncio.to_thread(self._harm_index, fault.kind.name, dice)

    async def _index_fault_at_rest(self, fault: Fault, dice: random.Random) -> str:
        await self._station.terminate()
        told = await asyncio.to_thread(self._harm_index, fault.kind.name, dice)
        await self._station.start()
        return told

    def _harm_index(self, name: str, dice: random.Random) -> str:
        path = self._station.storage / INDEX
        self._station.forget_saves()
        if "deleted" in name:
            with_wal = dice.random() < 0.5
            for suffix in ("", "-wal", "-shm") if with_wal else ("",):
                path.with_name(INDEX + suffix).unlink(missing_ok=True)
            return "with -wal and -shm" if with_wal else "the file alone"
        garbage = dice.randbytes(dice.choice((100, 5_000, 64_000)))
        shortened = dice.random() < 0.5 or not path.exists()
        with path.open("wb" if shortened else "r+b") as file:
            file.write(garbage)
        return f"{len(garbage)} bytes" + (", nothing behind them" if shortened else " at its beginning")

    async def _wait_until_healed(self, hit_us: int) -> str:
        """Wait until what was recorded before the hit can be fetched, and the index on disk knows every segment."""
        deadline = time.monotonic() + HEALED_S
        while True:
            why = await asyncio.to_thread(self.index_lacks)
            if not why:
                try:
                    clip = await self._station.fetch(hit_us - 6 * US, hit_us - 4 * US)
                    why = "" if clip.complete else "a fetch from before it is not whole"
                except CALL_ERRORS as error:
                    why = f"a fetch from before it fails: {error}"
            if not why or time.monotonic() > deadline:
                return why
            await asyncio.sleep(0.5)

    def index_lacks(self) -> str:
        """What the index on disk does not know of the segments beside it; empty where it knows all. Blocking."""
        path = self._station.storage / INDEX
        newest_s = time.time() - 5
        names = {path.name for path in self._segments() if path.stat().st_ctime < newest_s}
        try:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
                known = {str(row[0]) for row in connection.execute("SELECT file_name FROM files")}
        except sqlite3.Error as error:
            return f"{INDEX} cannot be read: {error}"
        lacking = names - known
        return f"{INDEX} lacks {len(lacking)} of {len(names)} segments" if lacking else ""

    async def _index_locked(self, fault: Fault, dice: random.Random) -> str:
        path = self._station.storage / INDEX

        def hold() -> str:
            try:
                with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=5)) as connection:
                    connection.isolation_level = None
                    connection.execute("BEGIN EXCLUSIVE")
                    time.sleep(fault.hold_s)
                    connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                return f"it could not be locked: {error}"
            return ""

        return await asyncio.to_thread(hold)

    # The storage directory

    def _segments(self) -> list[Path]:
        """Closed segments that nobody damaged, by name."""
        station = self._station
        return [
            path
            for path in sorted(station.storage.glob("*.mp4"))
            if (name_time_us(path.name) or 0) > US * 1_000_000_000
            and path.name not in station.damaged
            and path not in station.foreign
        ]

    async def _foreign_files(self, fault: Fault, dice: random.Random) -> str:
        token = f"{fault.number}"
        storage = self._station.storage
        files = {
            storage / f"notes-{token}.txt": b"not a recording",
            storage / f"{token}.mp4": dice.randbytes(3000),
            storage / f"holiday-{token}.mp4": dice.randbytes(3000),
            storage / f".hidden-{token}": b"",
            storage / f"backup-{token}" / "1700000000.mp4": dice.randbytes(3000),
        }
        directories = [storage / f"backup-{token}", storage / f"{1_600_000_000 + fault.number}.mp4"]

        def drop() -> None:
            for directory in directories:
                directory.mkdir()
            for path, content in files.items():
                path.write_bytes(content)

        await asyncio.to_thread(drop)
        self._station.foreign |= {**files, **dict.fromkeys(directories)}
        return f"{len(files)} files, {len(directories)} directories"

    async def _segment_fault(self, fault: Fault, dice: random.Random) -> str:
        segments = [path for path in self._segments() if path.is_file()][:-1]
        if not segments:
            return "there was none yet"
        path = dice.choice(segments)
        if not await asyncio.to_thread(self._excuse_segment, path, fault.kind.name):
            return f"{path.name} could not be read"
        self._station.damaged.add(path.name)
        if fault.kind.name == "segment-removed":
            path.unlink()
        else:
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size // 2)
        return path.name

    def _excuse_segment(self, path: Path, name: str) -> bool:
        try:
            times = read_fragments(path).times_us
        except (NotOursError, OSError):
            return False
        self._station.excuses.append(Excuse(times[0], times[-1] + 1, name))
        return True

    async def _disk_full(self, fault: Fault, dice: random.Random) -> str:
        """Fill the device; what the module deletes to make room is gone by design."""
        storage = self._station.storage
        filler = storage / FILLER
        before = {path: _times(path) for path in self._segments()}
        free = shutil.disk_usage(storage).free
        descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
        try:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(os.posix_fallocate, descriptor, 0, max(1, free - (64 << 10)))
            await asyncio.sleep(fault.hold_s)
        finally:
            os.close(descriptor)
            filler.unlink()
        gone = [times for path, times in before.items() if times and not path.exists()]
        self._station.excuses += [Excuse(first_us, last_us + 1, fault.kind.name) for first_us, last_us in gone]
        return f"{free / 1e6:.0f} MB taken; {len(gone)} segments were deleted to make room"

    # Requests

    async def _concurrent_requests(self, fault: Fault, dice: random.Random) -> str:
        station = self._station
        began = time.monotonic()
        work = []
        for number in range(REQUESTS):
            from_us, to_us = self._some_range(dice)
            if number % 2:
                request = station.save(from_us, to_us, f"concurrent {fault.number} {number}")
                work.append(station.quietly(request, "one of many saves at once"))
            else:
                work.append(station.quietly(station.fetch(from_us, to_us), "one of many fetches at once"))
        await asyncio.gather(*work)
        return f"{REQUESTS} in {time.monotonic() - began:.1f} s"

    async def _cancelled_requests(self, fault: Fault, dice: random.Random) -> str:
        station = self._station

        async def start_and_cancel(number: int, after_s: float, from_us: int, to_us: int) -> bool:
            metadata = f"cancelled {fault.number} {number}"
            request = station.save(from_us, to_us, metadata) if number % 2 else station.fetch(from_us, to_us)
            task = asyncio.ensure_future(station.quietly(request, "a request that was to be cancelled"))
            await asyncio.wait([task], timeout=after_s)
            return task.cancel()

        work = [
            start_and_cancel(number, dice.uniform(0.0, 0.6), *self._some_range(dice)) for number in range(CANCELLED)
        ]
        cancelled = sum(await asyncio.gather(*work))
        # What they had begun is cleared away a moment later.
        await asyncio.sleep(1.0)
        return f"{cancelled} of {CANCELLED} in time"

    def _some_range(self, dice: random.Random) -> tuple[int, int]:
        delivered = self._camera.delivered
        from_us = delivered[dice.randrange(len(delivered))]
        to_us = min(from_us + round(dice.uniform(3, 12) * US), now_us() - US)
        return min(from_us, to_us - US), to_us


def _times(path: Path) -> tuple[int, int] | None:
    try:
        times = read_fragments(path).times_us
    except (NotOursError, OSError):
        return None
    return times[0], times[-1]
