"""The camera's gRPC service: the SDK's, but answers to commands are sent in pieces, and never hold too much memory."""

from __future__ import annotations

from typing import Any

from grpclib.server import Stream
from viam.components.camera import Camera
from viam.components.camera.service import CameraRPCService
from viam.proto.common import DoCommandRequest, DoCommandResponse
from viam.resource.registry import Registry

from videostore.store.answer_budget import AnswerBudget, AnswerRoom
from videostore.viam.answer import encode_answer, send_answer
from videostore.viam.json_object import read_object
from videostore.viam.own_resource import OwnResource
from videostore.viam.request_limit import read_json

ANSWERS = AnswerBudget()
"""One for all recorders of the process."""


def room_for_answer() -> AnswerRoom:
    """Room for an answer in the budget that all recorders of the process share."""
    return ANSWERS.room()


class StorageCameraService(CameraRPCService):
    """Serves `StorageCamera`s."""

    async def DoCommand(self, stream: Stream[DoCommandRequest, DoCommandResponse]) -> None:
        """Run a command, and send its answer."""
        request = await stream.recv_message()
        assert request is not None
        camera: Any = self.get_resource(request.name)
        timeout = stream.deadline.time_remaining() if stream.deadline else None
        command = await read_json(read_object, request.command)
        with room_for_answer() as room:
            if isinstance(camera, OwnResource):
                answer = await camera.answer(command, room, timeout=timeout)
            else:
                answer = await camera.do_command(command, timeout=timeout, metadata=stream.metadata)
            encoded = await encode_answer(answer)
            del answer
            await send_answer(stream, encoded)


def register() -> None:
    """Let the SDK serve cameras by this service. Before its server is made."""
    Registry.lookup_api(Camera.API).rpc_service = StorageCameraService
