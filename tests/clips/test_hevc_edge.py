from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support.foreign_recording import CODINGS, FRAME_US, write_foreign_video
from tests.support.recording import START_US
from videostore.clips.hevc_edge import rewrite_edge
from videostore.media.decoder_setup import NoSetupError, read_setup
from videostore.media.hevc_sets import END_OF_SEQUENCE


def frames(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(frame.pts, frame.to_ndarray().tobytes()) for frame in container.decode(video=0)]


@pytest.mark.parametrize("renumber", [False, True])
async def test_a_rewritten_edge_shows_the_same_frames_at_the_same_times(tmp_path: Path, renumber: bool) -> None:
    path = tmp_path / "head.mp4"
    await write_foreign_video(path, [START_US + n * FRAME_US for n in range(20)], CODINGS["h265 long GOP"])
    before, setup = frames(path), read_setup(path)
    made = rewrite_edge(path, renumber=renumber)
    assert frames(path) == before
    assert read_setup(path).sets == made.sets
    assert (set(made.sets) & set(setup.sets) == set()) == renumber
    assert path.read_bytes().count(END_OF_SEQUENCE) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["head.mp4"]


async def test_what_is_not_h265_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(NoSetupError):
        rewrite_edge(path, renumber=True)
