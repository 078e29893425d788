"""The command line of the ffmpeg that records a run in segments."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ffmpeg

from videostore.base.constants import KEYFRAME_INTERVAL_S, US_PER_SECOND
from videostore.base.time_format import format_seconds
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.filters import even_size, player_colours
from videostore.ffmpeg.process import loglevel
from videostore.media.decode_order import EARLY_US
from videostore.media.segment_names import open_pattern, run_comment
from videostore.recording.nut_writer import SOUND_PATIENCE_US
from videostore.recording.output_report import report_arguments, report_frames

IMAGE_CODECS = ("mjpeg", "png", "rawvideo")
"""Codecs of which every frame is an image of its own."""

_CHECKED = {"err_detect": "crccheck+explode", "noautorotate": None}
"""A decoder conceals what is damaged: it repeats the image before it. These options make it refuse the image instead;
and only we turn images, since versions of ffmpeg differ in what they turn."""

FRAGMENTS_IN_TIME = {"frag_duration": str(KEYFRAME_INTERVAL_S * US_PER_SECOND)}
"""A fragment each second, also where keyframes are further apart."""

_SHORTEST_FRAME_S = 0.001

_TURNS: dict[int, tuple[tuple[str, str], ...]] = {
    2: (("hflip", ""),),
    3: (("hflip", ""), ("vflip", "")),
    4: (("vflip", ""),),
    5: (("transpose", "cclock_flip"),),
    6: (("transpose", "clock"),),
    7: (("transpose", "clock_flip"),),
    8: (("transpose", "cclock"),),
}
"""By EXIF orientation: filters that show an image upright, and their directions."""


def recording_command(
    binary: str,
    *,
    encoder: Encoder,
    directory: Path,
    epoch_us: int,
    segment_seconds: float,
    logger: logging.Logger,
    source_codec: str = "",
    orientation: int = 1,
    pad_to_even: bool = False,
    reordered: int = 0,
    sound: bool = False,
) -> list[str]:
    """The command line of a run's ffmpeg: NUT on its standard input, segments named after the run in the directory.

    Fragments make the open segment readable, `prft` gives each of them its capture time, and the timestamps of every
    segment start at 0 (`avoid_negative_ts`, `use_editlist`), so that no player shows an hour of blank before it.
    With `reordered` frames that is when the first frame is decoded, and no edit list hides what it is shown later.

    With `sound`, fragments also end with it: then only the length of each frame tells when the next one is decoded.
    """
    options = segment_options(epoch_us)
    if encoder.copies:  # the source decides where keyframes are, so fragments start without one
        options |= FRAGMENTS_IN_TIME
    checks = _CHECKED if source_codec in IMAGE_CODECS and not encoder.copies else {}
    # One decoder thread: frame threads would delay images.
    source = ffmpeg.input(
        "pipe:0",
        f="nut",
        format_whitelist="nut",
        protocol_whitelist="pipe",
        fpsprobesize=0,
        probesize=32,
        analyzeduration=0,
        threads=1,
        **checks,
    )
    video = source.video
    if not encoder.copies:
        video = report_frames(video)
        if source_codec in IMAGE_CODECS:
            video = turn_upright(video, orientation)
        if pad_to_even:
            video = even_size(video)
        video = player_colours(video, full_range=source_codec == "mjpeg")
    reordered = reordered if encoder.copies else 0
    ordering: dict[str, Any] = {}
    if reordered or sound:
        times = decoding_times(reordered, encoder.framerate, lengths=sound)
        ordering = {"bsf:v": times, "avoid_negative_ts": "disabled"}
    if sound:
        ordering |= {"c:a": "copy", "max_interleave_delta": SOUND_PATIENCE_US}
    output = ffmpeg.output(
        *((video, source.audio) if sound else (video,)),
        output_pattern(directory, epoch_us),
        **encoder.options(source_codec),
        **ordering,
        f="segment",
        segment_time=segment_seconds,
        segment_format="mp4",
        segment_format_options=joined_options(options),
        **{"metadata": f"comment={run_comment(epoch_us)}", "metadata:g": f"description={encoder.tag}"},
    )
    reports = report_arguments(copies=encoder.copies)
    output = output.global_args("-hide_banner", "-nostats", "-loglevel", loglevel(logger), *reports)
    if checks:
        output = output.global_args("-max_error_rate", "1")  # a run of damaged images is no failure of ffmpeg
    command: list[str] = output.compile(cmd=binary)
    return command


def segment_options(offset_us: int) -> dict[str, str]:
    """The options of the muxer of each segment. `offset_us` is the capture time of pts 0."""
    return {
        "movflags": "+frag_keyframe+empty_moov+default_base_moof",
        "write_prft": "pts",
        "use_editlist": "0",
        "avoid_negative_ts": "disabled",
        "output_ts_offset": format_seconds(offset_us),
        "flush_packets": "1",
    }


def joined_options(options: Mapping[str, str]) -> str:
    """Options as ffmpeg's `segment_format_options` takes them."""
    return ":".join(f"{name}={value}" for name, value in options.items())


def decoding_times(reordered: int, framerate: int, *, lengths: bool) -> str:
    """A filter that dates the decoding of the first frames before the first one is shown.

    ffmpeg guesses it by the frame rate, which can be later than when a frame is shown. With `lengths` it also says how
    long each frame lasts in decoding, and holds it back until the next one. Of a stream with B frames
    ffmpeg takes for the length of the last frame the unit of time in its parameter sets, which may be a microsecond:
    then one over the frame rate is as good as the guess for others.
    """
    dts = f"if(lt(N,{reordered}),(N-{reordered})*{EARLY_US}/({US_PER_SECOND}*TB),DTS)" if reordered else "DTS"
    duration = f"if(gte(DURATION*TB,{_SHORTEST_FRAME_S}),DURATION,1/({framerate}*TB))"
    if lengths:
        early, last = f"{EARLY_US}/({US_PER_SECOND}*TB)", reordered - 1
        first = f"if(lt(N,{last}),{early},if(eq(N,{last}),NEXT_DTS+{early}," if last >= 0 else "(("
        duration = f"if(eq(NEXT_DTS,NOPTS),{duration},{first}NEXT_DTS-DTS)))"
    return f"setts=pts=PTS:dts='{dts}':duration='{duration}'"


def turn_upright(video: Any, orientation: int) -> Any:
    """Turn images of this EXIF orientation, so that no player has to know it."""
    for name, direction in _TURNS.get(orientation, ()):
        video = video.filter(name, *([direction] if direction else []))
    return video.filter("sidedata", mode="delete", type="DISPLAYMATRIX")  # else newer ones have players turn it again


def output_pattern(directory: Path, epoch_us: int) -> str:
    """The output argument of a run's ffmpeg, by which its process can be recognized."""
    return str(directory).replace("%", "%%") + os.sep + open_pattern(epoch_us)
