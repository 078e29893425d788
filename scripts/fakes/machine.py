"""A stand-in for a whole machine on loopback TCP, which `RobotClient.at_address` can connect to.

It lists cameras, forwards the commands of a module's cameras to the module, and can require an API key.
"""

import asyncio
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from grpclib import GRPCError, Status
from grpclib.const import Handler
from grpclib.events import RecvRequest, listen
from grpclib.server import Stream
from typing_extensions import Self
from viam.components.camera import Camera
from viam.components.camera.client import CameraClient
from viam.components.camera.service import CameraRPCService
from viam.proto.rpc.auth import AuthenticateRequest, AuthenticateResponse, UnimplementedAuthServiceBase
from viam.resource.manager import ResourceManager

from scripts.fakes.viam_server import CAMERA_API, VIDEO_API
from scripts.fakes.viam_services import HangingUpServer, RobotService, windows
from videostore.base.errors import TooLargeError
from videostore.base.timestamps import parse_timestamp
from videostore.clips.limits import check_response_size
from videostore.viam.plain_sdk import _with_plain_errors
from videostore.viam.refusal import Refusal
from videostore.viam.video_api import Video, VideoRPCService

HOST = "127.0.0.1"
_AUTHENTICATE = "/proto.rpc.v1.AuthService/Authenticate"


class ForwardedCamera(Camera):
    """A camera that forwards commands to another one, as viam-server forwards them to a module.

    A clip that is larger than `limit_bytes` is refused with the module's own error. Errors keep their details, as
    viam-server passes them on; without `passes_details` they lose them, as the SDK's library for WebRTC does. The next
    fetches return the items of `answers` instead, or raise them. While `hung` is set, a command sets this event and is
    never answered.
    """

    def __init__(self, camera: CameraClient) -> None:
        super().__init__(camera.name)
        self.limit_bytes: int | None = None
        self.passes_details = True
        self.answers: list[Mapping[str, Any] | Exception] = []
        self.hung: asyncio.Event | None = None
        self._camera = camera

    async def do_command(
        self, command: Mapping[str, Any], *, timeout: float | None = None, **kwargs: Any
    ) -> Mapping[str, Any]:
        try:
            return await self._forward(command, timeout)
        except GRPCError as error:
            if self.passes_details:
                raise
            raise GRPCError(error.status, error.message) from error

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> Mapping[str, Any]:
        return await self._camera.get_status(timeout=timeout)

    async def _forward(self, command: Mapping[str, Any], timeout: float | None) -> Mapping[str, Any]:
        if self.hung is not None:
            self.hung.set()
            await asyncio.Event().wait()
        if command["command"] == "fetch" and self.answers:
            instead = self.answers.pop(0)
            if isinstance(instead, Exception):
                raise instead
            return instead
        answer = await self._camera.do_command(command, timeout=timeout)
        if "video" in answer and self.limit_bytes is not None:
            self._refuse_large(command, len(str(answer["video"])) * 3 // 4, self.limit_bytes)
        return answer

    def _refuse_large(self, command: Mapping[str, Any], size_bytes: int, limit_bytes: int) -> None:
        length_us = parse_timestamp(command["to"], "to") - parse_timestamp(command["from"], "from")
        try:
            check_response_size(size_bytes, length_us, limit_bytes)
        except TooLargeError as error:
            raise Refusal(error).grpc_error from error

    async def get_images(self, **kwargs: Any) -> Any:
        raise GRPCError(Status.UNIMPLEMENTED, "only commands are forwarded")

    async def get_point_cloud(self, **kwargs: Any) -> Any:
        raise GRPCError(Status.UNIMPLEMENTED, "only commands are forwarded")

    async def get_properties(self, **kwargs: Any) -> Any:
        raise GRPCError(Status.UNIMPLEMENTED, "only commands are forwarded")


class MachineServer:
    """Serves cameras at `address` while its context is open. With `api_key` and `api_key_id` it requires them.

    `videos` are video services of the module, which are served as well.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        *,
        videos: Sequence[Video] = (),
        api_key: str | None = None,
        api_key_id: str | None = None,
    ) -> None:
        self._cameras = cameras
        self._videos = videos
        self._auth = _AuthService(api_key, api_key_id) if api_key else None
        self._server: HangingUpServer | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        names = [f"{CAMERA_API}/{camera.name}" for camera in self._cameras]
        names += [f"{VIDEO_API}/{video.name}" for video in self._videos]
        robot = RobotService(lambda: names, lambda lines: None)
        services: list[Any] = [robot, CameraRPCService(ResourceManager(list(self._cameras)))]
        if self._videos:
            services.append(VideoRPCService(ResourceManager(list(self._videos))))
            services = [_LikeModule(service) for service in services]
        if self._auth is not None:
            services.append(self._auth)
        self._server = HangingUpServer(services, config=windows())
        if self._auth is not None:
            listen(self._server, RecvRequest, self._auth.check)
        listening = socket.create_server((HOST, 0))
        self.port = listening.getsockname()[1]
        await self._server.start(sock=listening)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._server.disconnect()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 5)

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return self._server.connections if self._server else 0

    def hang_up(self) -> None:
        """Close all connections. New ones are accepted."""
        assert self._server is not None
        self._server.disconnect()


class _LikeModule:
    """A service that answers errors of the module as its own server does."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def __mapping__(self) -> dict[str, Handler]:
        methods = self._service.__mapping__()
        return {path: one._replace(func=_with_plain_errors(one.func)) for path, one in methods.items()}


class _AuthService(UnimplementedAuthServiceBase):
    """Issues tokens for one key."""

    def __init__(self, api_key: str | None, api_key_id: str | None) -> None:
        self._expected = (api_key_id, "api-key", api_key)
        self._token = secrets.token_hex()

    async def Authenticate(self, stream: Stream[AuthenticateRequest, AuthenticateResponse]) -> None:
        request = await stream.recv_message()
        assert request is not None
        if (request.entity, request.credentials.type, request.credentials.payload) != self._expected:
            raise GRPCError(Status.UNAUTHENTICATED, "invalid credentials")
        await stream.send_message(AuthenticateResponse(access_token=self._token))

    async def check(self, event: RecvRequest) -> None:
        """Refuse a call without a token."""
        if event.method_name != _AUTHENTICATE and event.metadata.get("authorization") != f"Bearer {self._token}":
            raise GRPCError(Status.UNAUTHENTICATED, "authentication required")
