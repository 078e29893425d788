"""Codec names: what HLS and browsers call the video and the sound of an MP4, such as `avc1.64001f` and `mp4a.40.2`.

They are those of RFC 6381, which are made of the decoder's configuration: of H.264 and AAC as it has them, of H.265 and
AV1 as ISO/IEC 14496-15 (Annex E) and the AV1 codec mapping (5) define.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from videostore.base.files import open_regular
from videostore.media.boxes import DAMAGE, VISUAL_ENTRY_BYTES, leaves, track_leaves
from videostore.media.decoder_setup import NoSetupError, find_moov

_SOUND_ENTRY_BYTES = 8 + 28
"""The same as `VISUAL_ENTRY_BYTES` of sound (ISO/IEC 14496-12, 12.2.3)."""
_ES, _DECODER, _SPECIFIC = 3, 4, 5
"""Tags of descriptors (ISO/IEC 14496-1, 7.2.2.1)."""
_DECODER_BYTES = 13
_MPEG4_SOUND = 0x40
_MORE_KINDS = 31
"""An object type of AAC that does not fit into five bits follows."""


@dataclass(frozen=True, slots=True)
class CodecNames:
    """The names of one file."""

    video: str
    demand: tuple[int, int]
    """Profile and level of the video: how much it asks of a decoder."""
    sound: str | None = None
    """None without sound."""


def read_codec_names(path: Path) -> CodecNames:
    """Read the names of the first video and the first sound of an MP4. Blocking.

    Raises:
        NoSetupError: it has no video, is damaged, or has a codec that is not known here.
        OSError: the file cannot be read.
    """
    with open_regular(path, buffering=1024) as file:
        try:
            moov, _ = find_moov(file)
            entries: dict[bytes, bytes] = {}
            for track in track_leaves(moov[8:]):
                entries.setdefault(track[b"hdlr"][8:12], track[b"stsd"])
            sound = entries.get(b"soun")
            return CodecNames(*_video(entries[b"vide"]), None if sound is None else _sound_name(sound))
        except DAMAGE as error:
            raise NoSetupError(f"{path.name} has no codec that can be named") from error


def _video(entry: bytes) -> tuple[str, tuple[int, int]]:
    kind = entry[4:8].decode("ascii")
    boxes = dict(leaves(entry[VISUAL_ENTRY_BYTES:]))
    if kind in ("avc1", "avc3"):
        config = _some(boxes[b"avcC"], 1, 3)
        return f"{kind}.{config.hex()}", (config[0], config[2])
    if kind in ("hvc1", "hev1"):
        config = _some(boxes[b"hvcC"], 1, 12)
        return f"{kind}.{_hevc_profile(config)}", (config[0] & 0x1F, config[11])
    if kind == "av01":
        config = _some(boxes[b"av1C"], 1, 2)
        return f"{kind}.{_av1_profile(config)}", (config[0] >> 5, config[0] & 0x1F)
    raise ValueError("an unknown codec")


def _hevc_profile(config: bytes) -> str:
    """Profile, what decoders it is compatible with, tier and level, and constraints."""
    kind, compatible = struct.unpack_from(">BI", config)
    space = ("", "A", "B", "C")[kind >> 6]
    turned = int(f"{compatible:032b}"[::-1], 2)
    tier = "H" if kind & 0x20 else "L"
    constraints = "".join(f".{one:x}" for one in config[5:11].rstrip(b"\0"))
    return f"{space}{kind & 0x1F}.{turned:x}.{tier}{config[11]}{constraints}"


def _av1_profile(config: bytes) -> str:
    """Profile, level and tier, and bits of a value."""
    tier = "H" if config[1] & 0x80 else "M"
    bits = (12 if config[1] & 0x20 else 10) if config[1] & 0x40 else 8
    return f"{config[0] >> 5}.{config[0] & 0x1F:02}{tier}.{bits:02}"


def _sound_name(entry: bytes) -> str:
    kind = entry[4:8]
    if kind == b"Opus":
        return "opus"
    if kind != b"mp4a":
        raise ValueError("an unknown codec")
    esds = dict(leaves(entry[_SOUND_ENTRY_BYTES:]))[b"esds"]
    decoder = _descriptor(_descriptor(esds[4:], _ES)[3:], _DECODER)
    if decoder[0] != _MPEG4_SOUND:
        return f"mp4a.{decoder[0]:02X}"
    (specific,) = struct.unpack_from(">H", _descriptor(decoder[_DECODER_BYTES:], _SPECIFIC))
    number = specific >> 11
    if number == _MORE_KINDS:
        number = 32 + (specific >> 5 & 0x3F)
    return f"mp4a.40.{number}"


def _descriptor(data: bytes, tag: int) -> bytes:
    """The content of a descriptor at the beginning of data (ISO/IEC 14496-1, 8.3.3)."""
    if data[0] != tag:
        raise ValueError("another descriptor")
    size, at = 0, 1
    while True:
        size = size << 7 | data[at] & 0x7F
        at += 1
        if not data[at - 1] & 0x80:
            return data[at : at + size]


def _some(data: bytes, begin: int, count: int) -> bytes:
    if len(data) < begin + count:
        raise ValueError("it is too short")
    return data[begin : begin + count]
