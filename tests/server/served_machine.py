"""A machine with a real viam-server, its config file, and a client of Viam's SDK that is connected to it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from grpclib import GRPCError, Status
from grpclib.exceptions import StreamTerminatedError
from viam.components.camera import Camera
from viam.errors import ResourceNotFoundError
from viam.robot.client import RobotClient
from viam.rpc.dial import DialOptions

from scripts.fakes.clip_check import ClipCheck, check_clip, read_clip
from tests.server.painted_module import MODEL
from tests.support.checkout import ROOT
from tests.support.machine import US, exact, now_us
from tests.support.ports import own_port
from videostore.base.system import subordinate
from videostore.base.timestamps import parse_timestamp

PAINTED_MODULE = "tests.server.painted_module"
CAMERA = "front-door"
RECORDER = "front-door-recorder"
DATA_MANAGER = "data-manager"
VIDEO = "front-door-video"
WAIT_S = 90.0
"""What takes longer hangs: viam-server looks every 5 s for what it can build, and a module gets 30 s to start."""


class ServedMachine:
    """A viam-server with a config of its own. It owns the process, everything that it starts, and the client. On Linux
    they end with this process too, however that ends.

    Each of `components`, `services`, `modules` and `remotes` maps names to their part of the config; `configure` writes
    it.
    """

    def __init__(self, server: Path, directory: Path) -> None:
        self.directory = directory
        self.storage = directory / "storage"
        self.upload = directory / "upload"
        self.log = directory / "viam-server.log"
        self.components: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.modules: dict[str, dict[str, Any]] = {}
        self.remotes: dict[str, dict[str, Any]] = {}
        self.server = server
        self._port = own_port()
        self._process: asyncio.subprocess.Process | None = None
        self._robot: RobotClient | None = None
        (directory / "home").mkdir()

    def add_recorder(self, **attributes: Any) -> None:
        """Put the recorder and its module into the config. `storage` is merged into the defaults."""
        storage = {"size_gb": 1, "segment_seconds": 2, "storage_path": str(self.storage)}
        storage |= {"upload_path": str(self.upload)}
        settings: dict[str, Any] = {
            "camera": CAMERA,
            "sync": DATA_MANAGER,
            "framerate": 30,
            "video": {"preset": "ultrafast"},
        }
        settings |= {**attributes, "storage": {**storage, **attributes.get("storage", {})}}
        self.components[RECORDER] = _camera("viam:video:storage", settings)
        self.modules["video-store"] = {"type": "local", "executable_path": str(ROOT / "scripts/run.sh")}

    def add_video_service(self) -> None:
        """Put a video service of the recorder into the config."""
        self.services[VIDEO] = {
            "api": "rdk:service:video",
            "model": "viam:video:service",
            "attributes": {"recorder": RECORDER},
        }

    def add_data_manager(self) -> None:
        """Put a data manager into the config, which does not capture anything."""
        attributes = {"capture_disabled": True, "capture_dir": str(self.directory / "capture")}
        attributes |= {"additional_sync_paths": [str(self.upload)], "sync_interval_mins": 0.1}
        self.services[DATA_MANAGER] = {
            "api": "rdk:service:data_manager",
            "model": "rdk:builtin:builtin",
            "attributes": attributes,
        }

    def add_painted_camera(self, width: int = 320, height: int = 180, *, module: bool = True) -> None:
        """Put the painted camera and its module into the config."""
        if module:
            start = self.directory / "painted.sh"
            start.write_text(f'#!/bin/sh\ncd "{ROOT}"\nexec "{sys.executable}" -m {PAINTED_MODULE} "$@"\n')
            start.chmod(0o755)
            self.modules["painted"] = {"type": "local", "executable_path": str(start)}
        attributes = {"width": width, "height": height, "delivered": str(self.directory / "delivered")}
        self.components[CAMERA] = _camera(MODEL, attributes)

    def add_fake_camera(self, **attributes: Any) -> None:
        """Put viam-server's own fake camera into the config."""
        self.components[CAMERA] = _camera("rdk:builtin:fake", {"width": 320, "height": 180, **attributes})

    def configure(self) -> None:
        """Write the config, which a running viam-server notices."""
        parts = {"components": self.components, "services": self.services}
        parts |= {"modules": self.modules, "remotes": self.remotes}
        config: dict[str, Any] = {"network": {"bind_address": self.address}, "disable_log_deduplication": True}
        config |= {part: [{"name": name, **one} for name, one in ones.items()] for part, ones in parts.items()}
        (self.directory / "machine.json").write_text(json.dumps(config, indent=2))

    async def start(self) -> None:
        """Start viam-server with the config, and connect to it."""
        self.configure()
        home = str(self.directory / "home")
        ours = {name: value for name, value in os.environ.items() if not name.startswith("VIAM_")}
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *subordinate([str(self.server), "-config", str(self.directory / "machine.json"), "-disable-mdns"]),
                env={**ours, "HOME": home},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await self.until(self._connects)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to viam-server, as systemd does, and wait until it has ended."""
        assert self._process is not None
        await self._disconnect()
        self._process.send_signal(number)
        await asyncio.wait_for(self._process.wait(), WAIT_S)

    async def close(self) -> None:
        """Kill what is left of everything."""
        await self._disconnect()
        left = self.processes()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await asyncio.to_thread(psutil.wait_procs, left, 10)

    def processes(self, word: str = "") -> list[psutil.Process]:
        """The running processes that viam-server and its modules have started, with this word in their command line."""
        found, home = [], str(self.directory / "home")
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("HOME") == home and process.status() != psutil.STATUS_ZOMBIE
                if ours and word in " ".join(process.cmdline()) and process.pid != self.pid:
                    found.append(process)
        return found

    async def kill(self, word: str) -> None:
        """Kill the processes that have this word in their command line, of which there must be one."""
        killed = self.processes(word)
        assert killed, f"no process with {word!r}"
        for process in killed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await asyncio.to_thread(psutil.wait_procs, killed, 10)

    @property
    def address(self) -> str:
        """Host and port of viam-server."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id of viam-server."""
        return self._process.pid if self._process else None

    @property
    def client(self) -> RobotClient:
        """The client, while viam-server runs."""
        assert self._robot is not None
        return self._robot

    async def recorder(self) -> Camera:
        """The recorder, as viam-server has it now."""
        await self.client.refresh()  # type: ignore[no-untyped-call]
        return Camera.from_robot(self.client, RECORDER)

    async def command(self, name: str, **fields: Any) -> Mapping[str, Any]:
        """Send a command to the recorder. `from_us` and `to_us` become timestamps."""
        for field in ("from", "to"):
            if f"{field}_us" in fields:
                fields[field] = exact(fields.pop(f"{field}_us"))
        recorder = await self.recorder()
        return await recorder.do_command({"command": name, **fields}, timeout=60)

    async def status(self) -> Mapping[str, Any]:
        """The recorder's health."""
        return await (await self.recorder()).get_status(timeout=30)

    async def fetch(self, from_us: int, to_us: int, delivered: Sequence[int] = ()) -> ClipCheck:
        """Fetch a clip, and compare it with what was delivered: by default, by this machine's painted camera."""
        answer = await self.command("fetch", from_us=from_us, to_us=to_us)
        shown = await asyncio.to_thread(read_clip, base64.b64decode(answer["video"]))
        return check_clip(shown, delivered or self.delivered(), from_us, to_us)

    def delivered(self) -> list[int]:
        """The capture times of the images that the painted camera has delivered."""
        path = self.directory / "delivered"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    async def recorded_from_now(self, seconds: float = 2.0) -> tuple[int, int]:
        """Wait until a stretch that begins now is recorded without a gap. Returns its start and end.

        Where the recording begins later, or has a gap, the stretch begins after that.
        """
        from_us, length_us = now_us(), round(seconds * US)

        async def covered() -> bool:
            nonlocal from_us
            if now_us() < from_us + length_us:
                return False
            try:
                answer = await self.command("fetch", from_us=from_us, to_us=from_us + length_us)
            except GRPCError as error:
                from_us = now_us() if error.status is Status.NOT_FOUND else from_us
                raise
            if "ranges" in answer:
                from_us = max(from_us, parse_timestamp(answer["ranges"][-1]["from"], "from"))
            return "ranges" not in answer

        await self.until(covered)
        return from_us, from_us + length_us

    async def until(self, condition: Callable[[], Any], within_s: float = WAIT_S) -> None:
        """Wait for a condition, which can be a coroutine function. An error of a request means: not yet."""
        deadline = time.monotonic() + within_s
        last: Exception | None = None
        while True:
            try:
                result = condition()
                if asyncio.iscoroutine(result):
                    result = await result
            except (GRPCError, StreamTerminatedError, ResourceNotFoundError, OSError, asyncio.TimeoutError) as error:
                result, last = None, error
            if result:
                return
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not reached within {within_s} s ({last!r}); viam-server's log:\n{self.log_tail()}"
                )
            await asyncio.sleep(0.1)

    async def until_recording(self) -> None:
        """Wait until the recorder says that it records."""

        async def records() -> bool:
            return (await self.status())["recording"] is True

        await self.until(records)

    async def until_saved(self, answer: Mapping[str, Any]) -> None:
        """Wait until an asynchronous save without tags is done, which this is the answer of."""

        async def done() -> bool:
            status = await self.command("get-save-status", filename=answer["filename"])
            return bool(status["status"] == "done")

        await self.until(done)
        assert (self.upload / str(answer["filename"])).exists()

    async def until_reason(self, *words: str) -> str:
        """Wait until the recorder says that it does not record, with these words. Returns the reason."""
        reason = ""

        async def says() -> bool:
            nonlocal reason
            status = await self.status()
            reason = str(status.get("reason"))
            return status["recording"] is False and all(word in reason for word in words)

        await self.until(says)
        return reason

    def builds(self) -> int:
        """How often viam-server has built the recorder since the first start."""
        adding = re.compile(rf"Adding resource to module\b.*\b{RECORDER}\b")
        return len(adding.findall(self.log_text()))

    async def until_size(self, width: int, height: int) -> None:
        """Wait until the recorder gets images of this size."""

        async def has_size() -> bool:
            properties = await (await self.recorder()).get_properties()
            found = properties.intrinsic_parameters
            return (found.width_px, found.height_px) == (width, height)

        await self.until(has_size)

    def log_text(self) -> str:
        """Everything that viam-server and its modules have logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log_text().splitlines()[-25:])

    async def _connects(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise AssertionError(f"viam-server ended with {self._process.returncode}:\n{self.log_tail()}")
        with socket.create_connection(("127.0.0.1", self._port), 1):
            pass  # The SDK tries for long, and logs each try.
        options = RobotClient.Options(
            dial_options=DialOptions(insecure=True, disable_webrtc=True),
            refresh_interval=0,
            check_connection_interval=0,
            attempt_reconnect_interval=0,
        )
        self._robot = await RobotClient.at_address(self.address, options)
        return True

    async def _disconnect(self) -> None:
        robot, self._robot = self._robot, None
        if robot is not None:
            with contextlib.suppress(Exception):
                await robot.close()  # type: ignore[no-untyped-call]


@contextlib.asynccontextmanager
async def serve_machine(server: Path, directory: Path) -> AsyncIterator[ServedMachine]:
    """A machine whose viam-server is not started yet. Everything is ended when the context is."""
    machine = ServedMachine(server, directory)
    try:
        yield machine
    finally:
        await machine.close()


def _camera(model: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"api": "rdk:component:camera", "model": model, "attributes": dict(attributes)}
