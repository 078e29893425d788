"""Requests that are too large, sent to the module over its socket."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from google.protobuf.struct_pb2 import Value
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.server import Server
from viam.proto.common import DoCommandRequest
from viam.proto.component.camera import CameraServiceStub
from viam.resource.manager import ResourceManager
from viam.utils import dict_to_struct

from tests.support.attributes import valid_attributes
from tests.support.machine import NAME, US, Machine, sent_error
from tests.support.recording import Stores
from videostore.config import parse_config
from videostore.viam.camera import StorageCamera
from videostore.viam.camera_service import StorageCameraService
from videostore.viam.request_limit import LIMIT_BYTES, limit_requests, read_json

HUGE_BYTES = 64_000_000

_HOSTILE_CLIENT = """
import asyncio, sys
from grpclib import GRPCError
from grpclib.client import Channel
from viam.proto.app.robot import ComponentConfig
from viam.proto.common import DoCommandRequest
from viam.proto.component.camera import CameraServiceStub
from viam.proto.module import AddResourceRequest, ModuleServiceStub, ValidateConfigRequest

async def ask(socket, name, size):
    channel = Channel(path=socket)
    camera, module = CameraServiceStub(channel), ModuleServiceStub(channel)
    command, config = DoCommandRequest(name=name), ComponentConfig(name="other")
    command.command.fields["a"].string_value = config.attributes.fields["a"].string_value = "x" * int(size)
    for _ in range(2):
        for method, request in (
            (camera.DoCommand, command),
            (module.ValidateConfig, ValidateConfigRequest(config=config)),
            (module.AddResource, AddResourceRequest(config=config)),
        ):
            try:
                await method(request, timeout=60)
            except GRPCError as error:
                print(error.message)
    channel.close()

asyncio.run(ask(*sys.argv[1:]))
"""


@pytest.fixture
async def camera(stores: Stores, recording: Path, tmp_path: Path) -> AsyncIterator[CameraServiceStub]:
    """A client of a recorder over 7 s of recording."""
    storage_camera = StorageCamera(parse_config(NAME, valid_attributes())[0], None)
    storage_camera._store = await stores.over(recording)
    server = Server([StorageCameraService(ResourceManager([storage_camera]))])
    limit_requests(server)
    path = str(tmp_path / "socket")
    await server.start(path=path)
    channel = Channel(path=path)
    yield CameraServiceStub(channel)
    channel.close()
    server.close()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(server.wait_closed(), 150)


def request_of(size_bytes: int) -> DoCommandRequest:
    """A request to tell the state, padded to a size."""
    request = DoCommandRequest(name=NAME, command=dict_to_struct({"command": "get-storage-state", "padding": ""}))
    missing_bytes = size_bytes - request.ByteSize()
    for _ in range(3):  # longer lengths take more bytes
        request.command.fields["padding"].string_value = "x" * missing_bytes
        missing_bytes -= request.ByteSize() - size_bytes
    assert request.ByteSize() == size_bytes
    return request


async def test_a_request_is_accepted_up_to_the_limit_and_refused_beyond_it(camera: CameraServiceStub) -> None:
    for size_bytes in (LIMIT_BYTES, LIMIT_BYTES + 1, HUGE_BYTES, LIMIT_BYTES):
        asked = camera.DoCommand(request_of(size_bytes), timeout=60)
        if size_bytes <= LIMIT_BYTES:
            assert (await asked).result.fields["command"].string_value == "get-storage-state"
            continue
        with pytest.raises(GRPCError) as refused:
            await asked
        assert refused.value.status is Status.INVALID_ARGUMENT
        error = sent_error(refused.value)
        assert (error.code, error.fields) == (
            "request-too-large",
            {"size_bytes": size_bytes, "limit_bytes": LIMIT_BYTES},
        )


async def test_a_long_request_is_read_off_the_loop() -> None:
    sent, loop_thread = dict_to_struct({"tags": ["front"]}), threading.get_ident()
    assert await read_json(lambda _: threading.get_ident(), sent) == loop_thread
    sent.fields["tags"].list_value.values.extend([Value(bool_value=True)] * 10_000)
    assert await read_json(lambda _: threading.get_ident(), sent) != loop_thread


async def test_huge_requests_take_neither_frames_nor_memory_from_the_module(machine: Machine) -> None:
    """The client is another process, because the camera is served by this one."""
    await machine.add()
    await machine.record(1)
    memory = psutil.Process(machine.parent.process.pid).memory_info
    before_bytes, socket = memory().rss, next(machine.parent.directory.glob("module-*.sock"))
    command = [sys.executable, "-c", _HOSTILE_CLIENT, str(socket), NAME, str(HUGE_BYTES)]
    client = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await client.communicate()
    sentence = rf"The request has {HUGE_BYTES // 1_000_000}\d{{6}} bytes\. It can have {LIMIT_BYTES}\."
    assert len(re.findall(sentence, told.decode())) == 6, told
    assert memory().rss - before_bytes < HUGE_BYTES // 2
    await machine.record(1)
    from_us, to_us = machine.camera.delivered[0], machine.camera.delivered[-1] - US // 2
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and "ranges" not in answer, check
    status = await machine.status()
    assert (status["dropped_frames"], status["ffmpeg_restarts"], status["recording"]) == (0, 0, True)
