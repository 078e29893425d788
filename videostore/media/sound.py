"""Sound beside video: its format, its packets, and how an MP4 describes it (ISO/IEC 14496-12, 12.2.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

COPIED = ("aac", "opus")
"""Codecs of sound that are recorded as they come."""
_OPUS_RATE = 48000
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_ADTS_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
_ADTS_BYTES, _ADTS_CHECKED_BYTES = 7, 9


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """What stays the same in the sound of one run."""

    codec: str
    """ffmpeg's name: `aac` or `opus`."""
    rate: int
    """Samples in a second."""
    channels: int
    config: bytes
    """What a decoder needs: an `AudioSpecificConfig` of AAC, an `OpusHead` of Opus."""


@dataclass(frozen=True, slots=True)
class SoundPacket:
    """One coded packet of sound."""

    captured_us: int
    """When its first sample was captured, in microseconds, UTC."""
    data: bytes


def opus_head(channels: int) -> bytes:
    """What a decoder needs for Opus that comes without it, as over RTP (RFC 7845, 5.1)."""
    return struct.pack("<8sBBHIhB", b"OpusHead", 1, channels, 0, _OPUS_RATE, 0, 0)


def split_adts(data: bytes) -> tuple[SoundFormat, bytes] | None:
    """The format and the content of a packet of AAC with a header of its own, as in transport streams.

    None if it has none, or more than one block of data, which no known encoder writes.
    """
    if len(data) < _ADTS_BYTES or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[6] & 3:
        return None
    profile, rate = data[2] >> 6, data[2] >> 2 & 15
    channels = (data[2] & 1) << 2 | data[3] >> 6
    if rate >= len(_ADTS_RATES) or not 0 < channels < len(_ADTS_CHANNELS):
        return None
    config = struct.pack(">H", (profile + 1) << 11 | rate << 7 | channels << 3)
    content = data[_ADTS_BYTES if data[1] & 1 else _ADTS_CHECKED_BYTES :]
    return SoundFormat("aac", _ADTS_RATES[rate], _ADTS_CHANNELS[channels], config), content


def sample_entry(format: SoundFormat) -> bytes:
    """How an MP4 describes sound: the sample entry that `stsd` holds."""
    kind, config = (b"mp4a", _esds(format.config)) if format.codec == "aac" else (b"Opus", _dops(format.config))
    fixed = struct.pack(">6xHIIHHHHI", 1, 0, 0, format.channels, 16, 0, 0, (format.rate & 0xFFFF) << 16)
    return box(kind, fixed + config)


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of an MP4."""
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def _esds(config: bytes) -> bytes:
    specific = _descriptor(5, config)
    decoder = _descriptor(4, struct.pack(">BBxxxII", 0x40, 0x15, 0, 0) + specific)
    return box(b"esds", bytes(4), _descriptor(3, struct.pack(">HB", 0, 0) + decoder + _descriptor(6, b"\2")))


def _descriptor(tag: int, content: bytes) -> bytes:
    """A descriptor of ISO/IEC 14496-1, 8.3.3, whose length takes four bytes."""
    length = len(content)
    return bytes((tag, *(length >> shift & 0x7F | 0x80 for shift in (21, 14, 7)), length & 0x7F)) + content


def _dops(head: bytes) -> bytes:
    """`dOps` is an `OpusHead` in the other order of bytes, without its name."""
    channels, skipped, rate, gain, family = struct.unpack_from("<BHIhB", head, 9)
    return box(b"dOps", struct.pack(">BBHIhB", 0, channels, skipped, rate, gain, family), head[19:])
