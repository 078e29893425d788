from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.coding import write_video
from tests.support.recording import H264, LOGGER, START_US, US, capture_times
from videostore.base.errors import RequestError
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.footage import survey
from videostore.media.import_tag import read_import
from videostore.media.segment_names import open_name, run_comment
from videostore.recording.import_command import import_command

TIMES = capture_times(5, fps=20)
RUN_US = START_US - 2


async def imported(path: Path, directory: Path, encoder: Encoder) -> tuple[list[int], list[Path]]:
    footage = survey(path, lambda _: None, lambda: False)
    directory.mkdir()
    command = import_command(
        find_ffmpeg(),
        path,
        footage,
        encoder=encoder,
        directory=directory,
        start_us=START_US,
        run_us=RUN_US,
        segment_seconds=2,
        logger=LOGGER,
    )
    await run_ffmpeg(command)
    found = sorted(directory.iterdir())
    assert {read_fragments(one).comment for one in found} == {run_comment(RUN_US)}
    assert {read_import(one) for one in found} == {footage.digest}
    return [time_us for one in found for time_us in read_fragments(one).times_us], found


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
async def test_every_frame_has_its_time_to_the_unit_of_the_file(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"100% of the video{suffix}"
    write_video(path, codec, TIMES)
    times, found = await imported(path, tmp_path / "100% stored", Encoder.copy())
    unit_us = 1 if suffix == ".mp4" else US / 90000
    assert times[0] == START_US
    assert times == pytest.approx(TIMES, abs=unit_us + 1)
    assert [one.name for one in found] == [open_name(RUN_US, number) for number in range(len(found))]
    assert len(found) > 1


async def test_what_is_encoded_keeps_its_times(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, "h264", TIMES, b_frames=2)
    times, _ = await imported(path, tmp_path / "stored", replace(H264, framerate=20))
    assert times == pytest.approx(TIMES, abs=2)


def test_the_cuts_of_days_with_gaps_fit_into_a_command(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, "h264", TIMES)
    footage = survey(path, lambda _: None, lambda: False)
    first_us, day_us = footage.first_us, 86_400 * US

    def cuts(stretches_us: tuple[int, ...], last_us: int) -> list[str]:
        long = replace(footage, stretches_us=stretches_us, last_us=last_us)
        command = import_command(
            *(find_ffmpeg(), path, long),
            encoder=Encoder.copy(),
            directory=tmp_path,
            start_us=START_US,
            run_us=RUN_US,
            segment_seconds=30,
            logger=LOGGER,
        )
        assert max(map(len, command)) < 1 << 17
        return command[command.index("-segment_times") + 1].split(",")

    gap_us = 2 * day_us + 1
    for days, apart_s in ((3, 30), (30, 480)):
        found = cuts((first_us, first_us + gap_us), first_us + days * day_us)
        assert "172800.000001" in found and f"{apart_s}.000000" == found[0]
    with pytest.raises(RequestError, match="it has too many gaps"):
        cuts(tuple(first_us + number * 60 * US for number in range(10_000)), first_us + 7 * day_us)
