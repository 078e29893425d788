"""Many requests at once: they wait their turn, leave nothing behind, and do not disturb the recording."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
from grpclib import GRPCError, Status
from grpclib.client import Channel
from viam.components.camera.client import CameraClient

from scripts.fakes.painted_camera import check_clip, read_clip
from scripts.fakes.viam_server import Parent
from tests.support.amount import at_most, cut_short, some
from tests.support.child_processes import command_of
from tests.support.machine import NAME, US, Machine, exact, small_camera
from videostore.base.constants import CUT_NICENESS
from videostore.clips.cutter import FETCHES_AT_ONCE, SAVES_AT_ONCE
from videostore.clips.workspace import WORK_DIRECTORY
from videostore.ffmpeg.process import BINARY_VARIABLE, find_ffmpeg, run_ffmpeg


class ChildWatch:
    """Watches the module's ffmpeg children from a thread inside its context."""

    def __init__(self, machine: Machine) -> None:
        self._module = psutil.Process(machine.parent.process.pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most_cuts = self.most_joins = 0
        """At once: of those that encode edges or do all of a clip, and of those that join pieces, and wait for them."""
        self.recorders: set[int] = set()
        self.recorder_nice = 0
        self.nice: defaultdict[int, list[int]] = defaultdict(list)
        """Niceness of each child that cuts, by pid, every time it was seen."""

    def __enter__(self) -> ChildWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def seen_well(self) -> list[int]:
        """The last niceness of each child that cuts and was seen more than briefly."""
        return [seen[-1] for seen in list(self.nice.values()) if len(seen) > 2]

    def _look(self) -> None:
        while not self._ended.wait(0.005):
            cuts: list[psutil.Process] = []
            joins: list[psutil.Process] = []
            for child in self._module.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    command = child.cmdline()
                    if (
                        not command or command == self._module.cmdline()
                    ):  # it has ended, or is no program of its own yet
                        continue
                    if "segment" in command:
                        self.recorders.add(child.pid)
                        self.recorder_nice = child.nice()
                    else:
                        (joins if "pipe:0" in command else cuts).append(child)
                        self.nice[child.pid].append(child.nice())
            # One that ended while the others were looked for was not there at once with the one that followed it.
            self.most_cuts = max(self.most_cuts, sum(map(_runs, cuts)))
            self.most_joins = max(self.most_joins, sum(map(_runs, joins)))


def _runs(child: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return child.status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.asynccontextmanager
async def slow_machine(directory: Path) -> AsyncIterator[tuple[Machine, Callable[[float], object]]]:
    """A machine, and a function that makes each of its cuts take this many seconds longer."""
    delay, script = directory / "delay", directory / "ffmpeg"
    script.write_text(
        f"#!{sys.executable} -ISE\n"
        "import os, sys, time\n"
        f"if any('{WORK_DIRECTORY}' in argument for argument in sys.argv):\n"
        f"    time.sleep(float(open({str(delay)!r}).read()))\n"
        f"os.execv({find_ffmpeg()!r}, sys.argv)\n"
    )
    script.chmod(0o755)
    delay.write_text("0")
    camera = small_camera()
    async with Parent([camera]) as parent:
        machine = Machine(parent, camera, directory)
        await machine.start_module(env={BINARY_VARIABLE: str(script)})
        yield machine, lambda seconds: delay.write_text(str(seconds))


async def record_for(machine: Machine, seconds: float) -> None:
    """Record for this long, and return when all but the last second can be fetched."""
    await machine.add()
    await machine.record(seconds)
    await machine.recorded_until(machine.camera.delivered[0] + round((seconds - 1) * US))


async def assert_undisturbed(machine: Machine, from_us: int, to_us: int) -> None:
    """Check that all of a range is recorded, that no frame was dropped and ffmpeg was not restarted."""
    await machine.recorded_until(to_us)
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, check
    status = await machine.status()
    assert (status["recording"], status["ffmpeg_restarts"], status["dropped_frames"]) == (True, 0, 0)


def cutting(machine: Machine) -> list[psutil.Process]:
    """The module's children that cut clips."""
    commands = ((child, command_of(child)) for child in machine.parent.children())
    return [child for child, command in commands if command and "segment" not in command]


def leftovers(machine: Machine) -> list[Any]:
    """Processes and files that a request must not leave behind."""
    temporary = machine.storage.glob(f"{WORK_DIRECTORY}/*")
    return [*cutting(machine), *temporary, *machine.upload.rglob("*.prog")]


@cut_short
async def test_many_requests_at_once_get_right_clips_from_few_processes_while_recording(
    machine: Machine,
) -> None:
    await record_for(machine, 4.8)
    delivered = machine.camera.delivered
    first_us = delivered[0]
    count = at_most(50, 30)
    ranges = [(first_us + number * 40_000, first_us + number * 40_000 + 1_700_000) for number in range(count)]
    kinds: list[dict[str, Any]] = [
        {"name": "fetch"},
        {"name": "save", "metadata": "load"},
        {"name": "fetch", "container": "fmp4"},
        {"name": "save", "async": True},
        {"name": "fetch"},
    ]
    with ChildWatch(machine) as watch:
        requests = [
            machine.command(**kinds[number % 5], from_us=from_us, to_us=to_us)
            for number, (from_us, to_us) in enumerate(ranges)
        ]
        answers = await asyncio.gather(*requests)
        deadline = time.monotonic() + 150
        for from_us, to_us in itertools.cycle(ranges):  # a busy machine may have seen only some of them for long enough
            if (len(watch.seen_well()) > 5 and watch.most_joins) or time.monotonic() > deadline:
                break
            await machine.command("fetch", from_us=from_us, to_us=to_us)

        async def saved() -> bool:
            return bool((await machine.status())["pending_saves"] == 0)

        await machine.until(saved)
    load_end_us = delivered[-1]
    assert watch.most_cuts <= FETCHES_AT_ONCE + SAVES_AT_ONCE
    assert 0 < watch.most_joins <= FETCHES_AT_ONCE + SAVES_AT_ONCE
    assert len(watch.recorders) == 1
    last = watch.seen_well()
    assert len(last) > 5 and sum(nice > watch.recorder_nice for nice in last) > 0.8 * len(last), watch.nice
    assert len({answer["filename"] for answer in answers if "filename" in answer}) == count * 2 // 5
    for (from_us, to_us), answer in zip(ranges, answers, strict=True):
        clip = base64.b64decode(answer["video"]) if "video" in answer else machine.upload / answer["filename"]
        check = check_clip(await asyncio.to_thread(read_clip, clip), delivered, from_us, to_us)
        assert check.flawless and check.drift_ms < 5 and "ranges" not in answer, (answer["command"], check)
    await assert_undisturbed(machine, first_us, load_end_us)
    await machine.until(lambda: not leftovers(machine))


async def test_all_threads_that_cut_a_clip_run_at_low_priority_while_the_module_is_busy() -> None:
    """A priority that is set after the start of a process would apply only to its first thread."""
    # At the pace of a camera: only its threads are of interest.
    lengthy = ["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=640x360:rate=30:duration=600"]
    coding = ["-c:v", "libx264", "-f", "null", "-"]
    cut = asyncio.ensure_future(run_ffmpeg([find_ffmpeg(), *lengthy, *coding], niceness=CUT_NICENESS))
    lowered = min(19, os.nice(0) + CUT_NICENESS)
    seen: list[int] = []
    try:
        deadline = time.monotonic() + 30
        # Until its decoder, filters and encoder run. The event loop of this process is blocked most of the time.
        while (len(seen) < 8 or set(seen) != {lowered}) and time.monotonic() < deadline:
            time.sleep(0.02)  # noqa: ASYNC251 (as while a large answer is built)
            await asyncio.sleep(0)
            seen = [nice for child in psutil.Process().children() for nice in nice_of_threads(child)]
        assert len(seen) >= 8 and set(seen) == {lowered}
    finally:
        cut.cancel()
        await asyncio.wait([cut])


def nice_of_threads(process: psutil.Process) -> list[int]:
    """The niceness of each thread: on Linux each has its own."""
    nice = []
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        for thread in process.threads():
            nice.append(os.getpriority(os.PRIO_PROCESS, thread.id))
    return nice


async def test_a_fetch_does_not_wait_for_saves_and_fetches_end_in_order(tmp_path: Path) -> None:
    """A busy machine may hold up one cut for as long as others take: then each takes longer, and it is tried again."""
    async with slow_machine(tmp_path) as (machine, set_delay):
        await record_for(machine, 2.1)
        for delay_s in (0.25, 1.0, 4.0):
            set_delay(delay_s)
            saves, places = await cut_side_by_side(machine)
            if saves <= 4 and max(places) <= FETCHES_AT_ONCE:
                break
        assert saves <= 4
        assert max(places) <= FETCHES_AT_ONCE, places  # so many are cut at the same time


async def cut_side_by_side(machine: Machine) -> tuple[int, list[int]]:
    """Send fetches while saves wait. How many saves end during the first; how far from its place each fetch ends."""
    from_us = machine.camera.delivered[0]
    ended: list[tuple[str, int]] = []

    async def request(name: str, number: int) -> None:
        await machine.command(name, from_us=from_us, to_us=from_us + US)
        ended.append((name, number))

    saves = [asyncio.ensure_future(request("save", number)) for number in range(9)]
    await machine.until(lambda: ended)
    before = len(ended)
    await request("fetch", 0)
    saved = len(ended) - 1 - before
    fetches = []
    for number in range(1, 11):
        fetches.append(asyncio.ensure_future(request("fetch", number)))
        await asyncio.sleep(0.02)  # one after the other, so that there is an order
    await asyncio.gather(*fetches, *saves)
    order = [number for name, number in ended if name == "fetch"]
    return saved, [abs(place - number) for place, number in enumerate(order)]


async def cancel(machine: Machine, send: Callable[[Any, float | None], list[Awaitable[Any]]]) -> None:
    """The client cancels its requests."""
    requests = [asyncio.ensure_future(request) for request in send(machine.parent.camera(NAME), None)]
    await machine.until(lambda: len(cutting(machine)) == FETCHES_AT_ONCE + SAVES_AT_ONCE)
    for request in requests:
        request.cancel()
    await asyncio.wait(requests)


async def time_out(machine: Machine, send: Callable[[Any, float | None], list[Awaitable[Any]]]) -> None:
    """The client's timeout passes. On a busy machine it may be over before all are cut: then a longer one is tried."""
    timeout_s, were_cut = 2.5, False

    def cut_or_over() -> bool:
        nonlocal were_cut
        were_cut = were_cut or len(cutting(machine)) == FETCHES_AT_ONCE + SAVES_AT_ONCE
        return were_cut or all(request.done() for request in requests)

    while not were_cut:
        requests = [asyncio.ensure_future(request) for request in send(machine.parent.camera(NAME), timeout_s)]
        await machine.until(cut_or_over)
        for outcome in await asyncio.gather(*requests, return_exceptions=True):
            assert isinstance(outcome, (GRPCError, asyncio.TimeoutError)), outcome
            if isinstance(outcome, GRPCError):
                assert outcome.status is Status.DEADLINE_EXCEEDED, outcome
        timeout_s *= 2


async def hang_up(machine: Machine, send: Callable[[Any, float | None], list[Awaitable[Any]]]) -> None:
    """The client closes its connection."""
    socket = max(machine.parent.directory.glob("module-*.sock"))
    channel = Channel(path=str(socket))
    requests = [asyncio.ensure_future(request) for request in send(CameraClient(NAME, channel), None)]
    await machine.until(lambda: len(cutting(machine)) == FETCHES_AT_ONCE + SAVES_AT_ONCE)
    channel.close()
    await asyncio.wait(requests, timeout=3)
    for request in requests:  # one that was not sent yet has opened a new connection
        request.cancel()
    channel.close()
    await asyncio.gather(*requests, return_exceptions=True)


@some("end", [hang_up, time_out, cancel], 2)
async def test_abandoned_requests_leave_no_process_and_no_file(
    tmp_path: Path, end: Callable[..., Awaitable[None]]
) -> None:
    async with slow_machine(tmp_path) as (machine, set_delay):
        await record_for(machine, 2.1)
        set_delay(600)
        from_us = machine.camera.delivered[0]

        def send(camera: CameraClient, timeout_s: float | None) -> list[Awaitable[Any]]:
            asked = {"from": exact(from_us), "to": exact(from_us + US)}
            names = ["fetch", "save"] * 4
            return [camera.do_command({"command": name, **asked}, timeout=timeout_s) for name in names]

        await end(machine, send)
        await machine.until(lambda: not leftovers(machine))
        assert not [path for path in machine.upload.rglob("*") if path.is_file()]
        set_delay(0)
        await assert_undisturbed(machine, from_us, machine.camera.delivered[-1])
        output = [*machine.parent.module_output, *(line.message for line in machine.parent.logs)]
        assert not any("Traceback" in line for line in output), output


async def test_after_a_kill_during_requests_the_next_start_removes_incomplete_clips(
    tmp_path: Path,
) -> None:
    async with slow_machine(tmp_path) as (machine, set_delay):
        await record_for(machine, 2.1)
        from_us = machine.camera.delivered[0]
        whole = await machine.command("save", from_us=from_us, to_us=from_us + US)
        set_delay(600)
        requests = [
            asyncio.ensure_future(machine.command(name, from_us=from_us, to_us=from_us + US))
            for name in ("fetch", "save") * 2
        ]
        await machine.until(lambda: len(cutting(machine)) == FETCHES_AT_ONCE + SAVES_AT_ONCE)
        machine.parent.process.kill()
        await machine.parent.process.wait()
        for outcome in await asyncio.gather(*requests, return_exceptions=True):
            assert isinstance(outcome, Exception)
        await machine.until(lambda: not machine.parent.leftovers())  # the cutting processes end with it
        set_delay(0)
        assert list(machine.storage.glob(f"{WORK_DIRECTORY}/*"))
        assert list(machine.upload.glob("*.mp4")) == [machine.upload / whole["filename"]]
        await machine.start_module()
        await machine.add(camera=None)
        assert not leftovers(machine)
        assert list(machine.upload.iterdir()) == [machine.upload / whole["filename"]]
        await machine.recorded_until(from_us + US)
        check, _ = await machine.fetch(from_us, from_us + US)
        assert check.flawless, check
