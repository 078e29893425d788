"""The module that is tested: its process, its camera, its directories, and requests to it."""

import asyncio
import base64
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
from grpclib import GRPCError
from grpclib.exceptions import StreamTerminatedError
from viam.utils import ValueTypes

from scripts.fakes.painted_camera import PaintedCamera
from scripts.fakes.viam_server import Parent
from scripts.soak.faults import US, Excuse
from videostore.base.errors import NothingStoredError
from videostore.remote.call_errors import error_of

NAME = "soak"
NEIGHBOURS = "neighbours"
SEGMENT_S = 5
BITRATE = 1_000_000
ASK_PER_SECOND = 40
CALL_TIMEOUT_S = 60.0
END_S = 3.0
ORPHANS_S = 5.0
POLL_S = 0.1
SAVED_S = 8
# Frames come at 10 to 20 a second, unevenly.
INTERVAL_S = (1 / 20, 1 / 10)
WIDTH, HEIGHT = 640, 360
CALL_ERRORS = (GRPCError, StreamTerminatedError, OSError, asyncio.TimeoutError)


@dataclass
class AsyncSave:
    """An asynchronous save of [from_us, to_us), in microseconds since 1970.

    `state` is the last status that the module returned. `forgotten` says that the index, which holds the status, was
    damaged since the request.
    """

    filename: str
    from_us: int
    to_us: int
    requested_s: float
    state: str = "unknown"
    forgotten: bool = False


@dataclass(frozen=True)
class Clip:
    """A clip as received: its bytes, and the ranges that the answer names, in microseconds since 1970."""

    data: bytes
    ranges: list[tuple[int, int]]
    complete: bool


