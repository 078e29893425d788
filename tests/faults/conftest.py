"""In every test of faults, no code of `videostore` may wait for a disk on an event loop, in no process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import loop_watch


@pytest.fixture(autouse=True)
def no_blocking_calls(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails the test if a blocking call was made on a loop."""
    with loop_watch.no_blocking_calls(tmp_path_factory.mktemp("loop-watch") / "found", monkeypatch):
        yield


@pytest.fixture
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and maintenance of an index come twice a second."""
    monkeypatch.setattr("videostore.storage.maintenance.INDEX_RETRY_S", 0.5)
    monkeypatch.setattr("videostore.storage.maintenance._TICK_S", 0.5)
    monkeypatch.setattr("videostore.storage.database_connection.INDEX_BUSY_S", 0.5)
