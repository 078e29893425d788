"""Sound of several formats is encoded to one, from the right place on."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support.clapping import write_clapping
from videostore.base.constants import US_PER_SECOND
from videostore.clips.sound_commands import encode_command, mix_command
from videostore.ffmpeg.process import run_ffmpeg


def clicks_s(path: Path) -> list[float]:
    """When there is a click, counted in samples."""
    found, at, quiet_s = [], 0.0, -1.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            for value in abs(frame.to_ndarray()[0].astype(float)):
                at += 1 / frame.sample_rate
                if value > 0.2 and at > quiet_s:
                    found.append(at)
                    quiet_s = at + 0.1
                elif value > 0.2:
                    quiet_s = at + 0.1
    return found


async def test_what_is_left_out_of_each_is_not_heard_and_the_rest_is_in_its_place(tmp_path: Path, binary: str) -> None:
    claps_s = write_clapping(tmp_path / "a.mp4", 3, rate=44100)
    command = encode_command([(tmp_path / "a.mp4", US_PER_SECOND)], tmp_path / "b.nut", {"c:a": "aac", "ar": 16000})
    await run_ffmpeg([binary, "-v", "error", *command.arguments])
    with av.open(str(tmp_path / "b.nut")) as container:
        assert container.streams.audio[0].codec_context.sample_rate == 16000
    heard = clicks_s(tmp_path / "b.nut")
    encoder_s = 1024 / 16000
    assert heard == pytest.approx([one - 1 + encoder_s for one in claps_s if one > 1], abs=0.05)


async def test_a_mix_ends_before_the_video_would_be_longer_by_it(tmp_path: Path, binary: str) -> None:
    sounds = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    write_clapping(sounds[0], 2, rate=44100)
    write_clapping(sounds[1], 3, codec="libopus")
    command = mix_command(sounds, tmp_path / "c.mp4", length_us=2_500_000)
    await run_ffmpeg([binary, "-v", "error", *command.arguments])
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert 2.4 < float(container.duration or 0) / US_PER_SECOND <= 2.5