class TestedModule:
    """One module with one recorder of one camera. Its `parent` owns the process.

    Beside it the module records the `complaining` cameras, about whose images ffmpeg complains; then its log level is
    debug. `limits` are the attributes of `storage` that limit its size, in GiB. `failures` collects everything that
    fails, `excuses` the frames that may be missing. `say` prints a line.
    """

    def __init__(
        self,
        parent: Parent,
        camera: PaintedCamera,
        directory: Path,
        limits: Mapping[str, float],
        seed: int,
        say: Callable[[str], None],
        complaining: Sequence[PaintedCamera] = (),
    ) -> None:
        self.parent = parent
        self.camera = camera
        self.storage = directory / "storage"
        self.upload = directory / "upload"
        self.began = time.monotonic()
        self.say = say
        self.failures: list[str] = []
        self.excuses: list[Excuse] = []
        self.saves: list[AsyncSave] = []
        self.foreign: dict[Path, bytes | None] = {}
        self.damaged: set[str] = set()
        self.ends_s: list[float] = []
        self.bitrate = BITRATE
        self.requests = 0
        self._limits = limits
        self._neighbours = directory / NEIGHBOURS
        self._complaining = complaining
        self._dice = random.Random(seed)
        self.pace(*INTERVAL_S)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the soak began."""
        return time.monotonic() - self.began

    def pace(self, shortest_s: float, longest_s: float) -> None:
        """Set the shortest and the longest interval between two frames of the camera."""
        self.camera.interval = lambda: self._dice.uniform(shortest_s, longest_s)

    def fail(self, sentence: str) -> None:
        """Record a failure with its time, and print it."""
        line = f"{self.elapsed_s:7.1f} s  FAILURE  {sentence}"
        self.failures.append(line)
        self.say(line)

    def attributes(self, *, recording: bool = True) -> dict[str, Any]:
        """The recorder's config."""
        attributes: dict[str, Any] = {
            "sync": "data-manager",
            "framerate": ASK_PER_SECOND,
            "storage": {
                **self._limits,
                "storage_path": str(self.storage),
                "upload_path": str(self.upload),
                "segment_seconds": SEGMENT_S,
            },
            "video": {"preset": "ultrafast", "bitrate": self.bitrate},
        }
        if recording:
            attributes["camera"] = self.camera.name
        return attributes

    # The process

    async def start(self, *, recording: bool = True) -> None:
        """Start the module with its recorder."""
        await self.parent.start_module(args=["--log-level=DEBUG"] if self._complaining else [])
        for camera in self._complaining if recording else ():
            await self.parent.add(f"{NAME}-{camera.name}", self._neighbour(camera))
        await self.parent.add(NAME, self.attributes(recording=recording))

    def _neighbour(self, camera: PaintedCamera) -> dict[str, Any]:
        attributes = self.attributes()
        storage = {"size_gb": 0.1, "storage_path": str(self._neighbours / camera.name), "segment_seconds": SEGMENT_S}
        return {**attributes, "camera": camera.name, "storage": {**storage, "upload_path": str(self.upload)}}

    async def terminate(self) -> None:
        """End the module as viam-server does. It must end within 3 s and leave no process behind."""
        try:
            took_s = await self.parent.terminate()
        except asyncio.TimeoutError:
            self.fail("the module still ran 20 s after SIGTERM; it was killed")
            await self.parent.kill()
            return
        self.ends_s.append(took_s)
        if took_s > END_S:
            self.fail(f"the module took {took_s:.1f} s to end after SIGTERM")
        if left := await asyncio.to_thread(self.parent.leftovers):
            self.fail(f"the module ended after SIGTERM and left processes behind: {left}")

    async def kill_module_alone(self) -> None:
        """Kill only the module. Its ffmpegs must end by themselves, because their pipes are closed."""
        self.parent.children()
        self.parent.process.kill()
        await self.parent.process.wait()
        deadline = time.monotonic() + ORPHANS_S
        while left := await asyncio.to_thread(self.parent.leftovers):
            if time.monotonic() > deadline:
                self.fail(f"processes still run {ORPHANS_S:.0f} s after the module was killed: {left}")
                return
            await asyncio.sleep(POLL_S)

    def recording_ffmpegs(self) -> list[psutil.Process]:
        """The ffmpegs that record: the others write no segments."""
        found = []
        for child in self.parent.children():
            try:
                command = child.cmdline()
                if "segment" in command and not any(str(self._neighbours) in part for part in command):
                    found.append(child)
            except psutil.Error:
                continue
        return found

    # Requests

    async def command(self, name: str, **fields: ValueTypes) -> Any:
        """Send a command. Raises the errors that a client gets."""
        self.requests += 1
        return await self.parent.camera(NAME).do_command({"command": name, **fields}, timeout=CALL_TIMEOUT_S)

    async def status(self) -> Any:
        """The recorder's health; empty if it does not answer."""
        try:
            return await self.parent.camera(NAME).get_status(timeout=5)
        except (*CALL_ERRORS, RuntimeError):
            return {}

    async def fetch(self, from_us: int, to_us: int) -> Clip:
        """Fetch [from_us, to_us)."""
        answer = await self.command("fetch", **{"from": timestamp(from_us), "to": timestamp(to_us)})
        data = await asyncio.to_thread(base64.b64decode, answer["video"])
        return _clip(data, answer, from_us, to_us)

    async def save(self, from_us: int, to_us: int, metadata: str) -> Clip:
        """Save [from_us, to_us), read the clip from the upload path, and remove it there."""
        answer = await self.command("save", **{"from": timestamp(from_us), "to": timestamp(to_us)}, metadata=metadata)
        path = self.upload / str(answer["filename"])
        data = await asyncio.to_thread(path.read_bytes)
        path.unlink()
        return _clip(data, answer, from_us, to_us)

    async def save_later(self) -> None:
        """Request an asynchronous save of the last seconds. It is judged at the end."""
        to_us = now_us()
        from_us = to_us - SAVED_S * US
        number = len(self.saves) + 1
        fields: dict[str, ValueTypes] = {"from": timestamp(from_us), "to": timestamp(to_us), "async": True}
        try:
            answer = await self.command("save", **fields, metadata=f"async {number}")
        except CALL_ERRORS as error:
            self.fail(f"an asynchronous save was refused: {message_of(error)}")
            return
        self.saves.append(AsyncSave(str(answer["filename"]), from_us, to_us, self.elapsed_s))

    async def ask_for_saves(self) -> None:
        """Ask for the status of each asynchronous save that was not done yet."""
        for save in self.saves:
            if save.state != "done":
                save.state = await self._save_state(save.filename)

    async def _save_state(self, filename: str) -> str:
        try:
            answer = await self.command("get-save-status", filename=filename)
        except CALL_ERRORS as error:
            return message_of(error)
        return str(answer.get("status"))

    def forget_saves(self) -> None:
        """Note that the index was damaged: the status of saves can be lost, but they must still be made."""
        for save in self.saves:
            save.forgotten = True

    async def recording_again(self, within_s: float, *, restarts_over: int = -1) -> int | None:
        """Wait until recording has resumed. Returns the capture time of a frame that is recorded, or None.

        Recording has resumed when the status says so, ffmpeg has failed more than `restarts_over` times, and a frame
        captured after that is recorded. The time is in microseconds since 1970.
        """
        deadline = time.monotonic() + within_s
        on_us: int | None = None
        while time.monotonic() < deadline:
            asked_us = now_us()
            status = await self.status()
            on = bool(status.get("recording")) and status.get("ffmpeg_restarts", -1) > restarts_over
            if not on or "last_frame_age_s" not in status:
                on_us = None
            elif on_us is None:
                on_us = now_us()
            # The age was computed before the answer arrived, so the frame is at least this old.
            elif (captured_us := asked_us - int(status["last_frame_age_s"] * US)) > on_us:
                return captured_us
            await asyncio.sleep(POLL_S)
        return None

    async def check_calm(self, span_us: int = 3 * US, newest_us: int = 3 * US) -> None:
        """Check that a range of the last seconds can be fetched completely."""
        to_us = now_us() - newest_us
        try:
            clip = await self.fetch(to_us - span_us, to_us)
        except CALL_ERRORS as error:
            self.fail(f"a fetch of the last seconds failed without a fault: {message_of(error)}")
            return
        if not clip.complete:
            self.fail(f"a fetch of the last seconds without a fault holds only {spans(clip.ranges)}")

    async def quietly(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        """Await a request that may find nothing stored, but must not fail otherwise."""
        try:
            await work
        except CALL_ERRORS as error:
            if not nothing_stored(error):
                self.fail(f"{what} failed: {message_of(error)}")


def _clip(data: bytes, answer: Any, from_us: int, to_us: int) -> Clip:
    ranges = [(_parse(one["from"]), _parse(one["to"])) for one in answer.get("ranges", [])]
    return Clip(data, ranges or [(from_us, to_us)], not ranges)


def now_us() -> int:
    """The time now, in microseconds since 1970."""
    return time.time_ns() // 1000


def timestamp(time_us: int) -> str:
    """A timestamp for a command, in UTC and exact to the microsecond."""
    return datetime.fromtimestamp(time_us // US, timezone.utc).strftime(f"%Y-%m-%d_%H-%M-%S.{time_us % US:06d}Z")


def spans(ranges: list[tuple[int, int]]) -> str:
    """Ranges as text."""
    return ", ".join(f"{timestamp(from_us)} to {timestamp(to_us)}" for from_us, to_us in ranges)


def nothing_stored(error: BaseException) -> bool:
    """Whether a request failed because nothing is stored in its range."""
    return isinstance(error, GRPCError) and isinstance(error_of(error, NAME), NothingStoredError)


def message_of(error: BaseException) -> str:
    """The message of an error in one line."""
    message = error.message if isinstance(error, GRPCError) else str(error)
    return " ".join((message or type(error).__name__).split())[:300]


def _parse(timestamp_text: str) -> int:
    moment = datetime.strptime(timestamp_text, "%Y-%m-%d_%H-%M-%S.%fZ").replace(tzinfo=timezone.utc)
    return round(moment.replace(microsecond=0).timestamp()) * US + moment.microsecond
