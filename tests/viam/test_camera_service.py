"""The module's camera service over a real socket: what clients get, and what their answers cost the others."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpclib import GRPCError
from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.const import Cardinality
from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Server
from viam.components.camera.client import CameraClient
from viam.proto.common import DoCommandRequest, DoCommandResponse
from viam.resource.manager import ResourceManager
from viam.utils import dict_to_struct

from scripts.fakes.painted_camera import read_clip
from scripts.fakes.viam_services import windows
from tests.support.attributes import valid_attributes
from tests.support.recording import START_US, US, Stores
from videostore.base.time_format import format_utc_exact
from videostore.config import parse_config
from videostore.store.answer_budget import AnswerBudget
from videostore.viam import answer, camera_service
from videostore.viam.camera import StorageCamera
from videostore.viam.camera_service import StorageCameraService

NAME = "store"
FETCH = {"command": "fetch", "from": format_utc_exact(START_US), "to": format_utc_exact(START_US + 6 * US)}
METHOD = "/viam.component.camera.v1.CameraService/DoCommand"


class CountingBudget(AnswerBudget):
    """Remembers the most that was taken at once."""

    most_bytes = 0

    async def _take(self, size_bytes: int) -> None:
        await super()._take(size_bytes)
        self.most_bytes = max(self.most_bytes, self.taken_bytes)


@pytest.fixture
async def socket(stores: Stores, recording: Path, tmp_path: Path) -> AsyncIterator[str]:
    """A socket on which a recorder over 7 s of recording is served."""
    storage_camera = StorageCamera(parse_config(NAME, valid_attributes())[0], None)
    storage_camera._store = await stores.over(recording)
    server = Server([StorageCameraService(ResourceManager([storage_camera]))], config=windows())
    path = str(tmp_path / "socket")
    await server.start(path=path)
    yield path
    server.close()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(server.wait_closed(), 150)


@contextlib.asynccontextmanager
async def client(socket: str) -> AsyncIterator[CameraClient]:
    channel = Channel(path=socket, config=windows())
    try:
        yield CameraClient(NAME, channel)
    finally:
        channel.close()


async def test_clips_that_do_not_fit_into_the_budget_together_come_one_after_the_other(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = CountingBudget(30 << 20)  # one answer, of which it is not known yet how large it is
    monkeypatch.setattr(camera_service, "ANSWERS", budget)
    async with client(socket) as camera:
        answers = await asyncio.gather(*(camera.do_command(FETCH, timeout=60) for _ in range(6)))
    clips = [base64.b64decode(str(one["video"])) for one in answers]
    assert all(len(read_clip(clip)) == len(read_clip(clips[0])) > 0 for clip in clips)
    assert 0 < budget.most_bytes <= 30 << 20 and budget.taken_bytes == 0


async def test_refused_and_cancelled_requests_give_their_room_back(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = AnswerBudget(30 << 20)
    monkeypatch.setattr(camera_service, "ANSWERS", budget)
    async with client(socket) as camera:
        with pytest.raises(GRPCError):
            await camera.do_command({**FETCH, "from": "2001-01-01_00-00-00Z", "to": "2001-01-01_00-00-01Z"})
        for _ in range(4):
            request = asyncio.create_task(camera.do_command(FETCH, timeout=60))
            await asyncio.sleep(0)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        assert (await camera.do_command(FETCH, timeout=60))["command"] == "fetch"
    assert budget.taken_bytes == 0


async def test_a_client_that_does_not_take_its_answer_does_not_keep_others_from_theirs(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = AnswerBudget(1)  # one at a time
    monkeypatch.setattr(camera_service, "ANSWERS", budget)
    monkeypatch.setattr(answer, "STALL_S", 0.3)
    smallest = (1 << 16) - 1  # a window, which only reading opens again
    channel = Channel(
        path=socket,
        config=Configuration(http2_connection_window_size=smallest, http2_stream_window_size=smallest),
    )
    try:
        stream = channel.request(METHOD, Cardinality.UNARY_UNARY, DoCommandRequest, DoCommandResponse)
        async with client(socket) as camera:
            with pytest.raises((GRPCError, StreamTerminatedError, AssertionError)):
                async with stream:
                    await stream.send_message(DoCommandRequest(name=NAME, command=dict_to_struct(FETCH)), end=True)
                    await stream.recv_initial_metadata()  # the answer begins
                    assert (await camera.do_command(FETCH, timeout=60))["command"] == "fetch"
                    await stream.recv_message()  # the rest never comes
    finally:
        channel.close()
    assert budget.taken_bytes == 0


async def test_the_state_arrives_as_the_sdk_would_have_sent_it(socket: str) -> None:
    async with client(socket) as camera:
        state = await camera.do_command({"command": "get-storage-state"}, timeout=60)
    assert state["command"] == "get-storage-state"
    assert isinstance(state["stored_video"], list) and len(state["stored_video"]) == 1
    assert isinstance(state["disk_usage"], dict) and state["disk_usage"]["storage_used_gb"] > 0
