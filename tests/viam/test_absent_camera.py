"""A recorder whose camera or data manager comes, goes and comes again, over the real protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from grpclib import GRPCError

from scripts.fakes.painted_camera import PaintedCamera, check_clip, read_clip
from scripts.fakes.viam_server import NEWEST, OLDEST, Parent
from tests.support.amount import some
from tests.support.camera_process import run_camera
from tests.support.lateness import watching_lateness
from tests.support.machine import NAME, US, Machine, assert_plain, now_us, small_camera
from tests.support.warm_module import start_warm_module
from videostore.media.packet import Gap
from videostore.viam.absent_camera import AbsentCamera

CAMERA, MANAGER = "rdk:component:camera/cam", "rdk:service:data_manager/data-manager"
MISSING = "camera 'cam' is missing or could not be built"
VERSIONS = some("version", [OLDEST, NEWEST], 1)


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Machine]:
    """A machine with a data manager and no camera. `machine.camera` can be placed."""
    async with Parent() as parent:
        await parent.start_module(start_process=start_warm_module)
        yield Machine(parent, small_camera(), tmp_path)


async def reason_is(machine: Machine, reason: str) -> None:
    """Wait until the status gives a reason, or none."""

    async def told() -> bool:
        status = await machine.status()
        return bool((status["recording"], status["reason"]) == (not reason, reason))

    await machine.until(told)


def warnings(machine: Machine, words: str) -> int:
    return sum(line.level.lower().startswith("warn") and words in line.message for line in machine.parent.logs)


async def recorded(machine: Machine) -> tuple[int, int]:
    """Record a second with the camera that is there; returns its range."""
    begin_us = now_us()
    await machine.record(2)
    end_us = begin_us + US
    first_us = next(time_us for time_us in machine.camera.delivered if time_us > begin_us)
    await machine.recorded_until(max(end_us, first_us + US))
    return first_us, first_us + US


async def assert_stored(machine: Machine, ranges: list[tuple[int, int]]) -> None:
    """Fetch, save and the state give what was recorded."""
    for from_us, to_us in ranges:
        check, answer = await machine.fetch(from_us, to_us)
        assert check.flawless and "ranges" not in answer, check
        saved = await machine.command("save", from_us=from_us, to_us=to_us)
        shown = await asyncio.to_thread(read_clip, machine.upload / saved["filename"])
        assert check_clip(shown, machine.camera.delivered, from_us, to_us).flawless
    assert (await machine.command("get-storage-state"))["stored_video"]


async def test_with_a_camera_that_is_never_there_it_is_built_says_so_once_and_answers(bare: Machine) -> None:
    await bare.add()
    await reason_is(bare, MISSING)
    await bare.until(lambda: warnings(bare, f"Not recording: {MISSING}."))
    assert not (await bare.command("get-storage-state"))["stored_video"]
    with pytest.raises(GRPCError) as refused:
        await bare.parent.camera(NAME).get_images()
    assert_plain(refused.value, MISSING)
    with pytest.raises(GRPCError) as refused:
        await bare.command("fetch", from_us=now_us() - 9 * US, to_us=now_us() - 8 * US)
    assert_plain(refused.value, "range", "the storage is empty")
    assert not bare.parent.children()
    assert await bare.parent.update() == 0
    assert warnings(bare, "Not recording") == 1


@VERSIONS
async def test_it_records_when_its_camera_comes_goes_and_comes_again(bare: Machine, version: str) -> None:
    resources, update, ranges = bare.parent.resources, bare.parent.update, []
    await bare.add()
    for _ in range(2):
        await reason_is(bare, MISSING)
        await resources.place(bare.camera)
        assert await update(since=version) == 1
        ranges.append(await recorded(bare))
        await reason_is(bare, "")
        await resources.take_away(CAMERA)
        assert await update(since=version) == 1
    await reason_is(bare, MISSING)
    await assert_stored(bare, ranges)
    assert not list(bare.storage.glob("*.open")) and not bare.parent.children()


async def test_before_viam_server_has_noticed_that_the_camera_is_gone_the_reason_is_its_error(machine: Machine) -> None:
    await machine.add()
    first = await recorded(machine)
    await machine.parent.resources.take_away(CAMERA)

    async def told() -> bool:
        status = await machine.status()
        return not status["recording"] and "camera 'cam' returned an error" in status["reason"]

    await machine.until(told)
    await assert_stored(machine, [first])


@VERSIONS
async def test_a_camera_that_is_rebuilt_is_recorded_on(machine: Machine, version: str) -> None:
    await machine.add()
    first = await recorded(machine)
    await machine.parent.resources.place(machine.camera)
    assert await machine.parent.update(since=version) == 1
    second = await recorded(machine)
    await assert_stored(machine, [first, second])
    assert await machine.parent.update() == 0


async def test_an_old_viam_server_reconfigures_a_recorder_for_nothing_and_recording_is_not_interrupted(
    machine: Machine,
) -> None:
    await machine.add(storage={"segment_seconds": 3600}, video={"bitrate": 100_000})
    await recorded(machine)
    (ffmpeg,) = machine.parent.children()
    for full in (MANAGER, "rdk:service:generic/other"):
        await machine.parent.resources.take_away(full)
        assert await machine.parent.update(since=OLDEST) == 1
    assert "data-manager" in (await machine.status())["upload_trouble"]
    await machine.parent.resources.place(MANAGER)
    assert await machine.parent.update(since=OLDEST) == 1
    assert "upload_trouble" not in await machine.status()
    assert machine.parent.children() == [ffmpeg] and not list(machine.storage.glob("*.mp4"))


async def test_a_reconfigure_that_failed_is_made_up_for_by_the_next(machine: Machine) -> None:
    await machine.add()
    with pytest.raises(GRPCError):
        await machine.parent.reconfigure(NAME, machine.attributes(video={"codec": "h264_teapot"}))
    await machine.parent.reconfigure(NAME, machine.attributes())
    await recorded(machine)


@VERSIONS
async def test_it_records_again_after_its_cameras_module_was_killed(tmp_path: Path, version: str) -> None:
    async with Parent() as parent:
        await parent.start_module(start_process=start_warm_module)
        machine = Machine(parent, PaintedCamera("unused"), tmp_path)
        times: list[int] = []
        for number in range(2):
            async with run_camera("cam", parent.directory / f"camera-{number}.sock") as camera:
                await parent.resources.place(camera)
                if number:
                    assert await parent.update(since=version) == 1
                else:
                    await machine.add()
                await reason_is(machine, "")
                times.append(now_us())
                await machine.recorded_until(times[-1] + US)
                await camera.kill()

                async def told() -> bool:
                    status = await machine.status()
                    return not status["recording"] and "camera 'cam' returned an error" in status["reason"]

                await machine.until(told)
            await parent.resources.take_away(CAMERA)
            assert await parent.update(since=version) == 1
            await reason_is(machine, MISSING)
        for time_us in times:
            answer = await machine.command("save", from_us=time_us, to_us=time_us + US)
            shown = await asyncio.to_thread(read_clip, machine.upload / answer["filename"])
            counters = [frame.counter for _, frame in shown if frame]
            assert "ranges" not in answer and len(counters) == len(shown) > 1
            assert counters == list(range(counters[0], counters[0] + len(shown)))
        await machine.until(lambda: warnings(machine, MISSING))


@VERSIONS
async def test_pending_saves_go_on_while_the_camera_comes_and_goes(machine: Machine, version: str) -> None:
    clips = []

    async def save() -> None:
        await machine.record(4)
        to_us = now_us()  # the recording does not cover it yet
        saved = await machine.command("save", **{"from_us": to_us - 3 * US, "to_us": to_us, "async": True})
        clips.append((saved["filename"], to_us))

    await machine.add(storage={"segment_seconds": 30})
    async with watching_lateness() as late:
        await save()
        await machine.parent.resources.place(machine.camera)
        assert await machine.parent.update(since=version) == 1
        await save()
        await machine.parent.resources.take_away(CAMERA)
        assert await machine.parent.update(since=version) == 1
    for name, to_us in clips:
        await machine.until((machine.upload / name).exists)
        shown = await asyncio.to_thread(read_clip, machine.upload / name)
        check = check_clip(shown, machine.camera.delivered, to_us - 3 * US, to_us)
        assert replace(check, missing_after=()).flawless, check
        # On their way at the rebuild.
        assert all(time_us > to_us - US - 4 * late.us for time_us in check.missing_after), check

        async def done(name: str = name) -> bool:
            return bool((await machine.command("get-save-status", filename=name))["status"] == "done")

        await machine.until(done)


async def test_recording_does_not_wait_for_a_data_manager(tmp_path: Path) -> None:
    camera = small_camera()
    async with Parent([camera], data_manager=None) as parent:
        await parent.start_module(start_process=start_warm_module)
        machine = Machine(parent, camera, tmp_path)
        await machine.add()
        first = await recorded(machine)
        trouble = (await machine.status())["upload_trouble"]
        assert trouble == (
            "data manager 'data-manager' is missing or could not be built; saved clips wait in the upload path"
        )
        await machine.until(lambda: warnings(machine, f"Not uploading: {trouble}."))
        await assert_stored(machine, [first])
        await parent.resources.place(MANAGER)
        assert await parent.update() == 1
        assert "upload_trouble" not in await machine.status()
        await recorded(machine)
        assert await parent.update() == 0


@pytest.mark.parametrize("name", ["cam", CAMERA, "there:cam"])
async def test_a_camera_is_named_shortly_fully_or_with_its_remote(machine: Machine, name: str) -> None:
    depends_on = [CAMERA] if name == "there:cam" else None  # as viam-server passes it, without the remote
    await machine.parent.add(NAME, machine.attributes(camera=name), depends_on=depends_on)
    await recorded(machine)


async def test_a_viam_server_without_optional_dependencies_passes_those_of_depends_on(machine: Machine) -> None:
    machine.parent.knows_optional = False
    await machine.add()
    await reason_is(machine, MISSING)
    await machine.parent.remove(NAME)
    await machine.parent.add(NAME, machine.attributes(), depends_on=["cam", "data-manager"])
    await recorded(machine)
    assert "upload_trouble" not in await machine.status()


async def test_it_yields_its_reason_and_waits() -> None:
    source = AbsentCamera("cam")
    packets = source.packets()
    assert await anext(packets) == Gap(MISSING) and source.fault == MISSING and source.latest is None
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(packets), 0.05)
