"""What a storage directory holds of a camera's sound: when its clicks are heard, beside the pictures of then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy

from tests.streams.stored import StoredPicture
from tests.support.coded_stream import FPS
from tests.support.recording import US
from videostore.media.fmp4 import read_fragments

_HELD_US = 300_000
_LOUD = 0.2
"""A click is four times as loud."""


def clicks_us(directory: Path) -> list[int]:
    """When a click begins, UTC, in all segments: decoded one after the other, as a coder needs what came before."""
    found: list[int] = []
    decoder: Any = None
    quiet_since_us = 0
    for path in sorted(directory.glob("*.mp4")):
        with av.open(str(path)) as container:
            if not container.streams.audio:
                continue
            sound, video = container.streams.audio[0], container.streams.video[0]
            packets = [one for one in container.demux(sound, video) if one.size]
            first = min(one.pts * one.time_base for one in packets if one.stream is video)
            begin_us = min(read_fragments(path).times_us) - round(first * US)
            decoder = decoder or av.CodecContext.create(sound.codec_context.name, "r")
            decoder.extradata = sound.codec_context.extradata
            for packet in (one for one in packets if one.stream is sound):
                for frame in decoder.decode(packet):
                    samples = frame.to_ndarray()
                    scale = 32768 if samples.dtype == numpy.int16 else 1
                    loud = numpy.abs(samples.reshape(len(frame.layout.channels), -1).max(axis=0) / scale) > _LOUD
                    at_us = begin_us + round(packet.pts * packet.time_base * US)
                    for number in numpy.flatnonzero(loud):
                        heard_us = at_us + int(number) * US // frame.sample_rate
                        if heard_us - quiet_since_us > US // 2:
                            found.append(heard_us)
                        quiet_since_us = heard_us
    return found


def unheard_us(stored: Sequence[StoredPicture], clicks: Sequence[int]) -> list[int]:
    """How long after the first picture those were captured that lack their click. The sound of the last ones may still
    be in the encoder when the recording ends: it holds two frames, of 128 ms each if it is that of a telephone."""
    end_us = stored[-1].captured_us - _HELD_US
    shown = [one.captured_us for one in stored if one.painted is not None and one.painted % FPS == 0]
    shown = [one for one in shown if one < end_us]
    missing = [one for one in shown if all(abs(click - one) > US // 2 for click in clicks)]
    return [one - stored[0].captured_us for one in missing]


def sync_errors_us(stored: Sequence[StoredPicture], clicks: Sequence[int]) -> list[int]:
    """How much later each click is heard than its picture is shown: the one of the same whole second of the stream."""
    shown = [one.captured_us for one in stored if one.painted is not None and one.painted % FPS == 0]
    return [min((click - one for one in shown), key=abs) for click in clicks] if shown else []
