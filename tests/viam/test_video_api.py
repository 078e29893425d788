"""The video API that the SDK lacks: its client and its service understand each other, over a real socket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.server import Server
from viam.resource.manager import ResourceManager
from viam.resource.registry import Registry

from scripts.fakes.viam_services import windows
from videostore.viam import video_api
from videostore.viam.video_api import CHUNK_BYTES, Video, VideoClient, VideoRPCService

NAME = "video"


class Echo(Video):
    """Sends what it was asked for, then as many bytes as `extra` says."""

    async def get_video(
        self,
        *,
        start: Timestamp | None,
        end: Timestamp | None,
        codec: str = "",
        container: str = "",
        extra: Mapping[str, Any] | None = None,
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
