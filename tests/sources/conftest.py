from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.child_processes import running_children
from tests.support.inputs import NetworkCamera


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After each test no process and no thread of an input is left."""
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "videostore input"]
    assert not running_children(word="nut")


@pytest.fixture
async def camera() -> AsyncIterator[NetworkCamera]:
    """A network camera that the test starts."""
    camera = NetworkCamera()
    yield camera
    await camera.stop()
