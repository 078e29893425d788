"""The ffmpeg commands that encode sound whose format changes within a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ffmpeg

from videostore.base.time_format import format_seconds
from videostore.clips.cut_command import CutCommand
from videostore.ffmpeg.options import OWN_CLIP, REENCODED_PACKET_US, REENCODED_SOUND


def mix_command(sounds: Sequence[Path], output: Path, *, length_us: int) -> CutCommand:
    """The command that makes one sound of several that have different formats and are not heard at the same time.

    It ends within a packet before `length_us`: where the sound is longer than the video, the clip would be.
    """
    inputs = [ffmpeg.input(str(one.absolute()), **OWN_CLIP).audio for one in sounds]
    until = format_seconds(max(0, length_us - REENCODED_PACKET_US))
    mixed = ffmpeg.filter(inputs, "amix", inputs=len(inputs), duration="longest", normalize=0)
    return _writing(mixed.output(str(output.absolute()), f="mp4", t=until, **REENCODED_SOUND))


def encode_command(sounds: Sequence[tuple[Path, int]], output: Path, encoding: Mapping[str, str | int]) -> CutCommand:
    """The command that makes one sound of several that are not heard at the same time, for a part of a stream. Of each,
    so many microseconds are left out.
    """
    inputs = [
        ffmpeg.input(str(one.absolute()), **OWN_CLIP)
        .audio.filter("atrim", start=format_seconds(left_out_us))
        .filter("asetpts", "PTS-STARTPTS")
        for one, left_out_us in sounds
    ]
    mixed = ffmpeg.filter(inputs, "amix", inputs=len(inputs), duration="longest", normalize=0)
    options = {"f": "nut", "b:a": REENCODED_SOUND["b:a"], **encoding}
    return _writing(mixed.output(str(output.absolute()), **options))


def _writing(output: Any) -> CutCommand:
    return CutCommand(tuple(ffmpeg.get_args(output)), {})
