"""Which of the recorders of a machine is asked, and what `state` tells of all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from grpclib import GRPCError, Status

from scripts.fakes.machine import ForwardedCamera, MachineServer
from tests.support.connections import assert_sentence, until_closed
from tests.support.machine import NAME
from tests.support.machine import Machine as Recording
from videostore.base.errors import MachineError, RequestError, VideoStoreError
from videostore.cli.machine_options import Remote
from videostore.cli.state import state_of_machine
from videostore.remote.client import Machine

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_recorder_must_be_named_if_there_are_several(recorded: Recording) -> None:
    client = recorded.parent.camera(NAME)
    second = ForwardedCamera(client)
    second.name = "second"
    async with MachineServer([ForwardedCamera(client), second]) as server:
        with pytest.raises(RequestError) as refused:
            async with Machine.connect(server.address):
                pass
        assert_sentence(refused, "several", f"{NAME}, second")
        async with Machine.connect(server.address, component="second") as machine:
            assert (await machine.state()).ranges
        await until_closed(server)


class Dead(ForwardedCamera):
    """A recorder whose camera is gone."""

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> dict[str, Any]:
        return {"recording": False, "reason": "it refuses the connection"}


async def test_state_tells_of_each_recorder_whether_it_records_or_why_not(
    recorded: Recording, server: MachineServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def shown(address: str) -> str:
        remote, plain = Remote(address, None, None, None), {"since_us": None, "utc": True}
        assert await state_of_machine(remote, everything=False, as_json=False, **plain) == 0  # type: ignore[arg-type]
        return " ".join(capsys.readouterr().out.split())

    assert "Recording yes, the newest frame is" in await shown(server.address)
    client = recorded.parent.camera(NAME)
    dead = Dead(client)
    dead.name = "yard"
    async with MachineServer([ForwardedCamera(client), dead]) as both:
        told = await shown(both.address)
        assert re.search(rf"{NAME} yes, the newest frame .* yard no, the newest frame .*: it refuses the conn", told)
        await until_closed(both)


class Leaving(ForwardedCamera):
    """A recorder that answers once, when it is looked for."""

    async def do_command(self, command: Mapping[str, Any], **kwargs: Any) -> Mapping[str, Any]:
        if command.get("exact"):
            raise GRPCError(Status.UNIMPLEMENTED, "it is gone")
        return await super().do_command(command, **kwargs)


async def test_state_as_json_has_all_of_several_recorders_and_why_one_does_not_answer(
    recorded: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    client = recorded.parent.camera(NAME)
    second, leaving = Dead(client), Leaving(client)
    second.name, leaving.name = "yard", "attic"
    async with MachineServer([ForwardedCamera(client), second, leaving]) as server:
        remote = Remote(server.address, None, None, None)
        assert await state_of_machine(remote, since_us=None, everything=False, utc=True, as_json=True) == 1
        await until_closed(server)
    told = json.loads(capsys.readouterr().out)["recorders"]
    assert sorted(told) == sorted(["attic", NAME, "yard"])
    assert (told[NAME]["recording"], told["yard"]["recording"]) == (True, False)
    assert told["yard"]["reason"] == "it refuses the connection" and told["yard"]["oldest"] == told[NAME]["oldest"]
    assert told["attic"]["error"]["code"] and "attic" in told["attic"]["error"]["message"]


async def test_a_machine_without_a_recorder_says_which_cameras_it_has(recorded: Recording) -> None:
    async with MachineServer([recorded.camera]) as server:
        for component in (None, "front"):
            with pytest.raises(VideoStoreError) as refused:
                async with Machine.connect(server.address, component=component):
                    pass
            assert_sentence(refused, "recorder", "its cameras are cam")
        async with Machine.connect(server.address, component="cam") as machine:
            with pytest.raises(MachineError) as refused:
                await machine.state()
            assert_sentence(refused)
    async with MachineServer([]) as server:
        with pytest.raises(MachineError) as refused:
            async with Machine.connect(server.address):
                pass
        assert_sentence(refused, "no camera")
