"""Rewrites an encoded edge of H.265, so that it and what it is joined to do not disturb each other's decoding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.media.decoder_setup import DecoderSetup, NoSetupError, read_setup, replace_config
from videostore.media.hevc_sets import END_OF_SEQUENCE, renumber_sample, renumber_setup
from videostore.media.libav import av


def rewrite_edge(path: Path, *, renumber: bool) -> DecoderSetup:
    """End the order of pictures with the last frame of an MP4 that ffmpeg wrote. Blocking.

    With `renumber`, its parameter sets get other ids. Returns its new setup.

    Raises:
        NoSetupError: it cannot be rewritten.
        OSError: the file cannot be read or written.
    """
    setup = read_setup(path)
    if renumber:
        setup = renumber_setup(setup)
    rewritten = path.with_name(f"{path.stem}-rewritten.mp4")
    options = {"movie_timescale": str(US_PER_SECOND), "video_track_timescale": str(setup.timescale)}
    try:
        with av.open(str(path)) as source, av.open(str(rewritten), "w", format="mp4", options=options) as output:
            stream = source.streams.video[0]
            target = output.add_stream_from_template(stream)
            target.time_base = stream.time_base
            for packet, last in _packets(source.demux(stream)):
                data = bytes(packet)
                if renumber:
                    data = renumber_sample(data)
                changed = av.Packet(data + END_OF_SEQUENCE if last else data)
                changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
                changed.time_base, changed.is_keyframe, changed.stream = packet.time_base, packet.is_keyframe, target
                output.mux(changed)
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise NoSetupError(f"{path.name} cannot be rewritten") from error
    rewritten.replace(path)
    replace_config(path, setup.config)
    return setup


def _packets(source: Iterator[Any]) -> Iterator[tuple[Any, bool]]:
    """Each packet, and whether it is the last one."""
    before = None
    for packet in source:
        if packet.size:  # the last one is empty, to flush decoders
            if before is not None:
                yield before, False
            before = packet
    if before is not None:
        yield before, True
