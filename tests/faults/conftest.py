"""In every test of faults, no code of `videostore` may wait for a disk on an event loop, in no process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.loop_watch import PROCESS_DIRECTORY, REPORT_VARIABLE, watching


@pytest.fixture(autouse=True)
def no_blocking_calls(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails the test if a blocking call was made on a loop."""
    report: Path = tmp_path_factory.mktemp("loop-watch") / "found"
    monkeypatch.setenv(REPORT_VARIABLE, str(report))
    path = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROCESS_DIRECTORY), *([path] if path else [])]))
    found: list[str] = []
    with watching(found.append):
        yield
    if report.exists():
        found += report.read_text(encoding="utf-8").splitlines()
    places = {line.partition(": ")[0]: line for line in found}  # one example of each
    assert sorted(places.values()) == []
