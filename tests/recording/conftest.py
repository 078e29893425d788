"""What the tests of recording share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tests.support.recorder import Recording
from tests.support.recording import H264, LOGGER, START_US, US, Feed, FixedClock
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.packet import Gap, Packet
from videostore.recording.recorder import Recorder
from videostore.recording.run import Run


@pytest.fixture
async def start(tmp_path: Path, binary: str) -> AsyncIterator[Callable[..., Recording]]:
    """Starts recorders, and stops them at the end of the test."""
    started: list[Recording] = []

    async def last_stored(run: Run) -> int:
        for path in reversed(run.open_paths()):
            with contextlib.suppress(NotOursError, OSError):
                return read_fragments(path).fragments[-1].times_us[-1]
        return run.epoch_us - 1

    def begin(*items: Packet | Gap | Exception, ffmpeg: str = binary, encoder: Encoder = H264) -> Recording:
        feed, clock = Feed(*items), FixedClock(wall=START_US + 60 * US)
        ended: list[Run] = []

        async def on_run_end(run: Run) -> None:
            ended.append(run)

        recorder = Recorder(
            feed,
            encoder,
            binary=ffmpeg,
            directory=tmp_path,
            segment_seconds=2,
            clock=clock,
            logger=LOGGER,
            on_run_end=on_run_end,
            last_stored=last_stored,
        )
        feed.wait_for(lambda: recorder)
        started.append(Recording(feed, clock, tmp_path, recorder, asyncio.create_task(recorder.record()), ended))
        return started[-1]

    yield begin
    for recording in started:
        await recording.stop()
    assert psutil.Process().children() == []


@pytest.fixture
def slow(tmp_path: Path, binary: str) -> tuple[str, Path]:
    """An ffmpeg that begins to work when a file is there."""
    path, ready = tmp_path / "slow", tmp_path / "ready"
    path.write_text(f"#!/bin/sh\nwhile [ ! -e '{ready}' ]; do sleep 0.05; done\nexec '{binary}' \"$@\"\n")
    path.chmod(0o755)
    return str(path), ready
