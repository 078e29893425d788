from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest

from tests.support.amount import EXHAUSTIVE, cut_short, some_combinations
from tests.support.clip_time_checks import check_times, painted_frames
from tests.support.coding import coded_packets, record_coded
from tests.support.recording import US, capture_times, take_over
from videostore.base.errors import RequestError
from videostore.clips.containers import CONTAINERS, check_container
from videostore.store.store import VideoStore


def test_another_container_is_refused_with_those_that_there_are() -> None:
    assert [check_container(one) for one in CONTAINERS] == ["mp4", "fmp4"]
    assert [check_container(one) for one in ("MP4", "fMP4")] == ["mp4", "fmp4"]
    for value in ("webm", "", "MP4 "):
        with pytest.raises(RequestError) as error:
            check_container(value)
        assert error.value.code == "field-wrong" and error.value.fields["value"] == value


@cut_short
@some_combinations(b_frames=[2, 3], codec=["h264", "hevc"])
async def test_a_clip_of_b_frames_shows_and_tells_what_is_stored_wherever_it_is_cut(
    tmp_path: Path, codec: str, b_frames: int
) -> None:
    """Cut between, on and beside keyframes, inside mini-GOPs, and up to the end of the recording. Three B frames are a
    pyramid. libav takes for the length when frames are decoded, players how early the first one is."""
    times = capture_times(3, fps=20, seed=5)
    await record_coded(tmp_path / "door", coded_packets(times, codec, gop=12, b_frames=b_frames))
    await take_over(tmp_path / "door")
    ends_us = [*times, times[-1] + US]
    cuts = [(3, 41), (12, 36), (13, 15), (5, len(times)), (9, 20), (12, 16), (23, 32), (24, 31), (35, 36), (0, 27)]
    async with VideoStore.open(tmp_path / "door") as store:
        # Each cut in one of them, and in the other one with another number of B frames.
        in_turn = [(cut, CONTAINERS[(number + b_frames) % 2]) for number, cut in enumerate(cuts)]
        for (first, end), container in itertools.product(cuts, CONTAINERS) if EXHAUSTIVE else in_turn:
            path = tmp_path / f"{first}-{end}.{container}.mp4"
            await store.export(times[first], ends_us[end], path, container=container)
            told = check_times(path)
            assert [captured_us for _, captured_us in painted_frames(path)] == times[first:end], path.name
            assert (told.times.first_us, len(told.times.stretches)) == (times[first], 1)
            length_us = told.times.listed_us
            assert end == len(times) or abs(length_us - (ends_us[end] - times[first])) <= 1, path.name
            with av.open(str(path)) as opened:
                assert opened.streams.video[0].start_time == 0
                assert opened.duration is not None and abs(opened.duration - length_us) < 1000, path.name
