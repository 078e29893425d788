"""A small stand-in for viam-server: starts the module as a process and drives it over its unix socket with real gRPC.

`Parent` does with a module what viam-server does, in the same order: it serves the machine's resources on a socket,
starts the process in its own process group, waits for its socket, sends `Ready`, then validates, adds, reconfigures and
removes resources, rebuilds those whose optional dependencies come or go, and ends the process with SIGTERM to the
group. It owns the socket directory, the server and the module's process, and leaves nothing of them behind.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from grpclib import GRPCError
from grpclib.client import Channel
from typing_extensions import Self
from viam.components.camera import Camera
from viam.components.camera.client import CameraClient
from viam.components.camera.service import CameraRPCService
from viam.proto.app.robot import ComponentConfig
from viam.proto.module import (
    AddResourceRequest,
    ModuleServiceStub,
    ReconfigureResourceRequest,
    RemoveResourceRequest,
    ValidateConfigRequest,
)
from viam.proto.service.video import VideoServiceStub
from viam.utils import dict_to_struct

from scripts.fakes.machine_resources import CAMERA_API as CAMERA_API
from scripts.fakes.machine_resources import MachineResources
from scripts.fakes.module_process import ROOT as ROOT
from scripts.fakes.module_process import ModuleProcess, StartedProcess, StartProcess
from scripts.fakes.viam_services import DataManagerService, HangingUpServer, RobotService, windows
from scripts.fakes.viam_services import LogLine as LogLine

VIDEO_API = "rdk:service:video"
VIDEO_MODEL = "viam:video:service"
DATA_MANAGER_API = "rdk:service:data_manager"
MODEL = "viam:video:storage"
OLDEST, NEWEST = "0.75.0", "1.0.0"
"""viam-server: the first with optional dependencies, and the first that treats them as the newest does."""

START_TIMEOUT_S = 30.0
CALL_TIMEOUT_S = 60.0


class ModuleStartError(RuntimeError):
    """The module process did not get ready. The text holds the last lines that it printed."""


@dataclass(frozen=True)
class BuiltResource:
    """What a resource of the module was built from. With each dependency that it was given, which build of it."""

    attributes: Mapping[str, Any]
    depends_on: Sequence[str] | None
    dependencies: Mapping[str, int]


class Parent:
    """Serves `cameras` and a data manager named `data_manager` (None: no data manager), and runs one module at a time.

    `others` are full names ("rdk:service:generic/other") that are listed as resources but not served. `logs` collects
    what the module logs over gRPC, `module_output` what it prints, over all starts. Without `knows_optional` it is like
    a viam-server before 0.75.0, which does not know optional dependencies.
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
        self.knows_optional = True
        self.videos: set[str] = set()
        """Which of the names of resources are of video services; the others are of recorders."""
        own = [f"{DATA_MANAGER_API}/{data_manager}"] if data_manager else []
        self.resources = MachineResources(cameras, [*own, *others])
        self._own: dict[str, BuiltResource] = {}
        self._starts = 0
        self._run: ModuleProcess | None = None
        self._server: HangingUpServer | None = None
        self._directory: Path | None = None

    async def __aenter__(self) -> Self:
        self._directory = Path(await asyncio.to_thread(_make_short_directory))
        try:
            robot = RobotService(lambda: [*self.resources.names, *self._own_names], self.logs.extend)
            services = [robot, DataManagerService(self._count_sync), CameraRPCService(self.resources.manager)]
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
            await self._end_module()
            await self._stop_serving()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def directory(self) -> Path:
        """The temporary directory of the sockets. It exists while the context is open."""
        if self._directory is None:
            raise RuntimeError("the parent is not serving. Use it as an async context manager.")
        return self._directory

    @property
    def socket(self) -> Path:
        """The socket on which the parent serves its resources."""
        return self.directory / "parent.sock"

    @property
    def process(self) -> StartedProcess:
        """The module's process that runs, or that ran last."""
        return self._current.process

    async def start_module(
        self,
        *,
        command: Sequence[str] = (sys.executable, "-m", "videostore"),
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        start_process: StartProcess | None = None,
    ) -> None:
        """Start `command SOCKET --log-level=INFO args…` in the repository, and wait until it is ready.

        `env` is merged into this process's environment, and `start_process` starts it. The process of an earlier start
        is killed. Raises ModuleStartError.
        """
        await self._end_module()
        self._starts += 1
        self._own.clear()
        socket = self.directory / f"module-{self._starts}.sock"
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        self._run = await ModuleProcess.start(
            [*command, str(socket), "--log-level=INFO", *args],
            socket=socket,
            parent_socket=self.socket,
            env={
                "VIAM_MODULE_NAME": "video-store",
                "VIAM_MODULE_ROOT": str(ROOT),
                "VIAM_MODULE_DATA": str(data),
                **(env or {}),
            },
            output=self.module_output,
            start_process=start_process,
        )
        try:
            models = await asyncio.wait_for(self._run.connect(), START_TIMEOUT_S)
            if self.model not in models:
                raise ConnectionError(f"it serves {models} and not {self.model}")
        except (GRPCError, OSError, asyncio.TimeoutError) as error:
            tail = "\n".join(self.module_output[-20:]) or "(it printed nothing)"
            raise ModuleStartError(f"the module did not get ready ({error!r}); it printed:\n{tail}") from error

    async def validate(self, name: str, attributes: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Validate a resource. Returns its required and optional dependencies. Raises GRPCError if it is refused."""
        request = ValidateConfigRequest(config=self._config(name, attributes, ()))
        response = await self._module.ValidateConfig(request, timeout=CALL_TIMEOUT_S)
        return list(response.dependencies), list(response.optional_dependencies)

    async def add(self, name: str, attributes: Mapping[str, Any], depends_on: Sequence[str] | None = None) -> None:
        """Validate a resource, then add it with all its dependencies.

        Raises GRPCError with the module's sentence, and LookupError for a dependency that the machine does not have.
        """
        dependencies = await self._dependencies(name, attributes, depends_on or ())
        config = self._config(name, attributes, depends_on or ())
        await self._module.AddResource(
            AddResourceRequest(config=config, dependencies=dependencies), timeout=CALL_TIMEOUT_S
        )
        self._remember(name, attributes, depends_on, dependencies)

    async def reconfigure(
        self, name: str, attributes: Mapping[str, Any], depends_on: Sequence[str] | None = None
    ) -> None:
        """Validate the new attributes, then change the resource. Raises the same errors as `add`."""
        dependencies = await self._dependencies(name, attributes, depends_on or ())
        config = self._config(name, attributes, depends_on or ())
        await self._module.ReconfigureResource(
            ReconfigureResourceRequest(config=config, dependencies=dependencies), timeout=CALL_TIMEOUT_S
        )
        self._remember(name, attributes, depends_on, dependencies)

    async def update(self, *, since: str = NEWEST) -> int:
        """Update the resources whose optional dependencies have come, gone or been rebuilt. Returns how many.

        `since` is the oldest version of viam-server that does it like this: `NEWEST` removes a resource and adds it
        again; `OLDEST` reconfigures every resource that has such dependencies, even if none has changed.
        """
        updated = 0
        for name, built in list(self._own.items()):
            dependencies = await self._dependencies(name, built.attributes, built.depends_on or ())
            if since == OLDEST:
                await self.reconfigure(name, built.attributes, built.depends_on)
            elif self.resources.builds(dependencies) == built.dependencies:
                continue
            else:
                await self.remove(name)
                await self.add(name, built.attributes, built.depends_on)
            updated += 1
        return updated

    async def remove(self, name: str) -> None:
        """Remove a resource of the module."""
        full = self._full_own(name)
        await self._module.RemoveResource(RemoveResourceRequest(name=full), timeout=CALL_TIMEOUT_S)
        self._own.pop(name, None)

    def camera(self, name: str) -> CameraClient:
        """A client of a resource of the module, valid until the module ends. It refuses messages over 32 MiB."""
        return CameraClient(name, self._channel)

    def video(self) -> VideoServiceStub:
        """A client of the module's video services, valid until the module ends."""
        return VideoServiceStub(self._channel)

    def children(self) -> list[psutil.Process]:
        """The running processes that the module started, and their children."""
        return self._current.children()

    def leftovers(self) -> list[psutil.Process]:
        """The processes that still run although the module that started them has ended."""
        return self._run.leftovers() if self._run is not None else []

    async def terminate(self, timeout: float = 20.0) -> float:
        """Send SIGTERM to the module's process group, as viam-server does. Returns the seconds until the module ended.

        The connections stay open meanwhile. Raises asyncio.TimeoutError if the module still runs after `timeout`
        seconds. Processes that it leaves behind are not ended: see `leftovers`.
        """
        return await self._current.terminate(timeout)

    async def kill(self) -> None:
        """Kill the module and everything that it started, and wait until all of it has ended."""
        await self._current.kill()

    async def vanish(self) -> None:
        """Close every connection and the socket without telling the module, as when viam-server is killed."""
        if self._run is not None and self._run.channel is not None:
            self._run.channel.close()
        await self._stop_serving()

    def _count_sync(self) -> None:
        self.syncs += 1

    @property
    def _current(self) -> ModuleProcess:
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

    async def _end_module(self) -> None:
        if self._run is not None:
            run, self._run = self._run, None
            await run.kill()
            await run.close()

    async def _stop_serving(self) -> None:
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        server.disconnect()
        # A camera with a request in progress can take some time to notice. Nothing depends on it.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 5)

    def _config(self, name: str, attributes: Mapping[str, Any], depends_on: Sequence[str]) -> ComponentConfig:
        video = name in self.videos
        return ComponentConfig(
            name=name,
            namespace="rdk",
            type="video" if video else "camera",
            api=VIDEO_API if video else CAMERA_API,
            model=VIDEO_MODEL if video else self.model,
            depends_on=depends_on,
            attributes=dict_to_struct(attributes),
        )

    async def _dependencies(self, name: str, attributes: Mapping[str, Any], depends_on: Sequence[str]) -> list[str]:
        required, optional = await self.validate(name, attributes)
        found = [self._full_name(short) for short in (*required, *depends_on)]
        if self.knows_optional:
            found += [self._full_name(short) for short in optional if self._matches(short)]
        return list(dict.fromkeys(found))

    def _remember(
        self, name: str, attributes: Mapping[str, Any], depends_on: Sequence[str] | None, dependencies: Sequence[str]
    ) -> None:
        self._own[name] = BuiltResource(attributes, depends_on, self.resources.builds(dependencies))

    @property
    def _own_names(self) -> list[str]:
        return [self._full_own(name) for name in self._own]

    def _full_own(self, name: str) -> str:
        return f"{VIDEO_API if name in self.videos else CAMERA_API}/{name}"

    def _matches(self, name: str) -> list[str]:
        return [full for full in (*self.resources.names, *self._own_names) if name in (full, full.partition("/")[2])]

    def _full_name(self, name: str) -> str:
        match self._matches(name):
            case [full]:
                return full
            case []:
                raise LookupError(f"the machine has no resource named {name!r}")
            case several:
                raise LookupError(f"{name!r} may be any of {several}")


def _make_short_directory() -> str:
    # The path of a Unix socket can have about 100 bytes. The temporary directory of a test or of macOS can be longer.
    short = Path("/tmp")  # noqa: S108 -- mkdtemp makes the directory for this user only.
    return tempfile.mkdtemp(prefix="viam-", dir=short if short.is_dir() else None)
