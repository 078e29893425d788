"""The module's process: serves the resources, and shuts down cleanly however it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import logging as python_logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from grpclib import Status
from grpclib.metadata import Deadline
from viam import logging
from viam.components.camera import Camera
from viam.errors import ViamGRPCError
from viam.module.module import NO_MODULE_PARENT, Module
from viam.proto.app.robot import ComponentConfig
from viam.proto.module import (
    AddResourceRequest,
    ReconfigureResourceRequest,
    ValidateConfigRequest,
    ValidateConfigResponse,
)
from viam.resource.base import ResourceBase

from videostore.base.beat import until_beat
from videostore.base.errors import VideoStoreError
from videostore.base.lanes import use_lanes
from videostore.base.processes import prepare_to_start
from videostore.base.system import avoid_huge_pages, favour_event_loop, share_memory
from videostore.base.tasks import off_loop
from videostore.config import Section, WebConfig, parse_web
from videostore.viam import camera_service, data_manager, kinds, video_api
from videostore.viam.json_object import read_object
from videostore.viam.kinds import is_service, kind_of, name_of
from videostore.viam.lean_transport import describe_no_data
from videostore.viam.log_forwarding import LogForwarder, forward_logs
from videostore.viam.memory import reduce_garbage_collections
from videostore.viam.own_resource import OwnResource
from videostore.viam.plain_sdk import make_plain
from videostore.viam.refusal import Refusal
from videostore.viam.request_limit import limit_requests
from videostore.viam.web_servers import WebServers

_PARENT_CHECK_S = 1.0
_CLOSE_S = 2.6
"""Every process must have ended 3 s after SIGTERM; viam-server kills them after 3.3 s."""
_LAST_WORDS_S = 0.2
"""At the end, viam-server gets this long to take the last log lines."""
_LEVELS = ("debug", "info", "warning", "warn", "error", "critical", "fatal")

LOGGER = logging.getLogger(__name__)


class StorageModule(Module):
    """The SDK's module, but with a log that cannot break its connection, and with a limit on the size of requests.

    A resource starts before it is registered, and a wrong config is refused in plain text.
    """

    def __init__(self, address: str, *, log_level: int = python_logging.INFO, tcp_mode: bool = False) -> None:
        super().__init__(address, log_level=log_level, tcp_mode=tcp_mode)
        limit_requests(self.server._server)
        self.web = WebServers(LOGGER)
        self.log = LogForwarder()
        forward_logs(self.log)

    async def _connect_to_parent(self) -> None:
        connected = self.parent is not None
        await super()._connect_to_parent()  # type: ignore[no-untyped-call]
        if not connected and self.parent is not None:
            self.log.start(self.parent)

    async def add_resource(self, request: AddResourceRequest, *, deadline: Deadline | None = None) -> None:
        """Create, register and start a resource. If it cannot be started, it is removed again."""
        kind = await off_loop(kind_of, request.config)
        await off_loop(kind.prepare, request.config)
        try:
            await super().add_resource(request, deadline=deadline)
        finally:
            kind.forget(request.config)
        name = name_of(request.config)
        resource: Any = self.server.resources[name]
        resource.use_web(self.web)
        if is_service(request.config):
            resource.introduce(self._camera)
        try:
            await resource.start()
        except BaseException:
            await self.server.remove_resource(name)
            raise

    async def reconfigure_resource(self, request: ReconfigureResourceRequest) -> None:
        """Rebuild a resource, unless nothing that it is made of has changed. If the last attempt failed, add it."""
        config, dependencies = request.config, request.dependencies
        resource: Any = self.server.resources.get(name_of(config))
        if not isinstance(resource, OwnResource):
            await self.add_resource(AddResourceRequest(config=config, dependencies=dependencies))
        elif not resource.adopt(config, await self._get_dependencies(dependencies)):
            await super().reconfigure_resource(request)

    async def validate_config(self, request: ValidateConfigRequest) -> ValidateConfigResponse:
        """Check a config. Unlike the SDK's own check, this adds no file and line to the error."""
        try:
            required, optional = await off_loop(_validate, request.config)
            self.web.check(request.config.name, _web_of(request.config))
        except VideoStoreError as error:
            raise Refusal(error) from error
        except ValueError as error:
            raise ViamGRPCError(f"The attributes cannot be read: {error}.", Status.INVALID_ARGUMENT) from error
        return ValidateConfigResponse(dependencies=required, optional_dependencies=optional)

    def _camera(self, name: str) -> ResourceBase | None:
        return self.server.resources.get(Camera.get_resource_name(name))


def _validate(config: ComponentConfig) -> tuple[Sequence[str], Sequence[str]]:
    """Blocking."""
    return kind_of(config).validate_config(config)


def _web_of(config: ComponentConfig) -> WebConfig | None:
    """Where a config that is right shows the recording; None if nowhere."""
    web = read_object(config.attributes).get("web")
    return None if web is None else parse_web(Section("web", web))


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m videostore", description="Viam module video-store. viam-server starts it."
    )
    parser.add_argument("socket", metavar="SOCKET", help="Unix socket to serve on, or HOST:PORT with --tcp-mode")
    parser.add_argument("--log-level", metavar="LEVEL", default="info", type=str.lower, choices=_LEVELS)
    parser.add_argument("--tcp-mode", action="store_true", help="serve on TCP instead of a Unix socket")
    return parser.parse_known_args(arguments)[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the module until it is stopped or its parent is gone, then exit the process; this never returns."""
    options = _parse_arguments(sys.argv[1:] if arguments is None else arguments)
    code = 1
    share_memory()
    avoid_huge_pages()
    reduce_garbage_collections()
    favour_event_loop()
    prepare_to_start()
    try:
        asyncio.run(_run(options))
    except SystemExit:  # the SDK lost the connection to the parent
        code = 0
    except Exception:  # noqa: BLE001 (printed here; os._exit below would lose it)
        traceback.print_exc()
    finally:
        _exit(code)


def _exit(code: int) -> NoReturn:
    """End the process now, without waiting for threads: a slow disk or a lost parent could block them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _run(options: argparse.Namespace) -> None:
    use_lanes()
    make_plain()
    describe_no_data()
    data_manager.register()
    camera_service.register()
    video_api.register()
    kinds.register()
    level = python_logging.getLevelName(options.log_level.upper())
    module = StorageModule(options.socket, log_level=level, tcp_mode=options.tcp_mode)
    serving: asyncio.Task[None] = asyncio.create_task(module.start())  # type: ignore[no-untyped-call]
    await asyncio.sleep(0)
    # `start` has set its own signal handlers, which wait for connections to close. Replace them.
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watching = asyncio.create_task(_watch_parent(stop))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        for task in (watching, stopping):
            task.cancel()
        # All at once: the SDK closes one after the other, and each may take most of the time.
        resources: list[Any] = list(module.server.resources.values())
        ours = {resource for resource in resources if isinstance(resource, OwnResource)}
        if ours:
            await asyncio.wait([asyncio.ensure_future(resource.close()) for resource in ours], timeout=_CLOSE_S)
    await module.log.close(_LAST_WORDS_S)
    _exit(0)


async def _watch_parent(stop: asyncio.Event) -> None:
    """Stop when the parent process is gone. No signal reports that."""
    parent = os.getppid()
    while NO_MODULE_PARENT or os.getppid() == parent:  # noqa: ASYNC110 (there is no event to wait for)
        await asyncio.sleep(until_beat(_PARENT_CHECK_S))
    LOGGER.warning("The parent process is gone; stopping the module.")
    stop.set()
