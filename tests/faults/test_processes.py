"""Faults of processes, made for real: whoever is killed, what was recorded stays and nothing else does."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import psutil
import pytest
from grpclib import GRPCError

from tests.support.machine import NAME, US, Machine, assert_plain, now_us, run_machine
from videostore.clips.workspace import WORK_DIRECTORY


async def test_after_sigkill_everything_older_than_two_seconds_can_be_fetched(machine: Machine) -> None:
    """Of the module and of its ffmpeg, at the same moment."""
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(5)
    killed_us = now_us()
    await machine.parent.kill()
    assert [path.suffix for path in machine.storage.iterdir() if path.stem[0].isdigit()] == [".open"]
    await machine.parent.start_module()
    await machine.add(camera=None)
    await machine.recorded_until(killed_us - 2 * US)
    check, answer = await machine.fetch(machine.camera.delivered[0], killed_us - 2 * US)
    assert check.flawless and check.drift_ms < 5 and "ranges" not in answer


async def test_after_sigkill_of_the_module_alone_its_ffmpeg_ends_and_all_it_was_given_is_there(
    machine: Machine,
) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(2)
    assert len(machine.parent.children()) == 1
    killed_us = now_us()
    os.kill(machine.parent.process.pid, signal.SIGKILL)
    await machine.parent.process.wait()
    await machine.until(lambda: not machine.parent.leftovers(), 5)
    from_us, to_us = machine.camera.delivered[0], killed_us - 500_000
    await machine.parent.start_module()
    await machine.add(camera=None)
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check
    assert not list(machine.storage.glob("*.open")) and len(list(machine.storage.glob("*.mp4"))) == 1


async def test_a_segment_that_the_ffmpeg_of_a_killed_module_still_writes_is_left_to_it(tmp_path: Path) -> None:
    """As where the encoder is slow: pictures wait in its pipe when the module is killed, and the next one is there."""
    async with run_machine(tmp_path) as first, run_machine(tmp_path) as second:
        await first.add(storage={"segment_seconds": 30})
        await first.record(2.5)
        (ffmpeg,) = first.parent.children()
        ffmpeg.suspend()
        await first.record(1)
        killed_us = now_us()
        os.kill(first.parent.process.pid, signal.SIGKILL)
        await first.parent.process.wait()
        await second.add(camera=None)
        with contextlib.suppress(AssertionError):  # it is given its time to do wrong
            await second.until(lambda: list(second.storage.glob("*.mp4")), 1)
        closed = {path: path.read_bytes() for path in second.storage.glob("*.mp4")}
        ffmpeg.resume()
        await first.until(lambda: not first.parent.leftovers(), 5)
        assert [path.name for path, content in closed.items() if path.read_bytes() != content] == []
        over_first = Machine(second.parent, first.camera, tmp_path)
        to_us = killed_us - 500_000
        await over_first.recorded_until(to_us)
        check, answer = await over_first.fetch(first.camera.delivered[0], to_us)
        assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check


async def test_a_second_module_on_the_same_storage_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    """Two processes, as when a machine is configured twice; within one process it is another test's affair."""
    async with run_machine(tmp_path) as first, run_machine(tmp_path) as second:
        await first.add()
        await first.record(1)
        for _ in range(2):
            with pytest.raises(GRPCError) as refused:
                await second.add()
            assert_plain(refused.value, "storage.storage_path", str(first.storage), "another recorder")
        assert not second.parent.children() and not second.camera.delivered
        await first.record(1)
        from_us, to_us = first.camera.delivered[0], first.camera.delivered[-1]
        await first.recorded_until(to_us)
        check, answer = await first.fetch(from_us, to_us)
        assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check
        status = await first.status()
        assert (status["recording"], status["ffmpeg_restarts"], status["dropped_frames"]) == (True, 0, 0)
        await first.parent.remove(NAME)
        await second.add()  # its process has lived on
        await second.until(lambda: second.camera.delivered)
        from_us = second.camera.delivered[0]
        await second.recorded_until(from_us + US)
        check, _ = await second.fetch(from_us, from_us + US)
        assert check.flawless, check


async def test_forty_changes_of_the_config_leave_nothing_behind(machine: Machine) -> None:
    module = psutil.Process(machine.parent.process.pid)

    def usage() -> tuple[int, int]:
        return module.num_fds(), module.num_threads()

    await machine.add()
    least = (0, 0)
    for number in range(1, 41):
        bitrate = 500_000 + number * 1000
        await machine.parent.reconfigure(NAME, machine.attributes(video={"bitrate": bitrate}))
        if number == 5:
            await machine.record(1)
            least = usage()
    count = len(machine.camera.delivered)
    await machine.until(lambda: len(machine.camera.delivered) > count + 1)
    from_us = machine.camera.delivered[count + 1]
    await machine.recorded_until(from_us + US)
    check, answer = await machine.fetch(from_us, from_us + US)
    assert check.flawless and "ranges" not in answer, check
    status = await machine.status()
    assert (status["recording"], status["ffmpeg_restarts"], status["dropped_frames"]) == (True, 0, 0)
    # A request to the camera, or to the log, may be under way in either; a leak would be of 35.
    await machine.until(lambda: all(now <= then + 10 for now, then in zip(usage(), least, strict=True)))
    assert len(module.children(recursive=True)) == 1  # zombies would be among them
    assert not list(machine.storage.glob(f"{WORK_DIRECTORY}/*")) and not list(machine.upload.rglob("*"))
    assert len(list(machine.storage.glob("*.open"))) == 1
