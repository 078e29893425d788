"""The sound of a clip that is spliced of pieces: put together beside it, joined with it at the end. All of it blocks.

As in a clip of one piece it has no gap, and silence where a piece has none.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.media.gapless_sound import GaplessSound
from videostore.media.libav import av
from videostore.media.silence import codec_of, nominal_length
from videostore.media.sound import COPIED, SoundFormat, opus_head, sample_entry

_LOGGER = logging.getLogger("videostore")


class SplicedSound:
    """Owns files beside the clip until `join` or `discard`."""

    def __init__(self, clip: Path) -> None:
        self._clip = clip
        self._writers: dict[SoundFormat, GaplessSound] = {}

    def append(self, piece: Path, from_us: int, offset_us: int) -> None:
        """Add the sound of a piece from a place in the clip on. `offset_us` is added to the piece's times.

        Raises:
            av.error.FFmpegError: the piece cannot be read.
        """
        with av.open(str(piece)) as source:
            if not source.streams.audio:
                return
            stream = source.streams.audio[0]
            writer: GaplessSound | None = None
            for packet in source.demux(stream):
                if not packet.size or packet.pts is None:
                    continue
                if writer is None and (writer := self._writer(stream, packet)) is None:
                    return
                at_us = float(packet.pts * packet.time_base) * US_PER_SECOND + offset_us
                if at_us + writer.packet_us / 2 >= from_us:
                    writer.add(at_us, bytes(packet))

    def _writer(self, stream: Any, packet: Any) -> GaplessSound | None:
        context = stream.codec_context
        codec = context.name if context is not None else ""
        if codec not in COPIED:
            return None
        config = bytes(context.extradata or b"") or opus_head(context.channels)
        format = SoundFormat(codec, context.sample_rate, context.channels, config)
        if format not in self._writers:
            entry = sample_entry(format)
            measured = float((packet.duration or 0) * packet.time_base) * format.rate
            path = self._clip.with_name(f"{self._clip.name}.sound{len(self._writers)}")
            length = nominal_length(codec_of(entry), measured)
            self._writers[format] = GaplessSound(path, entry, format.rate, length)
        return self._writers[format]

    def join(self, length_us: int) -> bool:
        """Put the sound into the finished clip, which is written once more. Of several formats it is the longest one,
        and the log says so.

        Returns:
            Whether there was some, and all of it has one format.
        """
        try:
            for one in self._writers.values():
                one.close()
            sounding = [one for one in self._writers.values() if one.has_sound]
            if sounding:
                _join(self._clip, max(sounding, key=lambda one: one.count).path, length_us)
            if len(sounding) > 1:
                _LOGGER.warning(
                    "The sound changes its format within the clip, which is silent where it has another one. Export"
                    " shorter clips to hear all of it."
                )
            return len(sounding) == 1
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written beside the clip."""
        for one in self._writers.values():
            one.close()
            one.path.unlink(missing_ok=True)
        self._writers = {}


def _join(clip: Path, sound: Path, length_us: int) -> None:
    joined = clip.with_name(f"{clip.name}.joined")
    options = {"movie_timescale": str(US_PER_SECOND)}
    try:
        with av.open(str(clip)) as pictures, av.open(str(sound), format="mp4") as sounds:
            video, audio = pictures.streams.video[0], sounds.streams.audio[0]
            options["video_track_timescale"] = str(video.time_base.denominator)
            with av.open(str(joined), "w", format="mp4", options=options) as output:
                output.metadata.update(pictures.metadata)
                streams = {video: output.add_stream_from_template(video), audio: output.add_stream_from_template(audio)}
                streams[video].time_base = video.time_base
                heard = (one for one in sounds.demux(audio) if one.size)
                following = next(heard, None)
                for packet in pictures.demux(video):
                    if not packet.size:
                        continue
                    until_s = float((packet.dts if packet.dts is not None else packet.pts) * packet.time_base)
                    while following is not None and float(following.pts * following.time_base) <= until_s:
                        following.stream = streams[audio]
                        output.mux(following)
                        following = next(heard, None)
                    packet.stream = streams[video]
                    output.mux(packet)
                while following is not None:
                    ends_s = float((following.pts + (following.duration or 0)) * following.time_base)
                    if ends_s * US_PER_SECOND > length_us:
                        break
                    following.stream = streams[audio]
                    output.mux(following)
                    following = next(heard, None)
        os.replace(joined, clip)
    finally:
        joined.unlink(missing_ok=True)
