from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest

from tests.support.recording import LOGGER, until
from videostore.recording.run import Run
from videostore.recording.syncer import Syncer


class Synced(Run):
    """A run that counts how often it is synced."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.synced = 0
        self.threads: set[int] = set()

    def sync(self) -> None:
        self.synced += 1
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error


class Hanging(Synced):
    """A run whose disk does not answer until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def sync(self) -> None:
        super().sync()
        self.released.wait()


@pytest.fixture
def runs() -> Iterator[list[Run | None]]:
    """The current run, which a syncer reads from here."""
    current: list[Run | None] = [None]
    syncer = Syncer(lambda: current[0], LOGGER)
    yield current
    syncer.stop()


async def test_the_current_run_is_synced_again_and_again_in_another_thread(runs: list[Run | None]) -> None:
    first, second = Synced(), Synced()
    runs[0] = first
    await until(lambda: first.synced >= 2)
    runs[0] = second
    await until(lambda: second.synced >= 2)
    assert first.threads == second.threads != {threading.get_ident()}


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("a mistake in here")])
async def test_a_sync_that_fails_is_told_and_tried_again(
    runs: list[Run | None], caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    failing = Synced(error)
    with caplog.at_level(logging.WARNING):
        runs[0] = failing
        await until(lambda: failing.synced >= 2)
    assert "could not be synced to disk" in caplog.text


async def test_nothing_is_synced_after_it_was_stopped() -> None:
    run = Synced()
    syncer = Syncer(lambda: run, LOGGER)
    await until(lambda: run.synced >= 1)
    syncer.stop()
    await until(lambda: not any(one.ident in run.threads for one in threading.enumerate()))
    synced = run.synced
    assert synced >= 1 and run.synced == synced


@contextlib.contextmanager
def synced(*runs: Run) -> Iterator[None]:
    """A syncer for each of these."""
    syncers = [Syncer(lambda run=run: run, LOGGER) for run in runs]  # type: ignore[misc]
    try:
        yield
    finally:
        for one in syncers:
            one.stop()


def threads() -> int:
    return sum(one.name == "videostore sync" for one in threading.enumerate())


async def test_many_recorders_share_their_threads() -> None:
    runs = [Synced() for _ in range(16)]
    with synced(*runs):
        await until(lambda: all(one.synced >= 3 for one in runs))
        assert len(set.union(*(one.threads for one in runs))) < len(runs)
        await until(lambda: threads() <= 2)
    await until(lambda: not threads())


async def test_disks_that_hang_keep_no_other_recorder_from_being_synced() -> None:
    hanging, runs = [Hanging() for _ in range(3)], [Synced() for _ in range(4)]
    try:
        with synced(hanging[0], *runs, *hanging[1:]):
            await until(lambda: all(one.synced for one in hanging))
            before = [one.synced for one in runs]
            await until(lambda: all(one.synced >= more + 3 for one, more in zip(runs, before, strict=True)))
            assert [one.synced for one in hanging] == [1, 1, 1]
            for one in hanging:
                one.released.set()
            await until(lambda: all(one.synced >= 2 for one in hanging))
            await until(lambda: threads() <= 2)
    finally:
        for one in hanging:
            one.released.set()
    await until(lambda: not threads())


async def test_a_recorder_that_starts_while_the_only_other_one_hangs_is_synced() -> None:
    hanging, run = Hanging(), Synced()
    try:
        with synced(hanging):
            await until(lambda: bool(hanging.synced))
            with synced(run):
                await until(lambda: run.synced >= 2)
    finally:
        hanging.released.set()
    await until(lambda: not threads())


async def test_a_thread_that_cannot_start_is_started_for_the_next_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    await until(lambda: not any(one.name == "videostore sync" for one in threading.enumerate()))

    def no_more_threads(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError, match="can't start"):
            Syncer(lambda: None, LOGGER)
    run = Synced()
    with synced(run):
        await until(lambda: run.synced >= 2)
