from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.support.recording import H264, LOGGER, SMALL, START_US, US, capture_times, packet
from videostore.base.errors import FFmpegError
from videostore.base.files import sync_file
from videostore.media.fmp4 import read_fragments
from videostore.media.packet import Packet
from videostore.recording.run import Run


async def start_run(first: Packet, directory: Path, binary: str, *, segment_seconds: float = 1) -> Run:
    return await Run.start(
        first, binary=binary, encoder=H264, directory=directory, segment_seconds=segment_seconds, logger=LOGGER
    )


def program(directory: Path, script: str) -> str:
    """A shell script in place of ffmpeg."""
    path = directory / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


async def test_a_finished_run_has_all_its_frames_in_segments(tmp_path: Path, binary: str) -> None:
    times = capture_times(2.5)
    run = await start_run(packet(times[0], SMALL), tmp_path, binary)
    for time_us in times:
        await run.write(packet(time_us, SMALL))
    assert run.age_us == times[-1] - times[0]
    await run.finish()
    paths = run.open_paths()
    assert [path.name for path in paths] == [f"{times[0]}-{number:06d}.open" for number in range(3)]
    assert [time_us for path in paths for time_us in read_fragments(path).times_us] == times
    assert not run.alive and psutil.Process().children() == []


async def test_after_a_standstill_there_is_still_one_keyframe_a_second(tmp_path: Path, binary: str) -> None:
    """Else each frame is one, and a segment of its own, until there are as many as the standstill had seconds."""
    before, after = (capture_times(2.95, start_us, fps=20) for start_us in (START_US, START_US + 14 * US))
    run = await start_run(packet(before[0], SMALL), tmp_path, binary)
    for time_us in (*before, *after):
        await run.write(packet(time_us, SMALL))
    await run.finish()
    found = [one for path in run.open_paths() for one in read_fragments(path).fragments]
    assert [time_us for one in found for time_us in one.times_us] == [*before, *after]
    assert len(found) == len({(time_us - START_US) // US for time_us in (*before, *after)}) == 6
    assert len(run.open_paths()) == 6


async def test_a_run_knows_which_frame_followed_another(
    tmp_path: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.recording.run._FRAMES_KNOWN", 5)
    times = capture_times(1)
    run = await start_run(packet(times[0], SMALL), tmp_path, binary)
    for time_us in times:
        await run.write(packet(time_us, SMALL))
    await run.finish()
    assert [run.next_frame_us(time_us) for time_us in times[-5:]] == [*times[-4:], None]
    assert run.next_frame_us(times[-2] - 1) == times[-1]  # as a file may round it
    assert run.next_frame_us(times[-6]) is None


async def test_only_segments_with_their_open_name_are_open(tmp_path: Path, binary: str) -> None:
    times = capture_times(2.5)
    run = await start_run(packet(times[0], SMALL), tmp_path, binary)
    for time_us in times:
        await run.write(packet(time_us, SMALL))
    await run.finish()
    first, *others = run.open_paths()
    first.rename(tmp_path / "1725000000.mp4")
    assert run.open_paths() == others


async def test_an_ffmpeg_that_does_not_finish_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.recording.run.FFMPEG_FINISH_S", 0.2)
    run = await start_run(packet(START_US, SMALL), tmp_path, program(tmp_path, "exec sleep 60"))
    with pytest.raises(FFmpegError) as error:
        await run.finish()
    assert (error.value.code, error.value.timeout_s) == ("segment-unfinished", 0.2)
    assert not run.alive


async def test_a_patient_end_waits_as_long_as_the_segment_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.recording.run.FINISH_PATIENCE_S", 1.0)
    name = tmp_path / f"{START_US}-000000.open"
    growing = f"for i in 1 2 3 4 5 6 7 8; do echo $i >> '{name}'; sleep 0.2; done"
    run = await start_run(packet(START_US, SMALL), tmp_path, program(tmp_path, growing))
    await run.finish(patient=True)
    run = await start_run(packet(START_US, SMALL), tmp_path, program(tmp_path, "exec sleep 60"))
    with pytest.raises(FFmpegError) as error:
        await run.finish(patient=True)
    assert (error.value.code, error.value.timeout_s) == ("ffmpeg-writes-nothing", 1.0)


async def test_the_error_of_a_failed_ffmpeg_contains_its_exit_code_and_its_reason(tmp_path: Path) -> None:
    run = await start_run(
        packet(START_US, SMALL), tmp_path, program(tmp_path, "echo '[error] no such encoder' >&2; exit 3")
    )
    with pytest.raises(FFmpegError) as error:
        await run.finish()
    assert (error.value.code, error.value.exit_code, error.value.reason) == ("ffmpeg-ended-early", 3, "no such encoder")


async def test_writing_to_an_ffmpeg_that_has_exited_fails(tmp_path: Path) -> None:
    run = await start_run(packet(START_US, SMALL), tmp_path, program(tmp_path, "exit 0"))
    await run.wait()
    with pytest.raises(FFmpegError) as error:
        await run.write(packet(START_US, SMALL))
    assert error.value.code == "ffmpeg-ended"
    await run.kill()


async def test_an_ffmpeg_that_accepts_no_image_is_reported_as_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.recording.run.FFMPEG_STUCK_S", 0.2)
    run = await start_run(packet(START_US, SMALL), tmp_path, program(tmp_path, "exec sleep 60"))
    large = replace(packet(START_US, SMALL), data=bytes(4_000_000))
    with pytest.raises(FFmpegError) as error:
        await run.write(large)
    assert (error.value.code, error.value.timeout_s) == ("ffmpeg-stuck", 0.2)
    await run.kill()


async def test_a_long_run_takes_no_more_memory_with_each_frame(tmp_path: Path, binary: str) -> None:
    """Neither this process nor ffmpeg: at 20 frames a second, 200 bytes a frame in each of them are 350 MB a day.

    What this process holds is counted to the byte, at the same places of two segments, and the least of it is taken:
    what is on its way to ffmpeg comes and goes. Before the first look the run holds as many frames as it ever does. Of
    ffmpeg only pages are known.
    """
    times = capture_times(906, fps=20, seed=None)
    first = packet(times[0], SMALL)
    run = await start_run(first, tmp_path, binary, segment_seconds=30)
    (ffmpeg,) = psutil.Process().children()
    sizes: dict[int, list[tuple[int, int]]] = {6000: [], 18_000: []}
    tracemalloc.start()
    try:
        for number, time_us in enumerate(times):
            await run.write(replace(first, captured_us=time_us))
            begin = number - number % 100
            if begin in sizes and number % 10 == 0:
                gc.collect()
                sizes[begin].append((tracemalloc.get_traced_memory()[0], ffmpeg.memory_info().rss))
    finally:
        tracemalloc.stop()
    await run.finish()
    least = [[min(column) for column in zip(*some, strict=True)] for some in sizes.values()]
    held, paged = (after - before for before, after in zip(*least, strict=True))
    assert held < 12_000 * 20 and paged < 12_000 * 50, (held, paged)


async def test_an_open_segment_is_synced_only_when_it_has_changed(
    tmp_path: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def sync_and_note(path: Path) -> None:
        sync_file(path)
        synced.append(path)

    monkeypatch.setattr("videostore.recording.open_files.sync_file", sync_and_note)
    times = capture_times(0.5)
    run = await start_run(packet(times[0], SMALL), tmp_path, binary)
    for time_us in times:
        await run.write(packet(time_us, SMALL))
    await run.finish()
    (path,) = run.open_paths()
    run.sync()
    run.sync()
    assert synced == [path]
    with path.open("ab") as file:
        file.write(b"\0")
    run.sync()
    assert synced == [path, path]
