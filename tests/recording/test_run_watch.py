from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.recording import H264, LOGGER, SMALL, START_US, packet
from videostore.media.packet import Gap
from videostore.recording.backlog import Backlog
from videostore.recording.frame_tally import Verdict
from videostore.recording.run import Run
from videostore.recording.run_watch import watch


class Meter(SimpleNamespace):
    """What is noted of a run."""

    undecodable = ""
    noted = 0

    def note_faults(self, _run: Run) -> None:
        self.noted += 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.recording.run_watch._JUDGE_INTERVAL_S", 0.01)


async def test_an_ffmpeg_that_exits_is_noticed_while_no_images_arrive(tmp_path: Path, binary: str) -> None:
    run = await Run.start(
        packet(START_US, SMALL), binary=binary, encoder=H264, directory=tmp_path, segment_seconds=2, logger=LOGGER
    )
    backlog, meter = Backlog(), Meter()
    watching = asyncio.create_task(watch(run, backlog, meter, LOGGER, copies=False))  # type: ignore[arg-type]
    await run.kill()
    assert await backlog.get() is run
    await watching


@pytest.mark.parametrize("recorded", [0, 5])
async def test_images_that_cannot_be_decoded_are_told_once_and_pause_a_recording_that_has_begun(
    tmp_path: Path, binary: str, monkeypatch: pytest.MonkeyPatch, recorded: int
) -> None:
    run = await Run.start(
        packet(START_US, SMALL), binary=binary, encoder=H264, directory=tmp_path, segment_seconds=2, logger=LOGGER
    )
    found = iter([Verdict.FINE, Verdict.FAULTY, Verdict.FAULTY, Verdict.SILENT])
    monkeypatch.setattr(run, "judge", lambda: next(found))
    run.tally.recorded = recorded
    backlog, meter = Backlog(), Meter()
    await watch(run, backlog, meter, LOGGER, copies=False)  # type: ignore[arg-type]
    await run.kill()
    assert meter.undecodable == run.fault and meter.noted == 4
    if recorded:
        assert backlog.get_nowait() == Gap(run.fault)
    assert backlog.get_nowait() is run and backlog.get_nowait() is None
