"""The API of video services, which the SDK lacks: its stubs are there, but no classes for a service and its client."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.client import Channel
from grpclib.server import Stream
from viam.proto.common import DoCommandRequest, DoCommandResponse, GetStatusRequest, GetStatusResponse
from viam.proto.service.video import GetVideoRequest, GetVideoResponse, VideoServiceBase, VideoServiceStub
from viam.resource.registry import Registry, ResourceRegistration
from viam.resource.rpc_client_base import ReconfigurableResourceRPCClientBase
from viam.resource.rpc_service_base import ResourceRPCServiceBase
from viam.resource.types import API, RESOURCE_NAMESPACE_RDK, RESOURCE_TYPE_SERVICE
from viam.services.service_base import ServiceBase
from viam.utils import dict_to_struct, struct_to_dict

from videostore.base.errors import RequestError
from videostore.store.answer_budget import AnswerRoom
from videostore.viam.answer import encode_answer, send_answer, taken
from videostore.viam.camera_service import room_for_answer
from videostore.viam.json_object import read_object
from videostore.viam.refusal import Refusal
from videostore.viam.request_limit import read_json

CHUNK_BYTES = 1 << 16
"""The most video in one message."""
MOST_ID_BYTES = 1024
"""Of a request's id, which every message repeats."""


class Video(ServiceBase):
    """A service that sends video of a range of time."""

    API: Final = API(RESOURCE_NAMESPACE_RDK, RESOURCE_TYPE_SERVICE, "video")  # type: ignore[misc]

    @abc.abstractmethod
    def get_video(
        self,
        *,
        start: Timestamp | None,
        end: Timestamp | None,
        codec: str = "",
        container: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        """Yield the video block by block, each with the container that the blocks are of."""

    async def answer(
        self, command: Mapping[str, Any], room: AnswerRoom | None, *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """The answer to a command, which may hold a clip as `Base64Text`."""
        return await self.do_command(command, timeout=timeout)


class VideoClient(Video, ReconfigurableResourceRPCClientBase):
    """A video service of the machine."""

    def __init__(self, name: str, channel: Channel) -> None:
        self.channel = channel
        self.client: Any = VideoServiceStub(channel)
        super().__init__(name)

    async def get_video(
        self,
        *,
        start: Timestamp | None,
        end: Timestamp | None,
        codec: str = "",
        container: str = "",
        extra: Mapping[str, Any] | None = None,
        request_id: str = "",
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        """Yield the video block by block, each with the container that the blocks are of.

        Raises:
            GRPCError: the service refuses the request, or cannot send the video to its end.
        """
        request = GetVideoRequest(
            name=self.name,
            start_timestamp=start,
            end_timestamp=end,
            video_codec=codec,
            video_container=container,
            request_id=request_id,
            extra=dict_to_struct(extra or {}),
        )
        async with self.client.GetVideo.open() as stream:
            await stream.send_message(request, end=True)
            async for chunk in stream:
                yield chunk.video_data, chunk.video_container

    async def do_command(self, command: Any, *, timeout: float | None = None, **kwargs: Any) -> Any:
        """Send a command to the service."""
        request = DoCommandRequest(name=self.name, command=dict_to_struct(command))
        return struct_to_dict((await self.client.DoCommand(request, timeout=timeout)).result)

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> Any:
        """The status of the service."""
        return struct_to_dict((await self.client.GetStatus(GetStatusRequest(name=self.name), timeout=timeout)).result)


class VideoRPCService(VideoServiceBase, ResourceRPCServiceBase[Video]):
    """Serves video services."""

    RESOURCE_TYPE = Video  # type: ignore[assignment]

    async def GetVideo(self, stream: Stream[GetVideoRequest, GetVideoResponse]) -> None:
        """Send a video in messages of at most `CHUNK_BYTES`. A client that goes away ends the work."""
        request = await stream.recv_message()
        assert request is not None
        size_bytes = len(request.request_id.encode())
        if size_bytes > MOST_ID_BYTES:
            error = RequestError("field-too-long", field="request_id", size_bytes=size_bytes, limit_bytes=MOST_ID_BYTES)
            raise Refusal(error)
        video = self._named(request.name)
        making = video.get_video(
            start=request.start_timestamp if request.HasField("start_timestamp") else None,
            end=request.end_timestamp if request.HasField("end_timestamp") else None,
            codec=request.video_codec,
            container=request.video_container,
            extra=await read_json(read_object, request.extra),
        )
        async with contextlib.aclosing(making) as blocks:
            async for block, container in blocks:
                for part in _parts(block):
                    message = GetVideoResponse(
                        video_data=part, video_container=container, request_id=request.request_id
                    )
                    await taken(stream.send_message(message))

    async def DoCommand(self, stream: Stream[DoCommandRequest, DoCommandResponse]) -> None:
        """Run a command, and send its answer."""
        request = await stream.recv_message()
        assert request is not None
        timeout = stream.deadline.time_remaining() if stream.deadline else None
        command = await read_json(read_object, request.command)
        with room_for_answer() as room:
            answered = await self._named(request.name).answer(command, room, timeout=timeout)
            encoded = await encode_answer(answered)
            del answered
            await send_answer(stream, encoded)

    async def GetStatus(self, stream: Stream[GetStatusRequest, GetStatusResponse]) -> None:
        """Send the status."""
        request = await stream.recv_message()
        assert request is not None
        timeout = stream.deadline.time_remaining() if stream.deadline else None
        status = await self._named(request.name).get_status(timeout=timeout)
        await stream.send_message(GetStatusResponse(result=dict_to_struct(status)))

    def _named(self, name: str) -> Video:
        if not name:
            raise Refusal(RequestError("field-missing", field="name", expected="the name of the video service"))
        return self.get_resource(name)


def _parts(block: bytes) -> list[bytes]:
    return [block[begin : begin + CHUNK_BYTES] for begin in range(0, len(block), CHUNK_BYTES)]


def register() -> None:
    """Register the API with the SDK, unless it is registered."""
    if Video.API not in Registry.REGISTERED_APIS():
        Registry.register_api(ResourceRegistration(Video, VideoRPCService, VideoClient))  # type: ignore[type-abstract]
