"""A client in a process of its own that takes answers without reading what is in them.

`python -m scripts.bench.answer_client SOCKET NAME COUNT COMMAND` sends COUNT times the command, which is JSON, at once,
and prints the bytes of all answers.
"""

import asyncio
import json
import sys
from typing import Any

from grpclib.client import Channel
from grpclib.encoding.proto import ProtoCodec
from viam.proto.common import DoCommandRequest
from viam.proto.component.camera import CameraServiceStub
from viam.utils import dict_to_struct

from scripts.fakes.viam_services import windows


class _Sizes(ProtoCodec):
    """Gives the size of each message instead of the message."""

    def decode(self, data: bytes, message_type: Any) -> Any:
        return len(data)


async def _ask(socket: str, name: str, count: int, command: dict[str, Any]) -> int:
    channel = Channel(path=socket, codec=_Sizes(), config=windows())
    try:
        client = CameraServiceStub(channel)
        request = DoCommandRequest(name=name, command=dict_to_struct(command))
        sizes = await asyncio.gather(*(client.DoCommand(request, timeout=300) for _ in range(count)))
    finally:
        channel.close()
    return sum(map(int, sizes))


if __name__ == "__main__":
    print(asyncio.run(_ask(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]))))
