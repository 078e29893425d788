"""Silence as a packet of coded sound, to be put where sound is missing."""

from __future__ import annotations

import functools
import io
from typing import Any

from videostore.media.libav import av
from videostore.media.sound_file import whole_file

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_SAMPLES = 1024
_AAC_LOW_COMPLEXITY = 2
_AAC_LENGTHS = (_AAC_SAMPLES, 2 * _AAC_SAMPLES)
"""A packet has as many samples, or twice as many with spectral band replication."""
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1"}
_OPUS_UNIT = 120
"""2.5 ms, the shortest frame of Opus."""
_OPUS_FRAME = 960
_OPUS_RATE = 48000
_OPUS_LENGTHS = (120, 240, 480, 960, 1920, 2880)
_OPUS_SHORT, _OPUS_LONG = 30 << 3, 31 << 3
"""The first byte of a packet (RFC 6716, 3.1) with frames of 10 and of 20 ms."""
_OPUS_STEREO = 4
_OPUS_QUIET = b"\xff\xfe"
_TRIES = 4


def nominal_length(codec: str, measured: float) -> int:
    """How many samples a packet has, of which the time between two was measured."""
    if codec == "opus":
        return max(1, round(measured / _OPUS_UNIT)) * _OPUS_UNIT
    return min(_AAC_LENGTHS, key=lambda length: abs(length - measured))


@functools.lru_cache(maxsize=16)
def silence(entry: bytes, rate: int, length: int) -> bytes | None:
    """A silent packet of `length` samples for sound with this sample entry; None if none can be made."""
    try:
        codec, channels, config = _decoder_of(entry, rate, length)
        if codec == "opus":
            return _opus(length, channels)
        return _aac(config, channels) if codec == "aac" else None
    except (av.error.FFmpegError, ValueError, IndexError, TypeError):
        return None


@functools.lru_cache(maxsize=16)
def encoding_of(entry: bytes, rate: int, length: int) -> dict[str, str | int] | None:
    """ffmpeg's options that encode other sound to packets of `length` samples which this sample entry describes; None
    if that needs what no encoder here writes, such as spectral band replication.
    """
    try:
        codec, channels, config = _decoder_of(entry, rate, length)
    except (av.error.FFmpegError, ValueError, IndexError, TypeError):
        return None
    if channels not in (1, 2):
        return None
    if codec == "aac" and length == _AAC_SAMPLES and rate in _AAC_RATES:
        plain = _AAC_LOW_COMPLEXITY << 11 | _AAC_RATES.index(rate) << 7 | channels << 3
        return {"c:a": "aac", "ar": rate, "ac": channels} if config[:2] == plain.to_bytes(2, "big") else None
    if codec == "opus" and length in _OPUS_LENGTHS:
        return {"c:a": "libopus", "ar": rate, "ac": channels, "frame_duration": f"{length / (_OPUS_RATE // 1000):g}"}
    return None


def packets_before(codec: str) -> int:
    """How many packets an encoder writes before the one that begins with the first sample."""
    return 1 if codec == "aac" else 0


def _decoder_of(entry: bytes, rate: int, length: int) -> tuple[str, int, bytes]:
    with av.open(io.BytesIO(whole_file(entry, rate, length, [b"\0"])), format="mp4") as container:
        context = container.streams.audio[0].codec_context
        return context.name, context.channels, bytes(context.extradata or b"")


def codec_of(entry: bytes) -> str:
    """The codec of a sample entry: `aac`, `opus`, or empty."""
    return {b"mp4a": "aac", b"Opus": "opus"}.get(entry[4:8], "")


def _opus(length: int, channels: int) -> bytes | None:
    first = _OPUS_STEREO if channels > 1 else 0
    if length == _OPUS_FRAME // 2:
        return bytes((first | _OPUS_SHORT,)) + _OPUS_QUIET
    count, rest = divmod(length, _OPUS_FRAME)
    if rest or not count:
        return None
    first |= _OPUS_LONG
    return bytes((first,)) + _OPUS_QUIET if count == 1 else bytes((first | 3, count)) + count * _OPUS_QUIET


def _aac(config: bytes, channels: int) -> bytes | None:
    if channels > 2 and config[1] >> 3 & 15 != channels:  # the order of its channels is one of its own
        return None
    rate = _AAC_RATES[(config[0] & 7) << 1 | config[1] >> 7]
    encoder: Any = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.format, encoder.bit_rate = rate, "fltp", 32_000
    encoder.layout = _AAC_LAYOUTS[channels]
    for number in range(_TRIES):
        frame = av.AudioFrame(format="fltp", layout=encoder.layout, samples=_AAC_SAMPLES)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = rate, number * _AAC_SAMPLES
        packets = encoder.encode(frame)
        if number == _TRIES - 1 and packets:
            return bytes(packets[-1])
    return None
