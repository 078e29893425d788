"""The figures of a recorder are those of its module as long as that speaks, and those of its files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US, FixedClock, until
from videostore.web.figures import figures_of
from videostore.web.recorders import Recorder, RecorderPlace, Recorders

STATUS = {
    "recording": True,
    "frames_per_second": 20.0,
    "recorded_frames": 1234,
    "dropped_frames": 1,
    "faulty_frames": 2,
    "ffmpeg_restarts": 3,
    "pending_saves": 4,
    "failed_saves": [{"filename": "x", "reason": "y"}],
    "limit_bytes": 10**9,
}


@pytest.fixture
async def recorders() -> AsyncIterator[Recorders]:
    found = Recorders(LOGGER)
    yield found
    await found.close()


@pytest.fixture
async def recorder(recorders: Recorders, recording: Path) -> Recorder:
    return recorders.add(RecorderPlace("door", recording))


async def test_at_rest_they_are_those_of_the_files(recorder: Recorder, times: list[int]) -> None:
    clock = FixedClock(wall=times[-1] + 60_000_000)
    figures = await figures_of(recorder, clock)
    assert figures.readable and figures.recording is None and figures.frames is None and figures.quota_bytes is None
    assert figures.segments == 4 and (figures.stored_bytes or 0) > 0 and figures.gaps == 0
    assert figures.oldest_us == times[0] == START_US
    assert figures.newest_age_s == pytest.approx(60, abs=0.5)


async def test_what_the_module_says_is_added(recorder: Recorder) -> None:
    recorder.tell(STATUS)
    figures = await figures_of(recorder)
    assert (figures.recording, figures.frames, figures.dropped, figures.faulty) == (True, 1234, 1, 2)
    assert (figures.restarts, figures.pending_saves, figures.failed_saves) == (3, 4, 1)
    assert (figures.frames_per_second, figures.quota_bytes, figures.damaged) == (20.0, 10**9, 0)


async def test_a_recorder_without_a_camera_is_not_said_to_fail(recorder: Recorder) -> None:
    recorder.tell({"recording": False, "reason": "no camera is configured", "pending_saves": 0, "failed_saves": []})
    assert (await figures_of(recorder)).recording is None


async def test_when_the_module_speaks_no_more_it_counts_as_not_recording(recorder: Recorder) -> None:
    recorder.tell(STATUS)
    recorder._told_at -= 60
    figures = await figures_of(recorder)
    assert figures.recording is False and figures.frames is None and figures.readable


async def test_a_directory_that_cannot_be_read_is_told(recorders: Recorders, tmp_path: Path) -> None:
    recorder = recorders.add(RecorderPlace("none", tmp_path / "none"))
    await until(lambda: recorder.trouble is not None)
    recorder.tell(STATUS)
    figures = await figures_of(recorder)
    assert not figures.readable and figures.recording and figures.stored_bytes is None
