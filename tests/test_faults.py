"""Faults, made for real: each ends a run at most, never the recording."""

from __future__ import annotations

import asyncio

import av
import pytest

from scripts.painted_camera import check_clip, read_clip
from tests.machine import US, Machine, exact, now_us


@pytest.mark.parametrize("fault", ["error", "hang", "empty", "garbage", "truncated", "frozen"])
async def test_a_camera_fault_makes_a_gap_and_recording_resumes_with_the_first_good_frame(
    machine: Machine, fault: str
) -> None:
    await machine.add()
    await machine.record(2.5)
    machine.camera.fault = fault
    await asyncio.sleep(4)
    assert (await machine.status())["recording"] is False
    assert "cam" in (await machine.status())["reason"]
    last_before, count = machine.camera.delivered[-1], len(machine.camera.delivered)
    machine.camera.fault = None
    await machine.record(4)
    first_after = machine.camera.delivered[count]
    from_us, to_us = machine.camera.delivered[5], first_after + US
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless, check
    before, after = answer["ranges"]
    assert before["to"] <= exact(last_before + US)[:23] + "Z" and after["from"] == exact(first_after)[:23] + "Z"
    with av.open(str(min(machine.storage.glob("*.mp4")))) as container:  # no picture stood still
        assert container.duration is not None and container.duration < 2.5 * US


async def test_a_change_of_picture_size_begins_a_new_run_and_a_clip_holds_both(machine: Machine) -> None:
    await machine.add()
    await machine.record(2.5)
    count = len(machine.camera.delivered)
    machine.camera.width, machine.camera.height = 640, 360
    await machine.record(4)
    from_us, to_us = machine.camera.delivered[2], machine.camera.delivered[count] + US
    answer = await machine.command("save", from_us=from_us, to_us=to_us)
    shown = read_clip(machine.upload / answer["filename"], painted=[(320, 180)])
    check = check_clip(shown, machine.camera.delivered, from_us, to_us)
    assert check.flawless, check
    assert check.drift_ms < 60  # a run's last frame has a guessed length


async def test_ffmpeg_killed_in_mid_segment_is_replaced_and_little_is_lost(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(4)
    killed_us = now_us()
    for child in machine.parent.children():
        child.kill()
    await machine.record(4)
    status = await machine.status()
    assert status["recording"] is True and status["ffmpeg_restarts"] == 1
    check, _ = await machine.fetch(machine.camera.delivered[0], killed_us - 2 * US)
    assert check.flawless, check
    check, _ = await machine.fetch(killed_us + 2 * US, killed_us + 3 * US)
    assert check.flawless, check


async def test_after_sigkill_everything_older_than_two_seconds_can_be_fetched(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(6)
    killed_us = now_us()
    await machine.parent.kill()
    assert [path.suffix for path in machine.storage.iterdir() if path.stem[0].isdigit()] == [".open"]
    await machine.parent.start_module()
    await machine.add(camera=None)
    await machine.recorded_until(killed_us - 2 * US)
    check, answer = await machine.fetch(machine.camera.delivered[0], killed_us - 2 * US)
    assert check.flawless and check.drift_ms < 5 and "ranges" not in answer
