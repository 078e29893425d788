"""The module's log goes to viam-server over the connection that cameras use: it must not disturb them."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from grpclib import GRPCError

from scripts.fakes.painted_camera import PaintedCamera, undecodable
from scripts.fakes.viam_server import Parent
from tests.support.amount import at_most, cut_short
from tests.support.machine import US, Machine, now_us

COMPLAINING = 3
CLIENTS = 4


@pytest.mark.exhaustive
@cut_short
async def test_cameras_that_make_ffmpeg_complain_beside_a_good_one_cost_no_frame_of_it_at_log_level_debug(
    tmp_path: Path,
) -> None:
    """Four clients fetch meanwhile: the SDK logs each request at this level."""
    good = PaintedCamera("cam", width=320, height=180)
    complaining = [PaintedCamera(f"bad-{number}", width=320, height=180) for number in range(COMPLAINING)]
    for camera in complaining:
        camera.alter = undecodable
    async with Parent([good, *complaining]) as parent:
        await parent.start_module(args=["--log-level=DEBUG"])
        machine = Machine(parent, good, tmp_path)
        for camera in complaining:
            storage = {"storage_path": str(tmp_path / camera.name / "storage")}
            await parent.add(f"store-{camera.name}", machine.attributes(camera=camera.name, storage=storage))
        await machine.add()
        await machine.until(lambda: good.delivered)
        clients = [asyncio.create_task(_fetch_for_ever(machine)) for _ in range(CLIENTS)]
        await machine.record(at_most(12, 6))
        from_us, to_us = good.delivered[0], good.delivered[-1]
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await machine.recorded_until(to_us)
        check, answer = await machine.fetch(from_us, to_us)
        assert check.flawless and "ranges" not in answer, check
        status = await machine.status()
        assert (status["recording"], status["ffmpeg_restarts"], status["dropped_frames"]) == (True, 0, 0)
        assert any(camera.requests > 20 for camera in complaining)
        lines = [line.message for line in parent.logs]
        assert any("Received message" in line for line in lines)  # it was at debug
        assert not any("returned an error" in line for line in lines), lines


async def _fetch_for_ever(machine: Machine) -> None:
    while True:
        to_us = now_us() - 3 * US
        with contextlib.suppress(GRPCError):  # nothing is stored yet
            await machine.command("fetch", from_us=to_us - US, to_us=to_us)
        await asyncio.sleep(0.05)
