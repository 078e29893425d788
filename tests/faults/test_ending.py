"""The ways in which the module or its resource ends: the segment is finished, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
from grpclib import GRPCError
from grpclib.client import Channel
from viam.proto.module import ModuleServiceStub, ReadyRequest

from scripts.fakes.painted_camera import check_clip, read_clip
from scripts.fakes.viam_server import ROOT
from tests.support.ending import assert_ended_in_time, assert_terminates_in_time
from tests.support.machine import NAME, US, Machine, now_us, sent_error
from tests.support.ports import own_port
from videostore.viam import module

_HANG_S = 30.0
"""What takes longer hangs."""
_VIAM_SERVER_KILLS_S = 3.3
"""viam-server kills a module that still runs this long after SIGTERM."""


def test_the_module_gives_up_closing_before_viam_server_kills_it() -> None:
    assert module._CLOSE_S + module._LAST_WORDS_S < _VIAM_SERVER_KILLS_S


async def test_sigterm_finishes_the_segment_and_leaves_no_process(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(1.5)
    # The newest frame may be on its way. A busy machine may have had none for longer.
    to_us = min(now_us() - 100_000, machine.camera.delivered[-1] + 1)
    children = machine.parent.children()
    assert len(children) == 1
    await assert_terminates_in_time(machine)
    assert not machine.parent.leftovers()
    assert not list(machine.storage.glob("*.open")) and len(list(machine.storage.glob("*.mp4"))) == 1
    await machine.parent.start_module()
    await machine.add(camera=None)
    check, answer = await machine.fetch(machine.camera.delivered[0], to_us)
    assert check.flawless and "ranges" not in answer  # up to the last frame, not to the last keyframe


async def test_remove_and_reconfigure_finish_the_segment_and_leave_no_ffmpeg(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(1)
    await machine.parent.reconfigure(
        NAME, machine.attributes(video={"bitrate": 500_000}, storage={"segment_seconds": 30})
    )
    await machine.record(1)
    assert len(machine.parent.children()) == 1
    await machine.parent.remove(NAME)
    assert not machine.parent.children()
    assert len(list(machine.storage.glob("*.mp4"))) == 2 and not list(machine.storage.glob("*.open"))


async def test_the_module_ends_in_order_when_its_parent_is_killed(tmp_path: Path) -> None:
    """The parent is another process here, which is killed with everything that it serves."""
    script = tmp_path / "parent_script.py"
    script.write_text(
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.support.machine import run_machine\n"
        "async def main():\n"
        "    async with run_machine(Path(sys.argv[1]), warm=False) as machine:\n"
        "        await machine.add()\n"
        "        await machine.record(2)\n"
        "        print(machine.parent.process.pid, machine.parent.directory, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        str(tmp_path),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid, directory = (await asyncio.wait_for(parent.stdout.readline(), _HANG_S)).decode().split()
    module = psutil.Process(int(pid))
    processes = [module, *module.children(recursive=True)]
    assert len(processes) == 2
    try:
        await assert_ended_in_time(processes, parent.kill)
        await parent.wait()
        assert not list((tmp_path / "storage").glob("*.open")) and list((tmp_path / "storage").glob("*.mp4"))
    finally:
        for process in processes:
            if process.is_running():
                process.kill()
        for leftover in Path(directory).iterdir():
            if leftover.is_socket():
                leftover.unlink()
        shutil.rmtree(directory)


async def test_a_second_sigterm_does_not_interrupt_the_first(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(1)
    os.killpg(machine.parent.process.pid, signal.SIGTERM)
    await assert_terminates_in_time(machine)
    assert len(list(machine.storage.glob("*.mp4"))) == 1 and not machine.parent.leftovers()


async def test_the_module_serves_on_tcp_with_tcp_mode(machine: Machine) -> None:
    port = own_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "videostore", f"127.0.0.1:{port}", "--tcp-mode", "--log-level=WARNING", cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ready = None
        for _ in range(3000):
            channel = Channel("127.0.0.1", port)
            try:
                request = ReadyRequest(parent_address=str(machine.parent.socket))
                ready = await ModuleServiceStub(channel).Ready(request, timeout=150)
                break
            except OSError:
                await asyncio.sleep(0.05)
            finally:
                channel.close()
        assert ready is not None and ready.ready
        models = [str(one) for handler in ready.handlermap.handlers for one in handler.models]
        assert sorted(models) == ["viam:video:service", "viam:video:storage"]
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), _HANG_S) == 0


async def test_sigterm_ends_the_module_although_ffmpeg_is_stuck(machine: Machine) -> None:
    machine.camera.width, machine.camera.height = 1280, 720
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(2)
    (ffmpeg,) = machine.parent.children()
    ffmpeg.suspend()
    await machine.record(2)  # the pipe fills
    await assert_terminates_in_time(machine)
    assert not machine.parent.leftovers()


async def test_a_reconfigure_during_requests_ends_them_and_does_not_hang(machine: Machine) -> None:
    await machine.add()
    await machine.record(4)
    from_us = machine.camera.delivered[0]
    requests = [
        asyncio.ensure_future(machine.command("save", from_us=from_us, to_us=from_us + 2 * US, metadata=str(number)))
        for number in range(12)
    ]
    await asyncio.sleep(0.1)
    changed = machine.attributes(video={"bitrate": 500_000})
    await asyncio.wait_for(machine.parent.reconfigure(NAME, changed), _HANG_S)
    for outcome in await asyncio.gather(*requests, return_exceptions=True):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, GRPCError)
            assert sent_error(outcome).code == "closed"
        else:
            clip = machine.upload / outcome["filename"]
            assert check_clip(read_clip(clip), machine.camera.delivered, from_us, from_us + 2 * US).flawless
    assert not list(machine.upload.rglob("*.prog"))
    await machine.record(1)
    assert (await machine.status())["recording"] is True
