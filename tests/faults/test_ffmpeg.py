"""Real ffmpeg faults: each ends a run at most, causes no busy loop, and recording resumes by itself."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from grpclib import GRPCError

from tests.support.child_processes import kill_all
from tests.support.lateness import watching_lateness
from tests.support.machine import NAME, US, Machine, now_us, run_machine, sent_error
from videostore.base.constants import FFMPEG_BACKOFF_S, FFMPEG_STUCK_S
from videostore.ffmpeg.process import BINARY_VARIABLE, find_ffmpeg, list_encoders


async def test_when_ffmpeg_is_killed_it_is_replaced_and_only_the_last_second_is_lost(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    async with watching_lateness() as late:
        await machine.until(lambda: machine.camera.delivered)
        from_us = machine.camera.delivered[0]
        await machine.until(lambda: machine.camera.delivered[-1] - from_us > 3 * US + 4 * late.us)
        before_us = now_us() - 2 * US - 4 * late.us
        killed_us = now_us()
        kill_all(machine.parent.children())
        await machine.record(2)
        after_us = killed_us + US + 4 * late.us
    await machine.recorded_until(after_us + US)
    status = await machine.status()
    assert status["recording"] is True and status["ffmpeg_restarts"] == 1
    check, _ = await machine.fetch(from_us, before_us)
    assert check.flawless, check
    dropped = 0
    while not (check := (await machine.fetch(after_us, after_us + US))[0]).flawless:
        # On a busy machine the next ffmpeg begins late: what had no room meanwhile is counted.
        status = await machine.status()
        assert status["dropped_frames"] > dropped, check
        dropped = status["dropped_frames"]
        after_us = machine.camera.delivered[-1]
        await machine.recorded_until(after_us + US)


async def test_an_ffmpeg_that_is_killed_repeatedly_is_restarted_at_growing_intervals(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(1.5)
    began_us = machine.camera.delivered[0]
    restarts: list[int] = []
    killed: dict[psutil.Process, float] = {}

    async def five_killed() -> bool:
        for child in machine.parent.children():
            killed.setdefault(child, time.monotonic())
            child.kill()
        restarts.append((await machine.status())["ffmpeg_restarts"])
        return len(killed) == 5

    await machine.until(five_killed)

    status: dict[str, Any] = {}

    async def waits_for_the_next_attempt() -> bool:
        status.update(await machine.status())
        return bool(status["ffmpeg_restarts"] == len(killed) and not status["recording"])

    await machine.until(waits_for_the_next_attempt)
    # At once, and then after 0.2 s, 0.4 s, 0.8 s, 1.6 s, 3.2 s.
    first_s, _ = FFMPEG_BACKOFF_S
    times = list(killed.values())
    for number, (one, other) in enumerate(itertools.pairwise(times)):
        assert other - one >= first_s * 2**number * 0.9, times
    assert restarts == sorted(restarts)
    assert status["recording"] is False and "ffmpeg exited" in status["reason"]

    async def records() -> bool:
        return bool((await machine.status())["recording"])

    async with watching_lateness() as late:
        await machine.until(records)
        assert time.monotonic() - times[-1] < first_s * 2 ** len(times) + 5 + 4 * late.us / US
    count = len(machine.camera.delivered)
    await machine.record(1)
    from_us, to_us = machine.camera.delivered[count], machine.camera.delivered[-1]
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and "ranges" not in answer, check
    status = await machine.status()
    assert status["ffmpeg_restarts"] == len(killed)
    # What each of them held is counted, and what came while none ran, however many a busy camera sends.
    check, _ = await machine.fetch(began_us, to_us)
    missing = len(check.missing_before) + len(check.missing_inside)
    assert 0 < missing <= status["dropped_frames"], check


async def test_an_ffmpeg_that_stops_reading_is_killed_and_memory_stays_bounded(tmp_path: Path) -> None:
    async with run_machine(tmp_path, width=1280, height=720) as machine:
        begun = time.monotonic()
        await machine.add(storage={"segment_seconds": 30})

        async def recording() -> bool:
            return bool((await machine.status())["recording"])

        await machine.until(recording)
        await machine.record(1)
        module = psutil.Process(machine.parent.process.pid)
        (ffmpeg,) = machine.parent.children()
        before_bytes, most_bytes = module.memory_info().rss, 0
        ffmpeg.suspend()
        suspended_us = now_us()

        def replaced() -> bool:
            nonlocal most_bytes
            most_bytes = max(most_bytes, module.memory_info().rss)
            return bool(machine.parent.children()) and ffmpeg not in machine.parent.children()

        await machine.until(replaced, FFMPEG_STUCK_S + 60)
        assert time.monotonic() - begun > FFMPEG_STUCK_S
        assert most_bytes - before_bytes < 64 << 20
        count = len(machine.camera.delivered)

        async def flawless_again() -> bool:
            """Fetch a second of new recording. The first frames can still be dropped on a busy machine."""
            to_us = machine.camera.delivered[-1] - US
            if to_us - US < machine.camera.delivered[count]:
                return False
            try:
                check, answer = await machine.fetch(to_us - US, to_us)
            except GRPCError:  # a busy machine may have no frame of this second
                return False
            return check.flawless and "ranges" not in answer

        await machine.until(lambda: len(machine.camera.delivered) > count)
        await machine.until(flawless_again)
        status = await machine.status()
        assert (status["recording"], status["ffmpeg_restarts"]) == (True, 1)
        check, _ = await machine.fetch(suspended_us, machine.camera.delivered[-1] - US)
        lost = len(check.missing_before) + len(check.missing_inside)
        assert 0 < lost <= status["dropped_frames"], check
        assert any(f"no image for {FFMPEG_STUCK_S:g} s" in line.message for line in machine.parent.logs)


async def test_without_ffmpeg_the_config_is_refused_until_ffmpeg_is_installed(machine: Machine, tmp_path: Path) -> None:
    link = tmp_path / "ffmpeg"
    await machine.start_module(env={BINARY_VARIABLE: str(link)})
    for _ in range(2):
        with pytest.raises(GRPCError) as refused:
            await machine.add()
        error = sent_error(refused.value)
        assert (error.code, error.fields["variable"]) == ("ffmpeg-not-runnable", BINARY_VARIABLE)
    assert not list(tmp_path.glob("storage/*"))
    link.symlink_to(find_ffmpeg())
    await machine.add()
    await machine.until(lambda: machine.camera.delivered)
    from_us = machine.camera.delivered[0]
    await machine.recorded_until(from_us + US)
    check, answer = await machine.fetch(from_us, from_us + US)
    assert check.flawless and "ranges" not in answer, check


async def test_recording_waits_for_an_ffmpeg_that_is_missing_for_a_while(machine: Machine, tmp_path: Path) -> None:
    """As while the system updates its package."""
    link = tmp_path / "ffmpeg"
    link.symlink_to(find_ffmpeg())
    await machine.start_module(env={BINARY_VARIABLE: str(link)})
    await machine.add()
    await machine.record(1)
    link.unlink()
    kill_all(machine.parent.children())

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


async def test_an_encoder_that_cannot_be_opened_is_reported_and_retried_at_growing_intervals(machine: Machine) -> None:
    """ffmpeg lists the encoder although there is no GPU; it fails when recording starts."""
    codec = "h264_nvenc"
    if codec not in await list_encoders(find_ffmpeg()) or Path("/dev/nvidia0").exists():
        pytest.skip(f"needs an ffmpeg with {codec}, and a machine without the hardware")
    began = time.monotonic()
    await machine.add(video={"codec": codec})
    reasons: set[str] = set()
    first_s, _ = FFMPEG_BACKOFF_S

    async def failed_four_times() -> bool:
        status = await machine.status()
        restarts = int(status["ffmpeg_restarts"])
        # At once, and then after 0.2 s, 0.4 s, 0.8 s …, but not sooner.
        assert time.monotonic() - began >= first_s * (2 ** (restarts - 1) - 1) * 0.9
        if restarts and not status["recording"]:
            reasons.add(status["reason"])
        return restarts >= 4 and not status["recording"]

    await machine.until(failed_four_times, 300)
    assert reasons
    for reason in reasons:
        assert codec in reason or "encoder" in reason, reason
    assert not list(machine.storage.glob("*.mp4")) and not list(machine.storage.glob("*.open"))
    await machine.parent.reconfigure(NAME, machine.attributes())
    await machine.record(1)
    await machine.recorded_until(machine.camera.delivered[-1])
    assert (await machine.status())["recording"] is True
