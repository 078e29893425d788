"""Stand-ins for the robot service and the data manager of a machine, and the gRPC transport that serves them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from grpclib import GRPCError, Status
from grpclib.config import Configuration
from grpclib.events import RecvMessage
from grpclib.protocol import H2Protocol
from grpclib.server import Server, Stream
from viam.proto.common import (
    DoCommandRequest,
    DoCommandResponse,
    GetStatusRequest,
    GetStatusResponse,
    ResourceName,
)
from viam.proto.robot import (
    LogRequest,
    LogResponse,
    ResourceNamesRequest,
    ResourceNamesResponse,
    UnimplementedRobotServiceBase,
)
from viam.proto.service.datamanager import SyncRequest, SyncResponse, UnimplementedDataManagerServiceBase
from viam.resource.types import resource_name_from_string

# viam-server's limit for a message (1<<25). grpclib has no limit.
MAX_MESSAGE_BYTES = 1 << 25
# Go's client grows its window up to this. grpclib's window stays as it was set.
WINDOW_BYTES = 16 << 20


@dataclass(frozen=True)
class LogLine:
    """A line of the module's log, as received over gRPC. `message` begins with file and line, as the SDK sends it."""

    level: str
    logger: str
    message: str


class HangingUpServer(Server):
    """A gRPC server that can close the connections of its clients. grpclib's server leaves them open."""

    def __init__(self, handlers: Sequence[Any], *, config: Configuration) -> None:
        super().__init__(handlers, config=config)
        self._protocols: list[H2Protocol] = []

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        self._protocols.append(protocol)
        return protocol

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return sum(protocol.connection.is_closing() is False for protocol in self._protocols)

    def disconnect(self) -> None:
        """Close every connection."""
        for protocol in self._protocols:
            protocol.connection.close()


class RobotService(UnimplementedRobotServiceBase):
    """The part of a machine that modules use: the full names of its resources, and its log."""

    def __init__(self, names: Callable[[], Sequence[str]], take_log: Callable[[Sequence[LogLine]], None]) -> None:
        self._names = names
        self._take_log = take_log

    async def ResourceNames(self, stream: Stream[ResourceNamesRequest, ResourceNamesResponse]) -> None:
        await stream.recv_message()
        resources: list[ResourceName] = [resource_name_from_string(name) for name in self._names()]
        await stream.send_message(ResourceNamesResponse(resources=resources))

    async def Log(self, stream: Stream[LogRequest, LogResponse]) -> None:
        request = await stream.recv_message()
        assert request is not None
        if len(request.logs) != 1:
            raise GRPCError(Status.UNKNOWN, "LogRequest received with multiple logs; batching not yet supported")
        self._take_log([LogLine(entry.level, entry.logger_name, entry.message) for entry in request.logs])
        await stream.send_message(LogResponse())


class DataManagerService(UnimplementedDataManagerServiceBase):
    """A data manager that uploads and deletes nothing, and reports each request to sync.

    It is not in the SDK's registry: the module registers that API, and a second registration in the process of a unit
    test would fail.
    """

    def __init__(self, synced: Callable[[], None]) -> None:
        self._synced = synced

    async def Sync(self, stream: Stream[SyncRequest, SyncResponse]) -> None:
        await stream.recv_message()
        self._synced()
        await stream.send_message(SyncResponse())

    async def DoCommand(self, stream: Stream[DoCommandRequest, DoCommandResponse]) -> None:
        await stream.recv_message()
        await stream.send_message(DoCommandResponse())

    async def GetStatus(self, stream: Stream[GetStatusRequest, GetStatusResponse]) -> None:
        await stream.recv_message()
        await stream.send_message(GetStatusResponse())


def windows() -> Configuration:
    """The HTTP/2 windows of connections and streams."""
    return Configuration(http2_connection_window_size=WINDOW_BYTES, http2_stream_window_size=WINDOW_BYTES)


async def refuse_large_message(event: RecvMessage) -> None:
    """Refuse a message over the limit, as viam-server does. Raises GRPCError."""
    size = event.message.ByteSize()
    if size > MAX_MESSAGE_BYTES:
        sentence = f"grpc: received message larger than max ({size} vs. {MAX_MESSAGE_BYTES})"
        raise GRPCError(Status.RESOURCE_EXHAUSTED, sentence)
