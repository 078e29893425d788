"""The client of the data manager, and its registration."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpclib.client import Channel
from grpclib.server import Server
from viam.resource.registry import Registry

from scripts.fakes.viam_services import DataManagerService
from videostore.viam.data_manager import DataManager, DataManagerClient, register


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[Channel]:
    """A connection to a data manager."""
    server = Server([DataManagerService(lambda: None)])
    listening = socket.create_server(("127.0.0.1", 0))
    await server.start(sock=listening)
    channel = Channel(*listening.getsockname())
    yield channel
    channel.close()
    server.close()
    await server.wait_closed()


def test_the_api_is_registered_once_however_often_it_is_asked_for() -> None:
    register()
    register()
    assert Registry.lookup_api(DataManager.API).resource_type is DataManager
    assert str(DataManager.API) == "rdk:service:data_manager"


async def test_the_client_reaches_the_data_manager(channel: Channel) -> None:
    client = DataManagerClient("data-manager", channel)
    assert client.name == "data-manager"
    assert await client.do_command({"sync": True}) == {}
    assert await client.get_status() == {}
