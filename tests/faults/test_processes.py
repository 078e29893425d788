"""Real process faults: when processes are killed, the recording stays and nothing else is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from grpclib import GRPCError

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import at_most, cut_short
from tests.support.lateness import watching_lateness
from tests.support.leftovers import no_ffmpeg_left
from tests.support.machine import NAME, US, Machine, now_us, run_machine, sent_error
from tests.support.recording import until
from videostore.base.time_parsing import moment_us
from videostore.clips.workspace import WORK_DIRECTORY
from videostore.ffmpeg.process import BINARY_VARIABLE, find_ffmpeg
from videostore.storage.database_files import SHARED_SUFFIX
from videostore.storage.index import FILE_NAME


async def test_after_sigkill_everything_older_than_two_seconds_can_be_fetched(machine: Machine) -> None:
    """SIGKILL for the module and its ffmpeg at the same time."""
    await machine.add(storage={"segment_seconds": 30})
    async with watching_lateness() as late:
        await machine.until(lambda: machine.camera.delivered)
        from_us = machine.camera.delivered[0]
        await machine.until(lambda: machine.camera.delivered[-1] - from_us > 5 * US + 4 * late.us)
        late_us = 4 * late.us
        killed_us = now_us()
        await machine.parent.kill()
    assert [path.suffix for path in machine.storage.iterdir() if path.stem[0].isdigit()] == [".open"]
    await machine.start_module()
    await machine.add(camera=None)
    to_us = killed_us - 2 * US - late_us
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and check.drift_ms < 5 and "ranges" not in answer


async def test_after_sigkill_of_the_module_alone_its_ffmpeg_finishes_and_keeps_every_frame(
    machine: Machine,
) -> None:
    await machine.add(storage={"segment_seconds": 30})
    async with watching_lateness() as late:
        await machine.record(1)
        from_us = machine.camera.delivered[0]
        await machine.recorded_until(from_us + US)  # what waited for its start is written
        await machine.until(lambda: machine.camera.delivered[-1] - from_us > 2 * US + 3 * late.us)
        late_us = 3 * late.us
        assert len(machine.parent.children()) == 1
        killed_us = now_us()
        os.kill(machine.parent.process.pid, signal.SIGKILL)
        await machine.parent.process.wait()
    await machine.until(lambda: not machine.parent.leftovers())
    # The camera, the module and ffmpeg have each been as late.
    to_us = killed_us - 500_000 - late_us
    await machine.start_module()
    await machine.add(camera=None)
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check
    assert not list(machine.storage.glob("*.open")) and len(list(machine.storage.glob("*.mp4"))) == 1


async def test_a_segment_that_the_ffmpeg_of_a_killed_module_still_writes_is_left_alone(tmp_path: Path) -> None:
    """The encoder is slow: images wait in its pipe when the module is killed and the next one starts."""
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
        with contextlib.suppress(AssertionError):  # time to do something wrong
            await second.until(lambda: list(second.storage.glob("*.mp4")), 1)
        closed = {path: path.read_bytes() for path in second.storage.glob("*.mp4")}
        ffmpeg.resume()
        await first.until(lambda: not first.parent.leftovers())
        assert [path.name for path, content in closed.items() if path.read_bytes() != content] == []
        over_first = Machine(second.parent, first.camera, tmp_path)
        to_us = killed_us - 500_000
        await over_first.recorded_until(to_us)
        check, answer = await over_first.fetch(first.camera.delivered[0], to_us)
        assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check


async def test_a_second_module_on_the_same_storage_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    """Two processes, as when a machine is configured twice. Another test has two recorders in one process."""
    async with run_machine(tmp_path) as first, run_machine(tmp_path) as second:
        await first.add()
        await first.record(1)
        for _ in range(2):
            with pytest.raises(GRPCError) as refused:
                await second.add()
            error = sent_error(refused.value)
            assert (error.code, error.fields["attribute"]) == ("storage-in-use", "storage.storage_path")
        assert not second.parent.children() and not second.camera.delivered
        await first.record(1)
        from_us, to_us = first.camera.delivered[0], first.camera.delivered[-1]
        await first.recorded_until(to_us)
        check, answer = await first.fetch(from_us, to_us)
        assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check
        status = await first.status()
        assert (status["recording"], status["ffmpeg_restarts"], status["dropped_frames"]) == (True, 0, 0)
        await first.parent.remove(NAME)
        await second.add()  # in the process that refused it before
        await second.until(lambda: second.camera.delivered)
        from_us = second.camera.delivered[0]
        await second.recorded_until(from_us + US)
        check, _ = await second.fetch(from_us, from_us + US)
        assert check.flawless, check


@cut_short
async def test_many_changes_of_the_config_leave_nothing_behind(machine: Machine) -> None:
    # Log lines go over the connection that cameras and dependencies use.
    await machine.start_module(args=["--log-level=DEBUG"])
    module = psutil.Process(machine.parent.process.pid)

    def usage() -> tuple[int, int]:
        return module.num_fds(), module.num_threads()

    await machine.add()
    before = (0, 0)
    for number in range(1, at_most(41, 21)):
        bitrate = 500_000 + number * 1000
        await machine.parent.reconfigure(NAME, machine.attributes(video={"bitrate": bitrate}))
        if number == 5:
            await machine.record(1)
            before = usage()
    count = len(machine.camera.delivered)
    await machine.until(lambda: len(machine.camera.delivered) > count + 1)
    from_us = machine.camera.delivered[count + 1]
    await machine.recorded_until(from_us + US)
    check, answer = await machine.fetch(from_us, from_us + US)
    assert check.flawless and "ranges" not in answer, check
    status = await machine.status()
    assert (status["recording"], status["ffmpeg_restarts"], status["dropped_frames"]) == (True, 0, 0)
    # A request to the camera may be in progress. A leak would add 15 or more.
    await machine.until(lambda: all(now <= then + 10 for now, then in zip(usage(), before, strict=True)))
    assert len(module.children(recursive=True)) == 1  # zombies would be counted too
    assert not list(machine.storage.glob(f"{WORK_DIRECTORY}/*")) and not list(machine.upload.rglob("*"))
    # Two for a moment after each segment, which ffmpeg closes before it is given its name.
    await machine.until(lambda: len(list(machine.storage.glob("*.open"))) == 1)


async def test_a_recorder_that_starts_leaves_the_partial_clips_of_another_process_alone(tmp_path: Path) -> None:
    """Both have the same name and the same upload path. Those of a process that was killed are removed."""
    written, script = tmp_path / "written", tmp_path / "ffmpeg"
    script.write_text(
        f"#!{sys.executable} -ISE\n"
        "import os, subprocess, sys, time\n"
        f"code = subprocess.call([{find_ffmpeg()!r}, *sys.argv[1:]])\n"
        f"while any(one.endswith('.prog') for one in sys.argv) and os.path.exists({str(written)!r}):\n"
        "    time.sleep(0.02)\n"
        "sys.exit(code)\n"
    )
    script.chmod(0o755)
    written.touch()  # as long as it exists, a clip that is written is not complete

    def partial_clips() -> list[Path]:
        return [path for path in first.upload.glob("*.prog") if not path.name.endswith(".reserved.prog")]

    async with run_machine(tmp_path) as first, run_machine(tmp_path) as second:
        other = {"storage": {"storage_path": str(tmp_path / "other")}}
        await first.start_module(env={BINARY_VARIABLE: str(script)})
        await first.add()
        await first.record(3)
        from_us = first.camera.delivered[0]
        await first.recorded_until(from_us + US)
        saving = asyncio.create_task(first.command("save", from_us=from_us, to_us=from_us + US))
        await first.until(partial_clips)
        await second.add(**other)
        await second.record(1)
        assert len(partial_clips()) == 1
        written.unlink()
        saved = (await saving)["filename"]
        assert check_clip(read_clip(first.upload / saved), first.camera.delivered, from_us, from_us + US).flawless

        written.touch()
        saving = asyncio.create_task(first.command("save", from_us=from_us, to_us=from_us + US))
        await first.until(partial_clips)
        await first.parent.kill()
        await asyncio.gather(saving, return_exceptions=True)
        await second.parent.remove(NAME)
        await second.add(**other)
        assert len(partial_clips()) == 1
        await first.start_module()
        await first.add()
        assert not partial_clips()


def endless_ffmpeg() -> subprocess.Popen[bytes]:
    source = ["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc"]
    return subprocess.Popen([find_ffmpeg(), *source, "-f", "null", "-"])


async def test_the_ffmpeg_that_a_test_leaves_ends_with_it() -> None:
    own = endless_ffmpeg()
    try:
        await until(lambda: psutil.Process(own.pid).name().startswith("ffmpeg"))
        with no_ffmpeg_left():
            left = endless_ffmpeg()
            await until(lambda: psutil.Process(left.pid).name().startswith("ffmpeg"))
        assert not psutil.pid_exists(left.pid) and own.poll() is None, "only what was started meanwhile"
    finally:
        own.kill()
        own.wait()


async def test_a_module_that_the_system_ends_over_the_memory_of_its_index_loses_what_its_restart_takes(
    machine: Machine,
) -> None:
    """SQLite maps `-shm`. A program that cuts it off ends the module by SIGBUS at its next look at the index."""
    await machine.add()
    await machine.record(3)
    first_us = machine.camera.delivered[0]
    await machine.recorded_until(first_us + 2 * US)
    await machine.command("mark", at="now", label="before", save=False)
    asked = await machine.command("save", from_us=first_us, to_us=now_us(), **{"async": True})
    module = machine.parent.process
    os.truncate(machine.storage / f"{FILE_NAME}{SHARED_SUFFIX}", 0)
    assert await module.wait() == -signal.SIGBUS
    await machine.until(lambda: not machine.parent.leftovers())
    await machine.start_module()
    await machine.add()
    began_us = now_us()
    await machine.recorded_until(began_us + 3 * US)

    async def is_noted() -> bool:
        return "gaps" in await machine.command("get-storage-state")

    await machine.until(is_noted)
    (gap,) = (await machine.command("get-storage-state"))["gaps"]
    assert gap["reason"] == "the recorder was not running"
    from_us, to_us = (moment_us(gap[one], one, now_us=0) for one in ("from", "to"))
    for start_us, end_us in ((first_us, from_us), (to_us, began_us + 3 * US)):
        check, answer = await machine.fetch(start_us, end_us)
        assert check.flawless and "ranges" not in answer, check
    (event,) = (await machine.command("get-events"))["events"]
    assert event["label"] == "before"

    async def is_saved() -> bool:
        return bool((await machine.command("get-save-status", filename=asked["filename"]))["status"] == "done")

    await machine.until(is_saved)
    assert (await machine.status()).get("index_trouble") is None
