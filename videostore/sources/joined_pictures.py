"""Joins the parts of keyframes that ffmpeg's parsers split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from videostore.media.libav import av
from videostore.media.split_picture import rest_of_picture

_SAME_S = 0.001
"""Parts of one picture have one time, or the next one that a muxer can write. No camera sends pictures this close."""


def joined(codec: str, packets: Iterator[Any]) -> Iterator[Any]:
    """Whole pictures, of PyAV's packets in the order of decoding, with start codes.

    Some servers send the parameter sets again before each slice of a keyframe (GStreamer's payloader with
    `config-interval=-1`). The standard has them before the first slice only, so ffmpeg takes each slice for a picture.
    A stream does so from its first keyframe on, or never: only then do keyframes wait for what follows.
    """
    held: Any = None
    splits: bool | None = None
    for packet in packets:
        if not packet.size:
            continue
        if held is not None:
            rest = rest_of_picture(codec, bytes(packet)) if _is_near(held, packet) else None
            if rest is not None:
                splits = True
                held = _with_rest(held, rest)
                continue
            splits = bool(splits)
            yield held
            held = None
        if packet.is_keyframe and splits is not False:
            held = packet
        else:
            yield packet
    if held is not None:
        yield held


def _is_near(one: Any, other: Any) -> bool:
    if one.pts is None or other.pts is None:
        return False
    return bool((other.pts - one.pts) * one.time_base < _SAME_S)


def _with_rest(packet: Any, rest: bytes) -> Any:
    whole: Any = av.Packet(bytes(packet) + rest)
    whole.pts, whole.dts, whole.time_base, whole.is_keyframe = packet.pts, packet.dts, packet.time_base, True
    return whole
