"""The command line of the ffmpeg that records a run in segments."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import ffmpeg

from videostore.base.constants import KEYFRAME_INTERVAL_S, US_PER_SECOND
from videostore.base.time_format import format_seconds
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import loglevel
from videostore.media.segment_names import open_pattern, run_comment


def recording_command(
    binary: str,
    *,
    encoder: Encoder,
    directory: Path,
    epoch_us: int,
    segment_seconds: float,
    logger: logging.Logger,
    source_codec: str = "",
    pad_to_even: bool = False,
) -> list[str]:
    """The command line of a run's ffmpeg: NUT on its standard input, segments named after the run in the directory.

    Fragments make the open segment readable, `prft` gives each of them its capture time, and the timestamps of every
    segment start at 0 (`avoid_negative_ts`, `use_editlist`), so that no player shows an hour of blank before it.
    """
    options = {
        "movflags": "+frag_keyframe+empty_moov+default_base_moof",
        "write_prft": "pts",
        "use_editlist": "0",
        "avoid_negative_ts": "disabled",
        "output_ts_offset": format_seconds(epoch_us),
        "flush_packets": "1",
    }
    if encoder.copies:  # the source decides where keyframes are, so fragments start without one
        options |= {"frag_duration": str(KEYFRAME_INTERVAL_S * US_PER_SECOND)}
    # One decoder thread: frame threads would delay images.
    source = ffmpeg.input(
        "pipe:0",
        f="nut",
        fpsprobesize=0,
        probesize=32,
        analyzeduration=0,
        threads=1,
    )
    video = source.video
    if pad_to_even and not encoder.copies:  # encoders need it: the chroma planes have half the size
        video = video.filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2")
    output = video.output(
        output_pattern(directory, epoch_us),
        **encoder.options(source_codec),
        f="segment",
        segment_time=segment_seconds,
        segment_format="mp4",
        segment_format_options=":".join(f"{name}={value}" for name, value in options.items()),
        metadata=f"comment={run_comment(epoch_us)}",
    )
    output = output.global_args("-hide_banner", "-nostats", "-loglevel", loglevel(logger))
    command: list[str] = output.compile(cmd=binary)
    return command


def output_pattern(directory: Path, epoch_us: int) -> str:
    """The output argument of a run's ffmpeg, by which its process can be recognized."""
    return str(directory).replace("%", "%%") + os.sep + open_pattern(epoch_us)
