"""A machine for tests: a stand-in for viam-server, a painted camera, and the module as a process."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from grpclib import GRPCError

from scripts.fakes.painted_camera import ClipCheck, PaintedCamera, check_clip, read_clip
from scripts.fakes.viam_server import Parent
from tests.support.warm_module import start_warm_module
from videostore.base.errors import VideoStoreError
from videostore.base.time_format import format_utc_exact
from videostore.base.time_parsing import moment_us
from videostore.remote.call_errors import error_of

NAME = "store"
FPS = 10
"""Frames a second of the camera. Each costs 9 ms of CPU, and what happens to one happens to the next."""
US = 1_000_000


class Machine:
    """A module with one resource `store`, which records the camera `cam`. `run_machine` makes it."""

    def __init__(self, parent: Parent, camera: PaintedCamera, directory: Path) -> None:
        self.parent = parent
        self.camera = camera
        self.storage = directory / "storage"
        self.upload = directory / "upload"

    def attributes(self, **changes: Any) -> dict[str, Any]:
        """The resource's attributes. `storage` and `video` are merged into the defaults; None removes an attribute."""
        storage = {
            "size_gb": 1,
            "storage_path": str(self.storage),
            "upload_path": str(self.upload),
            "segment_seconds": 2,
        }
        defaults = {"camera": "cam", "sync": "data-manager", "framerate": 30}
        merged = {**defaults, **changes, "storage": {**storage, **changes.get("storage", {})}}
        merged["video"] = {"preset": "ultrafast", **changes.get("video", {})}
        return {key: value for key, value in merged.items() if value is not None}

    async def start_module(self, **options: Any) -> None:
        """Start another process of the module, forked from a process that has imported it."""
        await self.parent.start_module(start_process=start_warm_module, **options)

    async def add(self, **changes: Any) -> None:
        """Add the resource to the module."""
        await self.parent.add(NAME, self.attributes(**changes))

    async def command(self, name: str, **fields: Any) -> Any:
        """Send a command. `from_us` and `to_us` become timestamps."""
        for field in ("from", "to"):
            if f"{field}_us" in fields:
                fields[field] = exact(fields.pop(f"{field}_us"))
        return await self.parent.camera(NAME).do_command({"command": name, **fields}, timeout=150)

    async def fetch(self, from_us: int, to_us: int, **fields: Any) -> tuple[ClipCheck, Any]:
        """Fetch a clip and compare it with what the camera delivered."""
        answer = await self.command("fetch", from_us=from_us, to_us=to_us, **fields)
        shown = await asyncio.to_thread(read_clip, base64.b64decode(answer["video"]))
        return check_clip(shown, self.camera.delivered, from_us, to_us), answer

    async def status(self) -> Any:
        """The recorder's health."""
        return await self.parent.camera(NAME).get_status()

    async def until(self, condition: Callable[[], Any], within_s: float = 150.0) -> None:
        """Wait for a condition, which can be a coroutine function. What takes longer than `within_s` hangs."""
        deadline = time.monotonic() + within_s
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"not reached within {within_s} s; the module logged: {self.log_tail()}")
            await asyncio.sleep(0.05)

    async def record(self, seconds: float) -> None:
        """Wait until the camera has delivered for this long from now."""
        goal_us = now_us() + round(seconds * US)
        await self.until(lambda: self.camera.delivered and self.camera.delivered[-1] >= goal_us, seconds + 150)

    async def recorded_until(self, time_us: int) -> None:
        """Wait until the recording can be fetched up to a time."""

        async def reached() -> bool:
            try:
                # The state costs a hundredth of a clip, and is told in seconds.
                state = await self.command("get-storage-state")
                stored_us = max((moment_us(one["to"], "to", now_us=0) for one in state["stored_video"]), default=0)
                if stored_us < time_us // US * US:
                    return False
                if stored_us > time_us + US:  # a frame that is missing before it will not come
                    return True
                answer = await self.command("fetch", from_us=time_us - US, to_us=time_us)
            except GRPCError:
                return False
            return "ranges" not in answer

        await self.until(reached)

    def log_tail(self) -> str:
        """The last lines of the module's log."""
        return "\n".join([f"{line.level} {line.message}" for line in self.parent.logs][-20:])


def small_camera(name: str = "cam", **options: Any) -> PaintedCamera:
    """A camera with `FPS` small images a second."""
    return PaintedCamera(name, **{"width": 320, "height": 180, "interval": lambda: 1 / FPS, **options})


@contextlib.asynccontextmanager
async def run_machine(
    directory: Path,
    *,
    jitter: bool = False,
    warm: bool = True,
    env: Mapping[str, str] | None = None,
    **camera_options: Any,
) -> AsyncIterator[Machine]:
    """A machine whose module is ready and has no resource yet. Everything is removed at the end.

    A `warm` module is forked from a process that has imported it; it does not end when this process is killed.
    """
    camera = small_camera(**camera_options)
    if jitter:
        dice = random.Random(7)
        camera.interval = lambda: dice.uniform(1 / 20, 1 / 5)
    async with Parent([camera]) as parent:
        await parent.start_module(env=env, start_process=start_warm_module if warm else None)
        yield Machine(parent, camera, directory)


def now_us() -> int:
    """The time now, in microseconds since 1970."""
    return time.time_ns() // 1000


def exact(time_us: int) -> str:
    """A timestamp that is exact to the microsecond."""
    return f"{format_utc_exact(time_us)[:-5]}.{time_us % US:06d}Z"


def sent_error(error: GRPCError) -> VideoStoreError:
    """The module's error, with the code and the fields that it sent. Checks that its sentence is plain."""
    assert_plain(error)
    return error_of(error, NAME)


def assert_plain(error: GRPCError, *words: str) -> None:
    """Check that an error is one sentence for a person, and contains these words."""
    message = error.message or ""
    for word in words:
        assert word in message, message
    for noise in ("Traceback", "file_name", "Error(", "<class", ".py", "func_name", "None -"):
        assert noise not in message, message
    assert "\n" not in message and message.endswith(".")
