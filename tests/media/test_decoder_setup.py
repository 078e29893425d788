from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import pytest

from tests.support.foreign_recording import CODINGS, FRAME_US, write_foreign_video
from tests.support.recording import H264, START_US, capture_times, record
from videostore.ffmpeg.encoder import Encoder
from videostore.media.decoder_setup import NoSetupError, join_setups, read_setup, replace_config

TIMES = [START_US + n * FRAME_US for n in range(4)]


async def test_the_setup_of_a_segment_names_its_encoder(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(1))
    setup = read_setup(next(tmp_path.iterdir()))
    assert (setup.codec, setup.timescale, len(setup.sets)) == ("h264", 1_000_000, 2)
    assert Encoder.from_tag(setup.description) == H264


@pytest.mark.parametrize("coding", ["h264 baseline", "h265 long GOP"])
async def test_a_file_that_gets_more_parameter_sets_shows_the_same(tmp_path: Path, coding: str) -> None:
    path, other = tmp_path / "1.mp4", tmp_path / "2.mp4"
    await write_foreign_video(path, TIMES, CODINGS[coding])
    await write_foreign_video(other, TIMES, CODINGS["h264 set 1" if "264" in coding else "h265 10 bit"])

    def shown() -> list[bytes]:
        with av.open(str(path)) as container:
            return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]

    before, setup = shown(), read_setup(path)
    joined = join_setups(setup, read_setup(other))
    assert set(joined.sets) == {*setup.sets, *read_setup(other).sets}
    if "264" in coding:  # sets of equal ids would replace each other
        replace_config(path, joined.config)
        assert read_setup(path) == joined and shown() == before
    replace_config(path, setup.config)
    assert read_setup(path) == setup and shown() == before


async def test_files_without_a_setup_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.mp4"
    await write_foreign_video(path, TIMES, CODINGS["h264 baseline"])
    data, setup = path.read_bytes(), read_setup(path)
    for content in (b"", b"garbage" * 9, data[: len(data) // 2], data[:40] + bytes(8) + data[48:]):
        path.write_bytes(content)
        with pytest.raises(NoSetupError):
            read_setup(path)
    path.write_bytes(data + b"\0\0\0\x08free")
    with pytest.raises(NoSetupError):
        replace_config(path, setup.config)
    for config in (b"", setup.config[:9], setup.config[:5] + b"\xff" + setup.config[6:]):
        with pytest.raises(NoSetupError):
            _ = replace(setup, config=config).sets
