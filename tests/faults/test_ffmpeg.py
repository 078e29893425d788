"""Faults of ffmpeg, made for real: each ends a run at most, costs no busy loop, and recording resumes by itself."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from grpclib import GRPCError

from tests.support.machine import NAME, US, Machine, assert_plain, now_us, run_machine
from videostore.base.constants import FFMPEG_BACKOFF_S, FFMPEG_STUCK_S
from videostore.ffmpeg.process import BINARY_VARIABLE, find_ffmpeg, list_encoders


async def test_ffmpeg_killed_in_mid_segment_is_replaced_and_little_is_lost(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(3)
    killed_us = now_us()
    for child in machine.parent.children():
        child.kill()
    await machine.record(2)
    await machine.recorded_until(killed_us + 2 * US)
    status = await machine.status()
    assert status["recording"] is True and status["ffmpeg_restarts"] == 1
    check, _ = await machine.fetch(machine.camera.delivered[0], killed_us - 2 * US)
    assert check.flawless, check
    check, _ = await machine.fetch(killed_us + US, killed_us + 2 * US)
    assert check.flawless, check


async def test_ffmpeg_killed_again_and_again_is_started_less_and_less_often_and_says_so(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(1.5)
    restarts: list[int] = []
    killed: dict[psutil.Process, float] = {}
    began = time.monotonic()
    while time.monotonic() - began < 4.5:
        for child in machine.parent.children():
            killed.setdefault(child, time.monotonic())
            child.kill()
        restarts.append((await machine.status())["ffmpeg_restarts"])

    async def all_counted() -> bool:
        return bool((await machine.status())["ffmpeg_restarts"] == len(killed))

    await machine.until(all_counted)
    # At once, and then after 0.2 s, 0.4 s, 0.8 s, 1.6 s, 3.2 s.
    first_s, _ = FFMPEG_BACKOFF_S
    times = list(killed.values())
    assert 3 <= len(times) <= 6, times
    for number, (one, other) in enumerate(itertools.pairwise(times)):
        assert other - one >= first_s * 2**number * 0.9, times
    assert restarts == sorted(restarts)
    status = await machine.status()
    assert status["recording"] is False and "ffmpeg exited" in status["reason"]
    assert status["dropped_frames"] > 10

    async def records() -> bool:
        return bool((await machine.status())["recording"])

    await machine.until(records)
    assert time.monotonic() - times[-1] < first_s * 2 ** len(times) + 5
    count = len(machine.camera.delivered)
    await machine.record(1)
    from_us, to_us = machine.camera.delivered[count], machine.camera.delivered[-1]
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and "ranges" not in answer, check
    assert (await machine.status())["ffmpeg_restarts"] == len(killed)


async def test_an_ffmpeg_that_stops_reading_its_pipe_is_killed_and_costs_bounded_memory(tmp_path: Path) -> None:
    async with run_machine(tmp_path, width=1280, height=720) as machine:
        await machine.add(storage={"segment_seconds": 30})
        await machine.record(1)
        module = psutil.Process(machine.parent.process.pid)
        (ffmpeg,) = machine.parent.children()
        before_bytes, most_bytes = module.memory_info().rss, 0
        stopped = time.monotonic()
        ffmpeg.suspend()

        def replaced() -> bool:
            nonlocal most_bytes
            most_bytes = max(most_bytes, module.memory_info().rss)
            return bool(machine.parent.children()) and ffmpeg not in machine.parent.children()

        await machine.until(replaced, FFMPEG_STUCK_S + 30)
        assert FFMPEG_STUCK_S < time.monotonic() - stopped < FFMPEG_STUCK_S + 20
        assert most_bytes - before_bytes < 64 << 20
        count = len(machine.camera.delivered)
        await machine.record(1)
        from_us, to_us = machine.camera.delivered[count + 2], machine.camera.delivered[-1]
        await machine.recorded_until(to_us)
        check, answer = await machine.fetch(from_us, to_us)
        assert check.flawless and "ranges" not in answer, check
        status = await machine.status()
        assert (status["recording"], status["ffmpeg_restarts"]) == (True, 1)
        assert status["dropped_frames"] > 20
        assert any(f"no image for {FFMPEG_STUCK_S:g} s" in line.message for line in machine.parent.logs)


async def test_without_an_ffmpeg_the_config_is_refused_and_works_as_soon_as_there_is_one(
    machine: Machine, tmp_path: Path
) -> None:
    link = tmp_path / "ffmpeg"
    await machine.parent.start_module(env={BINARY_VARIABLE: str(link)})
    for _ in range(2):
        with pytest.raises(GRPCError) as refused:
            await machine.add()
        assert_plain(refused.value, BINARY_VARIABLE, str(link))
    assert not list(tmp_path.glob("storage/*"))
    link.symlink_to(find_ffmpeg())
    await machine.add()
    await machine.until(lambda: machine.camera.delivered)
    from_us = machine.camera.delivered[0]
    await machine.recorded_until(from_us + US)
    check, answer = await machine.fetch(from_us, from_us + US)
    assert check.flawless and "ranges" not in answer, check


async def test_an_ffmpeg_that_is_missing_for_a_while_is_waited_for(machine: Machine, tmp_path: Path) -> None:
    """As while the system's package is brought up to date."""
    link = tmp_path / "ffmpeg"
    link.symlink_to(find_ffmpeg())
    await machine.parent.start_module(env={BINARY_VARIABLE: str(link)})
    await machine.add()
    await machine.record(1)
    link.unlink()
    for child in machine.parent.children():
        child.kill()

    async def says_so() -> bool:
        status = await machine.status()
        return status["recording"] is False and "cannot be started" in status["reason"]

    await machine.until(says_so)
    assert not machine.parent.children()
    link.symlink_to(find_ffmpeg())
    await machine.until(machine.parent.children)
    count = len(machine.camera.delivered)
    await machine.record(1)
    from_us, to_us = machine.camera.delivered[count + 1], machine.camera.delivered[-1]
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and "ranges" not in answer, check


async def test_an_encoder_that_fails_when_it_is_opened_is_told_and_tried_less_and_less_often(machine: Machine) -> None:
    """Every ffmpeg with the encoder lists it; whether there is a GPU shows when recording begins."""
    codec = "h264_nvenc"
    if codec not in await list_encoders(find_ffmpeg()) or Path("/dev/nvidia0").exists():
        pytest.skip(f"needs an ffmpeg with {codec}, and a machine without the hardware")
    await machine.add(video={"codec": codec})
    seen: list[Any] = []
    began = time.monotonic()
    while time.monotonic() - began < 4:
        seen.append(await machine.status())
        await asyncio.sleep(0.02)
    last = seen[-1]
    # At 0 s, 0.2 s, 0.6 s, 1.4 s, 3 s.
    assert 2 <= last["ffmpeg_restarts"] <= 5
    away = [status for status in seen if status["ffmpeg_restarts"]]
    assert sum(status["recording"] for status in away) < len(away) / 3
    reasons = {status["reason"] for status in away if not status["recording"]}
    assert reasons
    for reason in reasons:
        assert codec in reason or "encoder" in reason, reason
    assert not list(machine.storage.glob("*.mp4")) and not list(machine.storage.glob("*.open"))
    await machine.parent.reconfigure(NAME, machine.attributes())
    await machine.record(1)
    await machine.recorded_until(machine.camera.delivered[-1])
    assert (await machine.status())["recording"] is True
