"""A small stand-in for viam-server: starts the module as a process and drives it over its unix socket with real gRPC.

`Parent` does what viam-server does with a module, in the same order: serve the machine's resources on a socket, start
the process in a process group of its own, wait for its socket, send `Ready`, then validate, add, reconfigure and remove
resources, and end it with SIGTERM to the group. It owns the process, everything the process started, the socket
directory and the connections, and leaves nothing of them behind.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from grpclib import GRPCError
from grpclib.client import Channel
from grpclib.events import RecvMessage, listen
from typing_extensions import Self
from viam.components.camera import Camera
from viam.components.camera.client import CameraClient
from viam.components.camera.service import CameraRPCService
from viam.proto.app.robot import ComponentConfig
from viam.proto.module import (
    AddResourceRequest,
    ModuleServiceStub,
    ReadyRequest,
    ReconfigureResourceRequest,
    RemoveResourceRequest,
    ValidateConfigRequest,
)
from viam.resource.manager import ResourceManager
from viam.utils import dict_to_struct

from scripts.fakes.viam_services import DataManagerService, HangingUpServer, RobotService, refuse_large_message, windows
from scripts.fakes.viam_services import LogLine as LogLine

ROOT = Path(__file__).resolve().parents[2]
CAMERA_API = "rdk:component:camera"
DATA_MANAGER_API = "rdk:service:data_manager"
MODEL = "viam:video:storage"

START_TIMEOUT_S = 30.0
CALL_TIMEOUT_S = 60.0
# Far above any line a module prints; asyncio's default of 64 KiB would end the reading.
LINE_LIMIT_BYTES = 1 << 20


class ModuleStartError(RuntimeError):
    """The module process did not come up; the text holds the last lines that it printed."""


@dataclass
class _Run:
    """One module process with its connection. Owned by the Parent."""

    process: asyncio.subprocess.Process
    socket: Path
    readers: list["asyncio.Task[None]"]
    seen: set[psutil.Process] = field(default_factory=set)
    channel: Channel | None = None


class Parent:
    """Serves `cameras` and a data manager named `data_manager` (None: none), and runs one module at a time.

    `others` are full names ("rdk:service:generic/other") that are listed as resources without being served. `logs`
    collects what the module logs over gRPC, `module_output` what it prints; both go on over several starts.
    """

    def __init__(
        self,
        cameras: Sequence[Camera] = (),
        *,
        data_manager: str | None = "data-manager",
        others: Sequence[str] = (),
        model: str = MODEL,
    ) -> None:
        self.model = model
        self.logs: list[LogLine] = []
        self.module_output: list[str] = []
        self.syncs = 0
        self.resources = [f"{CAMERA_API}/{camera.name}" for camera in cameras]
        self.resources += [f"{DATA_MANAGER_API}/{data_manager}"] if data_manager else []
        self.resources += others
        self._own: list[str] = []
        self._cameras = cameras
        self._runs = 0
        self._run: _Run | None = None
        self._server: HangingUpServer | None = None
        self._directory: Path | None = None

    async def __aenter__(self) -> Self:
        self._directory = Path(await asyncio.to_thread(_make_short_directory))
        try:
            manager = ResourceManager(list(self._cameras))
            robot = RobotService(lambda: [*self.resources, *self._own], self.logs.extend)
            services = [robot, DataManagerService(self._count_sync), CameraRPCService(manager)]
            self._server = HangingUpServer(services, config=windows())
            await self._server.start(path=str(self.socket))
        except BaseException:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._run is not None:
                await self.kill()
                await self._forget_run()
            await self._stop_serving()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def directory(self) -> Path:
        """The temporary directory of the sockets; exists while the context is open."""
        if self._directory is None:
            raise RuntimeError("the parent is not serving: use it as an async context manager")
        return self._directory

    @property
    def socket(self) -> Path:
        """Where the parent serves its resources."""
        return self.directory / "parent.sock"

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The module's process: the one that runs, or that ran last."""
        return self._current.process

    async def start_module(
        self,
        *,
        command: Sequence[str] = (sys.executable, "-m", "videostore"),
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Starts `command SOCKET --log-level=INFO args…` in the repository and waits until it is ready.

        `env` is laid over this process's environment. Ends the process of an earlier start. Raises ModuleStartError.
        """
        if self._run is not None:
            await self.kill()
            await self._forget_run()
        self._runs += 1
        self._own.clear()
        socket = self.directory / f"module-{self._runs}.sock"
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            *command,
            str(socket),
            "--log-level=INFO",
            *args,
            cwd=ROOT,
            env={
                **os.environ,
                "VIAM_MODULE_NAME": "video-store",
                "VIAM_MODULE_ROOT": str(ROOT),
                "VIAM_MODULE_DATA": str(data),
                **(env or {}),
                # The mark by which processes are found that the module left behind.
                "VIAM_PARENT_SOCKET": str(self.socket),
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LINE_LIMIT_BYTES,
        )
        assert process.stdout is not None and process.stderr is not None
        readers = [asyncio.create_task(self._read_lines(stream)) for stream in (process.stdout, process.stderr)]
        self._run = _Run(process, socket, readers)
        try:
            await asyncio.wait_for(self._get_ready(self._run), START_TIMEOUT_S)
        except (GRPCError, OSError, asyncio.TimeoutError) as error:
            tail = "\n".join(self.module_output[-20:]) or "(it printed nothing)"
            raise ModuleStartError(f"the module did not get ready ({error!r}); it printed:\n{tail}") from error

    async def validate(self, name: str, attributes: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """The required and the optional dependencies of a resource, by short name. Raises GRPCError if refused."""
        request = ValidateConfigRequest(config=self._config(name, attributes, ()))
        response = await self._module.ValidateConfig(request, timeout=CALL_TIMEOUT_S)
        return list(response.dependencies), list(response.optional_dependencies)

    async def add(self, name: str, attributes: Mapping[str, Any], depends_on: Sequence[str] | None = None) -> None:
        """Validates a resource, then adds it with all its dependencies.

        Raises GRPCError with the module's sentence, LookupError for a dependency that the machine does not have.
        """
        dependencies = await self._dependencies(name, attributes, depends_on or ())
        config = self._config(name, attributes, depends_on or ())
        await self._module.AddResource(
            AddResourceRequest(config=config, dependencies=dependencies), timeout=CALL_TIMEOUT_S
        )
        self._own.append(f"{CAMERA_API}/{name}")

    async def reconfigure(
        self, name: str, attributes: Mapping[str, Any], depends_on: Sequence[str] | None = None
    ) -> None:
        """Validates the new attributes, then changes the resource. Raises as `add` does."""
        dependencies = await self._dependencies(name, attributes, depends_on or ())
        config = self._config(name, attributes, depends_on or ())
        await self._module.ReconfigureResource(
            ReconfigureResourceRequest(config=config, dependencies=dependencies), timeout=CALL_TIMEOUT_S
        )

    async def remove(self, name: str) -> None:
        """Removes a resource of the module."""
        full = f"{CAMERA_API}/{name}"
        await self._module.RemoveResource(RemoveResourceRequest(name=full), timeout=CALL_TIMEOUT_S)
        self._own = [own for own in self._own if own != full]

    def camera(self, name: str) -> CameraClient:
        """A client of a resource of the module, valid until the module ends; refuses messages over 32 MiB."""
        return CameraClient(name, self._channel)

    def children(self) -> list[psutil.Process]:
        """The processes that the module started and that run, with theirs."""
        run = self._current
        if run.process.returncode is not None:
            return []
        try:
            children = psutil.Process(run.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        run.seen.update(children)
        return [child for child in children if _runs(child)]

    def leftovers(self) -> list[psutil.Process]:
        """The processes that still run though the module that started them has ended."""
        if self._run is None or self._run.process.returncode is None:
            return []
        marked = [process for process in psutil.process_iter() if self._is_marked(process)]
        return [process for process in {*marked, *self._run.seen} if _runs(process)]

    async def terminate(self, timeout: float = 20.0) -> float:
        """Sends SIGTERM to the module's process group, as viam-server does; gives the seconds until the module's exit.

        The connections stay open meanwhile. Raises asyncio.TimeoutError if the module still runs after `timeout`
        seconds. Processes that it leaves behind are not ended: see `leftovers`.
        """
        run = self._current
        self.children()
        began = time.monotonic()
        with suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGTERM)
        await asyncio.wait_for(run.process.wait(), timeout)
        return time.monotonic() - began

    async def kill(self) -> None:
        """Ends the module and everything that it started at once, by SIGKILL; waits until all of it is gone."""
        run = self._current
        victims = self.children()
        if run.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(run.process.pid, signal.SIGKILL)
        _kill_all(victims)
        await run.process.wait()
        left = self.leftovers()
        _kill_all(left)
        await asyncio.to_thread(psutil.wait_procs, [*victims, *left], 5)

    async def vanish(self) -> None:
        """Closes every connection and the socket without a word to the module, as the death of viam-server does."""
        if self._run is not None and self._run.channel is not None:
            self._run.channel.close()
        await self._stop_serving()

    def _count_sync(self) -> None:
        self.syncs += 1

    @property
    def _current(self) -> _Run:
        if self._run is None:
            raise RuntimeError("no module was started")
        return self._run

    @property
    def _channel(self) -> Channel:
        if self._current.channel is None:
            raise RuntimeError("the module is not connected")
        return self._current.channel

    @property
    def _module(self) -> ModuleServiceStub:
        return ModuleServiceStub(self._channel)

    async def _get_ready(self, run: _Run) -> None:
        while not run.socket.exists():
            if run.process.returncode is not None:
                await asyncio.wait(run.readers, timeout=1)
                raise ConnectionError(f"it ended with exit code {run.process.returncode}")
            await asyncio.sleep(0.02)
        run.channel = Channel(path=str(run.socket), config=windows())
        listen(run.channel, RecvMessage, refuse_large_message)
        while True:
            try:
                response = await self._module.Ready(ReadyRequest(parent_address=str(self.socket)))
                break
            except ConnectionRefusedError:  # the socket is there a moment before anybody listens
                await asyncio.sleep(0.02)
        models = {model for handler in response.handlermap.handlers for model in handler.models}
        if not response.ready or self.model not in models:
            raise ConnectionError(f"it serves {sorted(models)} and not {self.model}")

    async def _read_lines(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.module_output.append(line.decode(errors="replace").rstrip("\n"))

    async def _forget_run(self) -> None:
        run, self._run = self._current, None
        if run.channel is not None:
            run.channel.close()
        for reader in run.readers:
            reader.cancel()
        await asyncio.gather(*run.readers, return_exceptions=True)
        run.socket.unlink(missing_ok=True)

    async def _stop_serving(self) -> None:
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        server.disconnect()
        # A camera that is being asked may take its time to notice; nothing depends on it.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 5)

    def _config(self, name: str, attributes: Mapping[str, Any], depends_on: Sequence[str]) -> ComponentConfig:
        return ComponentConfig(
            name=name,
            namespace="rdk",
            type="camera",
            api=CAMERA_API,
            model=self.model,
            depends_on=depends_on,
            attributes=dict_to_struct(attributes),
        )

    async def _dependencies(self, name: str, attributes: Mapping[str, Any], depends_on: Sequence[str]) -> list[str]:
        required, optional = await self.validate(name, attributes)
        found = [self._full_name(short) for short in (*required, *depends_on)]
        found += [self._full_name(short) for short in optional if self._matches(short)]
        return list(dict.fromkeys(found))

    def _matches(self, name: str) -> list[str]:
        return [full for full in (*self.resources, *self._own) if name in (full, full.partition("/")[2])]

    def _full_name(self, name: str) -> str:
        match self._matches(name):
            case [full]:
                return full
            case []:
                raise LookupError(f"the machine has no resource named {name!r}")
            case several:
                raise LookupError(f"{name!r} may be any of {several}")

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return bool(process.environ().get("VIAM_PARENT_SOCKET") == str(self.socket))
        except psutil.Error:
            return False


def _make_short_directory() -> str:
    # A unix socket's path holds about 100 bytes, less than the temporary directory of a test or of macOS leaves.
    short = Path("/tmp")  # noqa: S108 -- mkdtemp makes the directory for this user alone.
    return tempfile.mkdtemp(prefix="viam-", dir=short if short.is_dir() else None)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _kill_all(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
