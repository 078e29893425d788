"""A disk in user space (FUSE) that hangs for real, of one recorder of a module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from grpclib import GRPCError

from scripts.fakes.painted_camera import PaintedCamera
from scripts.fakes.viam_server import Parent
from tests.support.child_processes import command_of
from tests.support.ending import assert_ended_in_time
from tests.support.hanging_disk import HangingDisk, hanging_disk
from tests.support.machine import US, Machine, now_us, sent_error, small_camera
from tests.support.warm_module import start_warm_module

_OTHER = "other"
_WITHIN_S = 120.0
"""What the module promises, as in `test_ending.py`."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[HangingDisk]:
    with hanging_disk(tmp_path) as disk:
        yield disk


@pytest.fixture
async def beside() -> PaintedCamera:
    """The camera of the recorder on the disk: each frame of a camera goes to those who ask for it in time."""
    return small_camera("beside")


@pytest.fixture
async def both(tmp_path: Path, beside: PaintedCamera) -> AsyncIterator[Machine]:
    """A machine with a camera for each of two recorders."""
    camera = small_camera()
    async with Parent([camera, beside]) as parent:
        await parent.start_module(start_process=start_warm_module)
        yield Machine(parent, camera, tmp_path)


def on_disk(machine: Machine, disk: HangingDisk, camera: str = "cam") -> dict[str, object]:
    elsewhere = {"storage_path": str(disk.path / "storage"), "upload_path": str(machine.upload / "other")}
    return machine.attributes(storage=elsewhere, camera=camera)


async def test_a_recorder_that_is_added_on_it_is_refused_with_its_directory_and_another_one_records(
    machine: Machine, disk: HangingDisk
) -> None:
    disk.hang()
    try:
        adding = asyncio.create_task(machine.parent.add(_OTHER, on_disk(machine, disk)))
        await machine.add()
        await machine.record(1)
        from_us = machine.camera.delivered[-1]
        await machine.recorded_until(from_us + 2 * US)
        check, answer = await machine.fetch(from_us, from_us + 2 * US)
        assert check.flawless and "ranges" not in answer, check
        with pytest.raises(GRPCError) as refused:
            await asyncio.wait_for(adding, _WITHIN_S)
        error = sent_error(refused.value)
        assert (error.code, error.fields["attribute"]) == ("storage-stalled", "storage.storage_path")
        assert f"'{disk.path / 'storage'}' does not respond" in str(error)
    finally:
        disk.go_on()

    async def is_added() -> bool:
        """As viam-server does: the disk may not have answered yet."""
        try:
            await machine.parent.add(_OTHER, on_disk(machine, disk))
        except GRPCError as error:
            assert sent_error(error).code == "storage-stalled"
            return False
        return True

    await machine.until(is_added)
    await records_again(machine)


async def told(machine: Machine, words: str) -> None:
    """Wait until the status of the recorder on the disk says that nothing is recorded, in these words."""

    async def is_told() -> bool:
        status = await asyncio.wait_for(machine.parent.camera(_OTHER).get_status(), _WITHIN_S)
        return not status["recording"] and words in str(status["reason"])

    await machine.until(is_told)


async def records_again(machine: Machine) -> None:
    """Wait until frames are recorded on the disk that were captured from now on."""
    other = machine.parent.camera(_OTHER)
    from_us = now_us()

    async def is_recorded() -> bool:
        status = await other.get_status()
        age_s = status.get("last_frame_age_s")
        return bool(status["recording"]) and age_s is not None and now_us() - age_s * US > from_us

    await machine.until(is_recorded)


async def record_both(machine: Machine, disk: HangingDisk) -> None:
    """A recorder on the disk, and one elsewhere."""
    await machine.add()
    await machine.parent.add(_OTHER, on_disk(machine, disk, "beside"))
    await records_again(machine)


def encoders(machine: Machine) -> list[psutil.Process]:
    """The ffmpegs that record to the disk that does not hang."""
    children = machine.parent.children()
    return [one for one in children if any(str(machine.storage) in word for word in command_of(one))]


async def restart_encoder(machine: Machine) -> None:
    """Kill the ffmpeg that records to the disk that does not hang, and wait for the next one."""
    (encoder,) = encoders(machine)
    encoder.kill()

    async def is_restarted() -> bool:
        status = await asyncio.wait_for(machine.status(), _WITHIN_S)
        return bool(status["recording"]) and [one.pid for one in encoders(machine)] not in ([], [encoder.pid])

    await machine.until(is_restarted)


async def test_the_other_recorder_records_starts_programs_and_answers(both: Machine, disk: HangingDisk) -> None:
    await record_both(both, disk)
    disk.hang()
    for _ in range(2):
        await restart_encoder(both)
        from_us = both.camera.delivered[-1]
        await both.recorded_until(from_us + 2 * US)
        check, answer = await both.fetch(from_us + US, from_us + 2 * US)
        assert check.flawless and "ranges" not in answer, check
    saved = await both.command("save", from_us=from_us + US, to_us=from_us + 2 * US)
    assert list(both.upload.rglob(saved["filename"]))

    await told(both, f"'{disk.path / 'storage'}' does not respond")
    disk.go_on()
    await records_again(both)


async def test_few_small_images_do_not_keep_the_status_from_telling_it(
    both: Machine, beside: PaintedCamera, disk: HangingDisk
) -> None:
    """What ffmpeg has not read yet is too little for its pipe to be full."""
    beside.interval = lambda: 1.5
    await record_both(both, disk)
    disk.hang()
    await told(both, f"Perhaps the disk of '{disk.path / 'storage'}' hangs.")
    disk.go_on()
    await records_again(both)
    assert (await both.parent.camera(_OTHER).get_status())["ffmpeg_restarts"] == 0


async def test_a_run_that_cannot_be_ended_is_told(both: Machine, beside: PaintedCamera, disk: HangingDisk) -> None:
    """Its ffmpeg is ended because the size changes."""
    await record_both(both, disk)
    disk.hang()
    beside.width, beside.height = 480, 270
    await told(both, f"The disk of '{disk.path / 'storage'}' does not respond: the segment cannot be closed.")
    disk.go_on()
    await records_again(both)


async def test_sigterm_ends_the_module_in_its_usual_time(both: Machine, disk: HangingDisk) -> None:
    await record_both(both, disk)
    disk.hang()
    await restart_encoder(both)
    await both.record(2)
    written = (await both.status())["open_segment"]
    # A killed ffmpeg leaves its segment if it was in its first second.
    left = {one for one in both.storage.glob("*.open") if one.name != written}
    process = psutil.Process(both.parent.process.pid)
    try:
        await assert_ended_in_time([process], process.terminate)
        # The system keeps what is left of it until the disk has closed its files.
        assert set(both.storage.glob("*.open")) <= left
    finally:
        disk.go_on()
