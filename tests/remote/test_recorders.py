"""Which camera of a machine is its recorder."""

from __future__ import annotations

import asyncio

import pytest
from viam.components.component_base import ComponentBase

from scripts.fakes.machine import MachineServer
from tests.support.fake_recorder import FakeRecorder
from videostore.base.errors import MachineError, RequestError
from videostore.remote.client import Machine


class Camera(FakeRecorder):
    """A camera that knows no commands."""

    do_command = ComponentBase.do_command


async def component_of(server: MachineServer, component: str | None = None) -> str:
    async with Machine.connect(server.address, component=component) as machine:
        return machine.component


async def test_the_only_recorder_among_cameras_is_found() -> None:
    async with MachineServer([Camera("front"), FakeRecorder("store")]) as server:
        assert await component_of(server) == "store"
        assert await component_of(server, "front") == "front"


async def test_one_of_several_recorders_must_be_named() -> None:
    async with MachineServer([FakeRecorder("door"), FakeRecorder("yard")]) as server:
        with pytest.raises(RequestError) as refused:
            await component_of(server)
        assert refused.value.code == "several-recorders" and sorted(refused.value.fields["found"]) == ["door", "yard"]
        assert await asyncio.gather(*(component_of(server, name) for name in ("door", "yard"))) == ["door", "yard"]


async def test_a_machine_without_a_recorder_is_refused() -> None:
    async with MachineServer([Camera("front")]) as server:
        with pytest.raises(MachineError) as refused:
            await component_of(server)
        assert refused.value.code == "no-recorder"
