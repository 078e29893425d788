from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.recording import US
from videostore.clips.progress import CutProgress
from videostore.ffmpeg.process import ffmpeg_output


async def follow(progress: CutProgress, *lines: str) -> None:
    output = asyncio.StreamReader()
    output.feed_data("".join(f"{line}\n" for line in lines).encode())
    output.feed_eof()
    await progress.follow(output)


async def test_the_shares_of_several_runs_add_up_to_all_of_the_work() -> None:
    shares: list[float] = []
    progress = CutProgress(4 * US, shares.append)
    await follow(progress, "frame=1", f"out_time_us={US}", "out_time_us=N/A", "progress=continue")
    await follow(progress, f"out_time_us={2 * US}", f"out_time_us={US}", f"out_time_us={3 * US}", "progress=end")
    assert shares == [0.25, 0.75, 0.75, 1.0]


async def test_a_share_is_never_more_than_one() -> None:
    shares: list[float] = []
    for total_us in (0, US):
        await follow(CutProgress(total_us, shares.append), f"out_time_us={9 * US}")
    assert shares == [1.0, 1.0]


async def test_without_a_listener_the_output_is_read_all_the_same() -> None:
    await asyncio.wait_for(follow(CutProgress(US), f"out_time_us={US}", "progress=end"), 150)


async def test_the_progress_of_an_ffmpeg_reaches_its_end(binary: str, tmp_path: Path) -> None:
    shares: list[float] = []
    source = ["-f", "lavfi", "-i", "testsrc=size=160x144:rate=10:duration=3", "-progress", "pipe:1", "-nostats"]
    async with ffmpeg_output([binary, "-v", "error", *source, str(tmp_path / "out.mp4")]) as output:
        await CutProgress(3 * US, shares.append).follow(output)
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1, abs=0.1)
