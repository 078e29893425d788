"""Comparing clips packet by packet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import av

from videostore.ffmpeg.options import CLIP_TIMESCALE
from videostore.remote.splice import Packet, Piece

RESOLUTION_MS = 1000 / CLIP_TIMESCALE
"""Two times of a clip, each rounded to its unit, are at most this much closer or further apart than those of frames."""
_RESOLUTION_US = 1000 * RESOLUTION_MS + 1


def same_frames(one: Path, other: Path) -> bool:
    """Whether two clips have the same packets, as far apart as the units of time of a clip can say.

    Their durations may differ.
    """
    return same_packets(Piece.read(one).packets, Piece.read(other).packets)


def same_packets(some: Sequence[Packet], others: Sequence[Packet]) -> bool:
    """The same of their packets. Where two pieces were joined, both have rounded the times of their frames."""
    equal = [(a.digest, a.hidden, a.keyframe) for a in some] == [(b.digest, b.hidden, b.keyframe) for b in others]
    return equal and all(
        abs((b.time_us - a.time_us) - (d.time_us - c.time_us)) <= 2 * _RESOLUTION_US
        for (a, b), (c, d) in zip(itertools.pairwise(some), itertools.pairwise(others), strict=True)
    )


def group_bytes(path: Path) -> list[int]:
    """How large each group of pictures of a clip is: a keyframe, and what follows it up to the next."""
    groups: list[int] = []
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.is_keyframe or not groups:
                groups.append(0)
            groups[-1] += packet.size
    return groups
