"""The video API that the SDK lacks: its client and its service understand each other, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.server import Server
from viam.proto.service.video import GetVideoRequest
from viam.resource.manager import ResourceManager
from viam.resource.registry import Registry
from viam.utils import dict_to_struct

from scripts.fakes.viam_services import windows
from tests.support.recording import until
from videostore.base.tasks import end_task
from videostore.viam import answer, video_api
from videostore.viam.answer import STALL_S
from videostore.viam.video_api import CHUNK_BYTES, Video, VideoClient, VideoRPCService

NAME = "video"


class Echo(Video):
    """Sends what it was asked for, then as many bytes as `extra` says."""

    ended = 0

    async def get_video(
        self,
        *,
        start: Timestamp | None,
        end: Timestamp | None,
        codec: str = "",
        container: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        type(self).ended = 0
        try:
            async for block in self._blocks(start, end, codec, container, extra):
                yield block
        finally:
            type(self).ended += 1

    async def _blocks(
        self, start: Any, end: Any, codec: str, container: str, extra: Any
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        yield f"{start and start.seconds} {end and end.seconds} {codec}".encode(), container
        yield bytes(int((extra or {}).get("bytes", 0))), container
        if "error" in (extra or {}):
            raise GRPCError(Status.DATA_LOSS, "It broke off.")

    async def do_command(self, command: Any, *, timeout: float | None = None, **kwargs: Any) -> Any:
        return {"got": command}

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> Any:
        return {"well": True}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[VideoClient]:
    video_api.register()
    server = Server([VideoRPCService(ResourceManager([Echo(NAME)]))], config=windows())
    await server.start(path=str(tmp_path / "socket"))
    channel = Channel(path=str(tmp_path / "socket"), config=windows())
    yield VideoClient(NAME, channel)
    channel.close()
    server.close()
    await server.wait_closed()


async def received(client: VideoClient, **fields: Any) -> list[tuple[bytes, str]]:
    asked = {"start": Timestamp(seconds=5), "end": None, **fields}
    async with contextlib.aclosing(client.get_video(**asked)) as blocks:
        return [block async for block in blocks]


async def test_a_request_arrives_as_it_was_sent(client: VideoClient) -> None:
    (first,) = await received(client, codec="h264", container="fmp4")
    assert first == (b"5 None h264", "fmp4")
    (first,) = await received(client, start=None, end=Timestamp(seconds=9))
    assert first == (b"None 9 ", "")


async def test_what_is_large_comes_in_small_messages(client: VideoClient) -> None:
    count = 3 * CHUNK_BYTES + 7
    blocks = await received(client, extra={"bytes": count})
    assert [len(block) for block, _ in blocks[1:]] == [CHUNK_BYTES] * 3 + [7]


async def test_videos_that_are_not_read_stop_no_other_request_on_viam_servers_connection(
    client: VideoClient, tmp_path: Path
) -> None:
    # grpc-go takes whatever comes on a connection, and holds back each stream that is not read.
    as_grpc_go = Configuration(http2_connection_window_size=2**31 - 1, http2_stream_window_size=2**16 - 1)
    channel = Channel(path=str(tmp_path / "socket"), config=as_grpc_go)
    async with contextlib.AsyncExitStack() as asking:
        asking.callback(channel.close)
        sender = VideoClient(NAME, channel)

        async def ask() -> None:
            for _ in range(8):
                stream = await asking.enter_async_context(sender.client.GetVideo.open())
                asking.push_async_callback(stream.cancel)
                request = GetVideoRequest(name=NAME, extra=dict_to_struct({"bytes": 1 << 24}))
                await stream.send_message(request, end=True)
                await stream.recv_message()
            for _ in range(20):  # the first may come before the streams are held back
                assert await sender.do_command({"a": 1.0}) == {"got": {"a": 1.0}}
                await asyncio.sleep(0.1)

        asked = asyncio.create_task(ask())
        asking.push_async_callback(end_task, asked)
        await asyncio.wait([asked], timeout=STALL_S / 2)
        assert asked.done()
        await asked


async def test_if_a_client_takes_nothing_what_makes_its_video_ends(
    client: VideoClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "STALL_S", 0.3)
    smallest = Configuration(http2_connection_window_size=2**16 - 1, http2_stream_window_size=2**16 - 1)
    channel = Channel(path=str(tmp_path / "socket"), config=smallest)
    try:
        with pytest.raises((GRPCError, AssertionError)):  # the SDK's client does not expect half a message
            async with VideoClient(NAME, channel).client.GetVideo.open(timeout=60) as stream:
                request = GetVideoRequest(name=NAME, extra=dict_to_struct({"bytes": 1 << 20}))
                await stream.send_message(request, end=True)
                await stream.recv_initial_metadata()
                await until(lambda: Echo.ended)
                async for _ in stream:
                    pass
    finally:
        channel.close()


async def test_an_error_after_the_beginning_reaches_the_client(client: VideoClient) -> None:
    with pytest.raises(GRPCError) as error:
        await received(client, extra={"error": True})
    assert error.value.status is Status.DATA_LOSS


async def test_commands_and_the_status_pass(client: VideoClient) -> None:
    assert await client.do_command({"a": [1.0, "two"]}) == {"got": {"a": [1.0, "two"]}}
    assert await client.get_status() == {"well": True}


async def test_it_is_registered_once(client: VideoClient) -> None:
    video_api.register()
    assert Registry.lookup_api(Video.API).resource_type is Video
    assert str(Video.API) == "rdk:service:video"
