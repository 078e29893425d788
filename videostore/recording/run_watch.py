"""Watches a run: notices an ffmpeg that exits by itself, and one whose output is wrong."""

from __future__ import annotations

import asyncio
import logging

from videostore.base.beat import until_beat
from videostore.media.packet import Gap
from videostore.recording.backlog import Backlog
from videostore.recording.frame_tally import Verdict
from videostore.recording.health import HealthMeter
from videostore.recording.run import Run

_JUDGE_INTERVAL_S, _JUDGE_COPY_INTERVAL_S = 0.25, 2.0
"""How often what came out of ffmpeg is compared with what went in: what is not decoded can only be late."""


async def watch(run: Run, backlog: Backlog, meter: HealthMeter, logger: logging.Logger, *, copies: bool) -> None:
    """Put the run into the backlog when its ffmpeg has exited or nothing comes out of it, even while no images arrive.

    `copies`: it decodes nothing.
    """
    exited = asyncio.ensure_future(run.wait())
    every_s = _JUDGE_COPY_INTERVAL_S if copies else _JUDGE_INTERVAL_S
    try:
        while not (await asyncio.wait([exited], timeout=until_beat(every_s)))[0]:
            if _is_silent(run, backlog, meter, logger):
                break
    finally:
        exited.cancel()
    backlog.put(run)


def _is_silent(run: Run, backlog: Backlog, meter: HealthMeter, logger: logging.Logger) -> bool:
    """Whether nothing comes out of a run. If only its decoder refuses what it gets, recording pauses."""
    verdict = run.judge()
    meter.note_faults(run)
    if verdict is Verdict.FAULTY and not meter.undecodable:
        meter.undecodable = run.fault
        logger.warning("Not recording: %s.", run.fault)
        if run.tally.recorded:  # the last image must not appear to last
            backlog.put(Gap(run.fault))
    return verdict is Verdict.SILENT
