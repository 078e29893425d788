from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from tests.support.recording import LOGGER, until
from videostore.recording.run import Run
from videostore.recording.syncer import Syncer


class Synced(Run):
    """A run that counts how often it is synced."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error = error
        self.synced = 0
        self.threads: set[int] = set()

    def sync(self) -> None:
        self.synced += 1
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error


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


async def test_a_sync_that_fails_is_told_and_tried_again(
    runs: list[Run | None], caplog: pytest.LogCaptureFixture
) -> None:
    failing = Synced(OSError(5, "Input/output error"))
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
