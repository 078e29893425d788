from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from tests.support.recording import until
from videostore.base.lanes import Lane, LanedThreads, take_lane, use_lanes
from videostore.base.tasks import off_loop

_PATIENCE_S = 60


class Hanging:
    """Calls that do not return until they are released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.running = 0
        self._lock = threading.Lock()

    def call(self) -> str:
        with self._lock:
            self.running += 1
        assert self.released.wait(_PATIENCE_S)
        return "released"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    disk = Hanging()
    yield disk
    disk.released.set()


@pytest.fixture(autouse=True)
async def lanes() -> None:
    use_lanes()


async def test_a_call_returns_its_result_or_its_error_in_a_lane_and_without_one() -> None:
    for lane in (contextlib.nullcontext(), Lane().taken()):
        with lane:
            assert await off_loop(divmod, 7, 2) == (3, 1)
            with pytest.raises(ZeroDivisionError):
                await off_loop(divmod, 1, 0)


async def test_calls_that_hang_in_one_lane_keep_no_call_of_another_one_waiting(hanging: Hanging) -> None:
    lane = Lane(2)
    with lane.taken():
        calls = [asyncio.create_task(off_loop(hanging.call)) for _ in range(50)]
        await until(lambda: hanging.running == 2)
        for call in calls:  # who asked has given up, and asks again
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        waiting = asyncio.create_task(off_loop(divmod, 7, 2))
    with Lane(2).taken():
        assert await off_loop(divmod, 9, 2) == (4, 1)
    assert await off_loop(divmod, 9, 2) == (4, 1)
    assert hanging.running == 2 and not waiting.done()
    hanging.released.set()
    assert await waiting == (3, 1)
    assert hanging.running == 2  # what was cancelled before it began was not done


async def test_tasks_take_the_lane_in_which_they_were_begun(hanging: Hanging) -> None:
    async def ask() -> str:
        return await off_loop(hanging.call)

    with Lane(1).taken():
        first, second = asyncio.create_task(ask()), asyncio.create_task(ask())
    await until(lambda: hanging.running)
    take_lane(None)
    assert await off_loop(divmod, 7, 2) == (3, 1)
    assert hanging.running == 1
    hanging.released.set()
    assert [await first, await second] == ["released", "released"]


async def test_calls_that_were_given_up_while_they_waited_are_not_kept(hanging: Hanging) -> None:
    lane = Lane(1)
    with lane.taken():
        kept = asyncio.create_task(off_loop(hanging.call))
        await until(lambda: hanging.running)
        for _ in range(2000):
            call = asyncio.create_task(off_loop(divmod, 1, 1))
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
    assert len(lane) < 200
    hanging.released.set()
    assert await kept == "released"


async def test_a_lane_goes_on_after_the_system_had_no_thread_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane(1)

    def fail(call: object) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.raises(RuntimeError):
        lane.submit(fail, lambda: None)
    threads = LanedThreads(1)
    assert lane.submit(threads.submit, lambda: 7).result(_PATIENCE_S) == 7
    threads.shutdown()
