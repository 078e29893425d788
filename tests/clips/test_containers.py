from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support.clip_time_checks import check_times
from tests.support.coding import coded_packets, record_coded
from tests.support.recording import capture_times, take_over
from videostore.base.errors import RequestError
from videostore.clips.containers import CONTAINERS, check_container
from videostore.store.store import VideoStore


def test_another_container_is_refused_with_those_that_there_are() -> None:
    assert [check_container(one) for one in CONTAINERS] == ["mp4", "fmp4"]
    for value in ("webm", "", "MP4"):
        with pytest.raises(RequestError) as error:
            check_container(value)
        assert error.value.code == "field-wrong" and error.value.fields["value"] == value


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("frames", [(3, 41), (12, 36), (13, 15), (5, 58)])
async def test_a_fragmented_clip_of_b_frames_is_as_long_as_what_it_shows_from_its_start(
    tmp_path: Path, codec: str, frames: tuple[int, int]
) -> None:
    """A player would add how long before it is shown the first frame is decoded, and seek that much beside."""
    times = capture_times(6, seed=5)
    await record_coded(tmp_path / "door", coded_packets(times, codec, gop=12, b_frames=2))
    await take_over(tmp_path / "door")
    first, end = frames
    path = tmp_path / "clip.mp4"
    async with VideoStore.open(tmp_path / "door") as store:
        await store.export(times[first], times[end], path, container="fmp4")
    with av.open(str(path)) as container:
        assert container.streams.video[0].start_time == 0
        assert container.duration is not None and abs(container.duration - (times[end] - times[first])) < 1000
    assert check_times(path).frames == end - first
