"""What a machine serves to its modules besides cameras: stand-ins for the robot service and the data manager, and the
transport that they are served over.
"""

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

# viam-server's own limit for a message (1<<25); grpclib has none.
MAX_MESSAGE_BYTES = 1 << 25
# Go's client widens its window up to this by itself; grpclib's stays what it was set to.
WINDOW_BYTES = 16 << 20


@dataclass(frozen=True)
class LogLine:
    """A line of the module's log, as it came over gRPC; `message` begins with file and line, as the SDK sends it."""

    level: str
    logger: str
    message: str


class HangingUpServer(Server):
    """A gRPC server that can hang up on its clients; grpclib's own leaves their connections open."""

    def __init__(self, handlers: Sequence[Any], *, config: Configuration) -> None:
        super().__init__(handlers, config=config)
        self._protocols: list[H2Protocol] = []

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        self._protocols.append(protocol)
        return protocol

    @property
    def connections(self) -> int:
        """How many are open."""
        return sum(protocol.connection.is_closing() is False for protocol in self._protocols)

    def disconnect(self) -> None:
        """Close every connection that was ever made; a closed one stays so."""
        for protocol in self._protocols:
            protocol.connection.close()


class RobotService(UnimplementedRobotServiceBase):
    """The machine itself, as far as a module asks for it: the full names of its resources, and the log."""

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
        self._take_log([LogLine(entry.level, entry.logger_name, entry.message) for entry in request.logs])
        await stream.send_message(LogResponse())


class DataManagerService(UnimplementedDataManagerServiceBase):
    """A data manager that uploads and deletes nothing, and tells when it was asked to sync.

    Not a resource of the SDK's registry on purpose: the module registers that API, and a second registration in the
    process of a unit test would fail.
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
    """How much may be under way on a connection and on a stream."""
    return Configuration(http2_connection_window_size=WINDOW_BYTES, http2_stream_window_size=WINDOW_BYTES)


async def refuse_large_message(event: RecvMessage) -> None:
    """Do as viam-server does with a message over its limit. Raises GRPCError."""
    size = event.message.ByteSize()
    if size > MAX_MESSAGE_BYTES:
        sentence = f"grpc: received message larger than max ({size} vs. {MAX_MESSAGE_BYTES})"
        raise GRPCError(Status.RESOURCE_EXHAUSTED, sentence)
