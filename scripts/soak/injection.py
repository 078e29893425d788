"""How each fault is caused. Frames that a fault destroys by itself are added to the module's excuses."""

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
from scripts.soak.tested_module import ASK_PER_SECOND, BITRATE, CALL_ERRORS, INTERVAL_S, NAME, TestedModule, now_us
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.segment_names import name_time_us

INDEX = "index.sqlite.db"
# An ffmpeg that reads nothing is killed after 10 s. Its pipe takes some time to fill.
STUCK_S = 25.0
RECOVERED_S = 30.0
REQUESTS = 20
CANCELLED = 8
SLOW_S = 2.0
SIZES = ((320, 180), (480, 360))
WRONG_MIMES = ("image/png", "text/plain", "image/vnd.viam.dep")
FILLER = "foreign-filler"


class FaultInjector:
    """Causes faults in one module. `inject` returns when the fault is over; the module can still be recovering."""

    def __init__(self, module: TestedModule) -> None:
        self._module = module
        self._camera = module.camera
        self._faults: dict[str, Callable[[Fault, random.Random], Awaitable[str]]] = {
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

    async def inject(self, fault: Fault) -> str:
        """Cause one fault. Returns a note about it for the log."""
        return await self._faults[fault.kind.name](fault, random.Random(fault.seed))

    async def check_after(self, fault: Fault, hit_us: int) -> str:
        """Check what must recover after a fault beside recording. Returns a note for the log."""
        if not fault.kind.name.startswith("index-"):
            return ""
        began = time.monotonic()
        if why := await self._wait_until_recovered(hit_us):
            self._module.fail(f"the index has not recovered {RECOVERED_S:.0f} s after {fault.kind.name}: {why}")
            return ""
        return f"recovered {time.monotonic() - began:.1f} s later"

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
        self._module.pace(shortest_s, longest_s)
        try:
            await asyncio.sleep(fault.hold_s)
        finally:
            self._module.pace(*INTERVAL_S)
        return ""

    # Processes

    async def _ffmpeg_killed(self, fault: Fault, dice: random.Random) -> str:
        for child in self._module.recording_ffmpegs():
            with contextlib.suppress(psutil.Error):
                child.kill()
        return ""

    async def _ffmpeg_stopped(self, fault: Fault, dice: random.Random) -> str:
        children = self._module.recording_ffmpegs()
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        while any(child.is_running() for child in children):
            if time.monotonic() - began > STUCK_S:
                self._module.fail(f"the module has not killed its ffmpeg {STUCK_S:.0f} s after SIGSTOP")
                for child in children:
                    with contextlib.suppress(psutil.Error):
                        child.send_signal(signal.SIGCONT)
                break
            await asyncio.sleep(0.1)
        return f"replaced after {time.monotonic() - began:.1f} s"

    async def _terminated(self, fault: Fault, dice: random.Random) -> str:
        await self._module.terminate()
        await self._module.start()
        return f"ended in {self._module.ends_s[-1]:.2f} s" if self._module.ends_s else ""

    async def _module_killed(self, fault: Fault, dice: random.Random) -> str:
        await self._module.kill_module_alone()
        await self._module.start()
        return ""

    async def _all_killed(self, fault: Fault, dice: random.Random) -> str:
        await self._module.parent.kill()
        await self._module.start()
        return ""

    async def _reconfigured(self, fault: Fault, dice: random.Random) -> str:
        self._module.bitrate = BITRATE + dice.randrange(200_000)
        await self._module.parent.reconfigure(NAME, self._module.attributes())
        return ""

    # The index

    async def _index_fault(self, fault: Fault, dice: random.Random) -> str:
        return await asyncio.to_thread(self._damage_index, fault.kind.name, dice)

    async def _index_fault_at_rest(self, fault: Fault, dice: random.Random) -> str:
        await self._module.terminate()
        note = await asyncio.to_thread(self._damage_index, fault.kind.name, dice)
        await self._module.start()
        return note

    def _damage_index(self, name: str, dice: random.Random) -> str:
        path = self._module.storage / INDEX
        self._module.forget_saves()
        if "deleted" in name:
            with_wal = dice.random() < 0.5
            for suffix in ("", "-wal", "-shm") if with_wal else ("",):
                path.with_name(INDEX + suffix).unlink(missing_ok=True)
            return "with -wal and -shm" if with_wal else "only the file"
        garbage = dice.randbytes(dice.choice((100, 5_000, 64_000)))
        shortened = dice.random() < 0.5 or not path.exists()
        with path.open("wb" if shortened else "r+b") as file:
            file.write(garbage)
        return f"{len(garbage)} bytes" + (", and nothing else" if shortened else " at its start")

    async def _wait_until_recovered(self, hit_us: int) -> str:
        """Wait until a range before the fault can be fetched and the index has every segment. Returns why not."""
        deadline = time.monotonic() + RECOVERED_S
        while True:
            why = await asyncio.to_thread(self.index_lacks)
            if not why:
                try:
                    clip = await self._module.fetch(hit_us - 6 * US, hit_us - 4 * US)
                    why = "" if clip.complete else "a fetch of a range before it is incomplete"
                except CALL_ERRORS as error:
                    why = f"a fetch of a range before it fails: {error}"
            if not why or time.monotonic() > deadline:
                return why
            await asyncio.sleep(0.5)

    def index_lacks(self) -> str:
        """What the index on disk lacks of the segments beside it; empty if it has all. Blocking."""
        path = self._module.storage / INDEX
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
        path = self._module.storage / INDEX

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
        """Closed segments that are not damaged, by name."""
        module = self._module
        return [
            path
            for path in sorted(module.storage.glob("*.mp4"))
            if (name_time_us(path.name) or 0) > US * 1_000_000_000
            and path.name not in module.damaged
            and path not in module.foreign
        ]

    async def _foreign_files(self, fault: Fault, dice: random.Random) -> str:
        token = f"{fault.number}"
        storage = self._module.storage
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
        self._module.foreign |= {**files, **dict.fromkeys(directories)}
        return f"{len(files)} files, {len(directories)} directories"

    async def _segment_fault(self, fault: Fault, dice: random.Random) -> str:
        segments = [path for path in self._segments() if path.is_file()][:-1]
        if not segments:
            return "there was no segment yet"
        path = dice.choice(segments)
        if not await asyncio.to_thread(self._excuse_segment, path, fault.kind.name):
            return f"{path.name} could not be read"
        self._module.damaged.add(path.name)
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
        self._module.excuses.append(Excuse(times[0], times[-1] + 1, name))
        return True

    async def _disk_full(self, fault: Fault, dice: random.Random) -> str:
        """Fill the device. Segments that the module deletes to make room are excused."""
        storage = self._module.storage
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
        self._module.excuses += [Excuse(first_us, last_us + 1, fault.kind.name) for first_us, last_us in gone]
        return f"{free / 1e6:.0f} MB filled; {len(gone)} segments were deleted to make room"

    # Requests

    async def _concurrent_requests(self, fault: Fault, dice: random.Random) -> str:
        module = self._module
        began = time.monotonic()
        work = []
        for number in range(REQUESTS):
            from_us, to_us = self._some_range(dice)
            if number % 2:
                request = module.save(from_us, to_us, f"concurrent {fault.number} {number}")
                work.append(module.quietly(request, "one of many simultaneous saves"))
            else:
                work.append(module.quietly(module.fetch(from_us, to_us), "one of many simultaneous fetches"))
        await asyncio.gather(*work)
        return f"{REQUESTS} in {time.monotonic() - began:.1f} s"

    async def _cancelled_requests(self, fault: Fault, dice: random.Random) -> str:
        module = self._module

        async def start_and_cancel(number: int, after_s: float, from_us: int, to_us: int) -> bool:
            metadata = f"cancelled {fault.number} {number}"
            request = module.save(from_us, to_us, metadata) if number % 2 else module.fetch(from_us, to_us)
            task = asyncio.ensure_future(module.quietly(request, "a request that was about to be cancelled"))
            await asyncio.wait([task], timeout=after_s)
            return task.cancel()

        work = [
            start_and_cancel(number, dice.uniform(0.0, 0.6), *self._some_range(dice)) for number in range(CANCELLED)
        ]
        cancelled = sum(await asyncio.gather(*work))
        # Their processes and files are removed a moment later.
        await asyncio.sleep(1.0)
        return f"{cancelled} of {CANCELLED} cancelled in time"

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
