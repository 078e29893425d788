"""What a camera's microphone hears: a click at each whole second of the stream, coded once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy

LENGTH_S = 8
"""A whole number of the frames of every codec."""
_CLICK_S = 0.01
_CLICK_HZ = 1000
_OPUS_SKIPPED = 648
"""The sample with which the first frame begins that is heard from the beginning: the coder is 6.5 ms late."""


@dataclass(frozen=True)
class CodedSound:
    """Coded frames of the same length, and how GStreamer calls and sends them."""

    caps: str
    payloader: str
    frame_s: Fraction
    frames: list[bytes]


def code_sound(codec: str) -> CodedSound:
    """The sound of a camera, of which `aac`, `g711` and `opus` can be chosen."""
    if codec == "aac":
        frames, setup = _encode("aac", 48_000, "fltp")
        caps = f"audio/mpeg,mpegversion=4,stream-format=raw,rate=48000,channels=1,codec_data=(buffer){setup.hex()}"
        return CodedSound(caps, "rtpmp4gpay", Fraction(1024, 48_000), frames)
    if codec == "opus":
        frames, _ = _encode("libopus", 48_000, "flt", early=_OPUS_SKIPPED)
        caps = "audio/x-opus,rate=48000,channels=1,channel-mapping-family=0"
        return CodedSound(caps, "rtpopuspay", Fraction(1, 50), frames)
    frames, _ = _encode("pcm_mulaw", 8000, "s16")
    return CodedSound("audio/x-mulaw,rate=8000,channels=1", "rtppcmupay", Fraction(1, 50), frames)


def _encode(encoder: str, rate: int, sample_format: str, *, early: int = 0) -> tuple[list[bytes], bytes]:
    context: Any = av.CodecContext.create(encoder, "w")
    context.sample_rate, context.layout, context.format = rate, "mono", sample_format
    context.time_base = Fraction(1, rate)
    context.open()
    size = context.frame_size or rate // 50
    packets = []
    # A coder begins with what comes before the first sample: it is left out, and the end needs as much more.
    for begin in range(0, (LENGTH_S + 1) * rate, size):
        seconds = numpy.arange(begin - early, begin - early + size) / rate
        wave = 0.8 * numpy.sin(2 * numpy.pi * _CLICK_HZ * seconds) * (seconds % 1 < _CLICK_S)
        samples = (wave * 32767).astype(numpy.int16) if sample_format == "s16" else wave.astype(numpy.float32)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format=sample_format, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, context.time_base
        packets += context.encode(frame)
    coded = [bytes(one) for one in packets if one.pts >= early]
    return coded[: LENGTH_S * rate // size], bytes(context.extradata or b"")
