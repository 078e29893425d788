"""What the SDK says in our module: in a real process under a stand-in of viam-server, and in a real server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from grpclib import GRPCError, Status
from grpclib.client import Channel
from h2.exceptions import StreamClosedError
from viam.components.camera.client import CameraClient
from viam.rpc.server import Server

from scripts.fakes.painted_camera import PaintedCamera
from tests.support.machine import NAME, Machine, assert_plain
from tests.support.recording import until
from videostore.viam.plain_sdk import make_plain


async def test_the_start_prints_nothing_that_viam_server_would_show_as_noise(machine: Machine) -> None:
    await machine.add()
    await machine.until(lambda: machine.camera.delivered)
    assert machine.parent.module_output == []


async def test_a_component_that_exists_already_is_refused_in_plain_words(machine: Machine) -> None:
    await machine.add()
    with pytest.raises(GRPCError) as refused:
        await machine.add()
    assert refused.value.status is Status.ALREADY_EXISTS
    assert_plain(refused.value, NAME, "duplicate")


class Broken(PaintedCamera):
    """Fails with what it is told to."""

    failure: Exception = ValueError("the shutter is stuck")

    async def do_command(self, command: Mapping[str, Any], **kwargs: Any) -> Mapping[str, Any]:
        raise self.failure


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[CameraClient]:
    undo = make_plain()
    Broken.failure = ValueError("the shutter is stuck")
    server = Server([Broken("broken", width=64, height=64)])
    serving = asyncio.create_task(server.serve(path=str(tmp_path / "s")))
    await until((tmp_path / "s").exists)
    channel = Channel(path=str(tmp_path / "s"))
    try:
        yield CameraClient("broken", channel)
    finally:
        channel.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        undo()


async def test_an_unexpected_error_is_answered_without_its_place_in_the_code_which_the_log_has(
    client: CameraClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(GRPCError) as failed:
        await client.do_command({})
    assert failed.value.message == "The request failed: the shutter is stuck."
    assert failed.value.status is Status.INTERNAL
    assert "test_plain_sdk.py" in caplog.text and "do_command" in caplog.text


async def test_what_a_component_does_not_support_is_said_so(client: CameraClient) -> None:
    Broken.failure = NotImplementedError()
    with pytest.raises(GRPCError) as failed:
        await client.do_command({})
    assert (failed.value.status, failed.value.message) == (
        Status.UNIMPLEMENTED,
        "This component does not support that.",
    )


async def test_an_error_with_a_status_passes_unchanged(client: CameraClient) -> None:
    Broken.failure = GRPCError(Status.DATA_LOSS, "gone")
    with pytest.raises(GRPCError) as failed:
        await client.do_command({})
    assert (failed.value.status, failed.value.message) == (Status.DATA_LOSS, "gone")


async def test_a_client_that_leaves_while_it_is_answered_is_no_fault(
    client: CameraClient, caplog: pytest.LogCaptureFixture
) -> None:
    Broken.failure = StreamClosedError(49)
    asked = asyncio.create_task(client.do_command({}))
    await asyncio.wait([asked], timeout=0.3)  # a real one is answered no more
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    Broken.failure = GRPCError(Status.DATA_LOSS, "gone")
    with pytest.raises(GRPCError):
        await client.do_command({})
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
