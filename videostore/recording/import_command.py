"""The command line of the ffmpeg that writes the video of a file as segments, as fast as it can."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from videostore.base.constants import LONGEST_SEGMENT_US, US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.time_format import format_seconds
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.filters import deinterlaced, even_size, fitted, player_colours
from videostore.ffmpeg.options import OWN_CLIP
from videostore.ffmpeg.process import loglevel
from videostore.media.footage import READ_OPTIONS, Footage
from videostore.media.footage_sound import FootageSound
from videostore.media.import_tag import import_tag
from videostore.media.segment_names import run_comment
from videostore.media.sound import COPIED
from videostore.recording.segmenter import (
    FRAGMENTS_IN_TIME,
    decoding_times,
    joined_options,
    output_pattern,
    segment_options,
)

SOUND_CODING: dict[str, Any] = {"c:a": "aac", "b:a": "128k", "ar": 48_000}
SOUND_EARLY_US = 1024 * US_PER_SECOND // 48_000
"""How long before it the coder begins: a packet of silence, which decoders need for the next one."""
_MOST_CUTS_BYTES = 120_000
"""Linux takes 128 KiB as one argument of a program."""
_SHOWN_FROM_START = "noise=drop='lt(pts*tb,-0.00005)'"
"""Leaves out frames that are shown before the first keyframe, which is at 0, and need what is before it."""


@dataclass(frozen=True, slots=True)
class ImportedSound:
    """The sound that is stored with the video. Times are those of the video's file, in microseconds."""

    path: Path | None
    """A file that has only this sound; None if it is copied from the same file."""
    index: int
    """Which stream of that file it is."""
    begins_us: int
    """When its first packet begins."""
    from_us: int | None
    """What begins before that is left out; None if nothing is."""


def import_command(
    binary: str,
    path: Path,
    footage: Footage,
    *,
    encoder: Encoder,
    directory: Path,
    start_us: int,
    run_us: int,
    segment_seconds: float,
    logger: logging.Logger,
    sound: ImportedSound | None = None,
) -> list[str]:
    """The command that writes what was found in a file as the segments of one run, with this sound.

    `start_us` is when the first frame that can be decoded was captured; `run_us` is the epoch that names the run. The
    times of the file are kept (`copyts`) but for a constant: pts 0 is that frame, since the segment muxer counts the
    lengths of segments from 0. Segments count in microseconds, so that times with another unit are not rounded to it.

    Raises:
        RequestError: it has too many gaps.
    """
    # An absolute path with its protocol: a name such as `http:…` is not a URL.
    source = ffmpeg.input(
        f"file:{path.absolute()}", itsoffset=format_seconds(-footage.first_us), copyts=None, **READ_OPTIONS
    )
    options = segment_options(start_us) | {"video_track_timescale": str(US_PER_SECOND)}
    if encoder.copies:
        options |= FRAGMENTS_IN_TIME
        video = source["V:0"]
    elif footage.resized:
        # The filter for fields holds a frame back, which is lost when ffmpeg builds the filters for another size.
        width, height = (2 * ((pixels + 1) // 2) for pixels in (footage.width, footage.height))
        video = fitted(source["V:0"], width, height, may_have_fields=False)
    else:
        video = player_colours(even_size(deinterlaced(source["V:0"])), full_range=footage.codec == "mjpeg")
    heard: dict[str, str] = {}
    filters = [_SHOWN_FROM_START] if encoder.copies and footage.leads else []
    streams = [video]
    if sound is not None:
        streams.append(_sound_input(source, sound, footage))
        heard = {"c:a": "copy"}
        filters.append(decoding_times(0, encoder.framerate, lengths=True))
        if sound.from_us is not None:
            heard["bsf:a"] = f"noise=drop='lt(pts*tb,{format_seconds(sound.from_us - footage.first_us)})'"
    if filters:
        heard["bsf:v"] = ",".join(filters)
    output = ffmpeg.output(
        *streams,
        output_pattern(directory, run_us),
        **encoder.options(footage.codec),
        **heard,
        f="segment",
        **_cuts(path, footage, segment_seconds),
        segment_format="mp4",
        segment_format_options=joined_options(options),
        **{
            "avoid_negative_ts": "disabled",
            "map_metadata": -1,
            "map_chapters": -1,
            "metadata": f"comment={run_comment(run_us)}",
            "metadata:g": f"description={encoder.tag}",
            "metadata:g:0": f"grouping={import_tag(footage.digest)}",
        },
    )
    output = output.global_args("-hide_banner", "-nostats", "-nostdin", "-loglevel", loglevel(logger))
    command: list[str] = output.global_args("-progress", "pipe:1").compile(cmd=binary)
    return command


def sound_command(binary: str, path: Path, sound: FootageSound, output: Path) -> list[str]:
    """The command that writes the sound of a file into one of its own: as it is, or as AAC if it is in another codec.

    Gaps in what is encoded are filled with silence, so that nothing behind them comes early.
    """
    source = ffmpeg.input(f"file:{path.absolute()}", **READ_OPTIONS)[str(sound.index)]
    coding = {"c:a": "copy"} if sound.codec in COPIED else SOUND_CODING | {"af": "aresample=async=1"}
    if sound.codec == "aac":
        coding["bsf:a"] = "aac_adtstoasc"
    written = source.output(str(output.absolute()), f="mp4", map_metadata=-1, map_chapters=-1, **coding)
    command: list[str] = written.global_args("-hide_banner", "-nostats", "-nostdin", "-loglevel", "error").compile(
        cmd=binary
    )
    return command


def _sound_input(source: Any, sound: ImportedSound, footage: Footage) -> Any:
    if sound.path is None:
        return source[str(sound.index)]
    # Its times count from its first packet; the edit list hides what the coder added.
    begins = {"itsoffset": format_seconds(sound.begins_us - footage.first_us), "ignore_editlist": 1}
    return ffmpeg.input(str(sound.path.absolute()), copyts=None, **begins, **OWN_CLIP).audio


def _cuts(path: Path, footage: Footage, segment_seconds: float) -> dict[str, str | float]:
    """Where segments end: at the first keyframe after some time, and at each gap, behind which another run begins.

    Of a file of days that has gaps, segments are longer, so that ffmpeg can be told all cuts.
    """
    if len(footage.stretches_us) == 1:
        return {"segment_time": segment_seconds}
    step_us = round(segment_seconds * US_PER_SECOND)
    while len(cuts := _cuts_apart(footage, step_us)) > _MOST_CUTS_BYTES:
        step_us *= 2
        if step_us > LONGEST_SEGMENT_US:
            raise RequestError("import-unreadable", path=path, reason="it has too many gaps")
    return {"segment_times": cuts}


def _cuts_apart(footage: Footage, step_us: int) -> str:
    cuts = list[int]()
    for begin_us, end_us in itertools.pairwise([*footage.stretches_us, footage.last_us + 1]):
        cuts += range(begin_us - footage.first_us, end_us - footage.first_us, step_us)
    return ",".join(map(format_seconds, cuts[1:]))
