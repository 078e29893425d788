"""Requests that are too large or cannot be decoded, sent to the module over its socket."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf.struct_pb2 import Value
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.const import Cardinality
from grpclib.encoding.proto import ProtoCodec, ProtoStatusDetailsCodec
from grpclib.server import Server
from viam.proto.common import DoCommandRequest, DoCommandResponse
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
from viam.proto.common import DoCommandRequest, DoCommandResponse
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
        assert refused.value.status is Status.RESOURCE_EXHAUSTED
        error = sent_error(refused.value)
        assert (error.code, error.fields) == (
            "request-too-large",
            {"size_bytes": size_bytes, "limit_bytes": LIMIT_BYTES},
        )


NESTED = "deep"
UNREADABLE = {"cut off": b"\x0a\x7f", "no text": b"\x0a\x02\xff\xfe", "no request": b"\xff" * 100, NESTED: b""}


def nested(depth: int) -> bytes:
    """A command as protobuf encodes it, of structs in structs: deeper than its own classes can make it."""

    def sized(tag: bytes, content: bytes) -> bytes:
        size, written = len(content), b""
        while size >= 0x80:
            written, size = written + bytes([size & 0x7F | 0x80]), size >> 7
        return tag + written + bytes([size]) + content

    value = b"\x20\x01"
    for _ in range(depth):
        value = sized(b"\x2a", sized(b"\x0a", b"\x0a\x01a" + sized(b"\x12", value)))
    command = sized(b"\x0a", b"\x0a\x01a" + sized(b"\x12", value))
    return bytes(DoCommandRequest(name=NAME).SerializeToString()) + sized(b"\x12", command)


class _Bytes(ProtoCodec):
    """Sends a message that is bytes already."""

    def encode(self, message: Any, message_type: Any) -> bytes:
        return bytes(message)


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_a_request_that_cannot_be_decoded_is_refused_in_a_sentence(
    camera: CameraServiceStub, tmp_path: Path, kind: str
) -> None:
    content = nested(1000) if kind == NESTED else UNREADABLE[kind]
    channel = Channel(path=str(tmp_path / "socket"), codec=_Bytes(), status_details_codec=ProtoStatusDetailsCodec())
    method = "/viam.component.camera.v1.CameraService/DoCommand"
    try:
        with pytest.raises(GRPCError) as refused:
            async with channel.request(method, Cardinality.UNARY_UNARY, bytes, DoCommandResponse) as stream:
                await stream.send_message(content, end=True)
                await stream.recv_message()
    finally:
        channel.close()
    assert refused.value.status is Status.INVALID_ARGUMENT
    assert sent_error(refused.value).code == "request-unreadable"


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
