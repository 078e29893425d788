"""A machine with a real viam-server for each test. Without a viam-server the tests are skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scripts.viam_server import VARIABLE, find
from tests.server.served_machine import ServedMachine, serve_machine


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[ServedMachine]:
    """A machine whose config has a recorder and a data manager, and whose viam-server is not started yet."""
    server = find()
    if server is None:
        pytest.skip(f"there is no viam-server: run `make test-server`, or name one in {VARIABLE}")
    async with serve_machine(server, tmp_path) as machine:
        machine.add_recorder()
        machine.add_data_manager()
        yield machine
