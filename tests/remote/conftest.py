"""In every test of a machine's clients, no code of `videostore` may wait for a disk on an event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import loop_watch


@pytest.fixture(autouse=True)
def no_blocking_calls(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails the test if a blocking call was made on a loop."""
    with loop_watch.no_blocking_calls(tmp_path_factory.mktemp("loop-watch") / "found", monkeypatch):
        yield
