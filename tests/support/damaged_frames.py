"""Damages coded frames of segments in place, and reads what is left of clips of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import av
import av.error
import numpy

from scripts.fakes.paint import read_paint
from tests.support.recording import US
from videostore.media.clip_reader import read_clip_times
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import Fragment

_TICK_US = 12
"""A frame may be so much before its place."""

LENGTH, HEADER, SLICE = "a length", "a header", "a slice"
"""What of a frame is damaged. The first two make it unreadable as NAL units, the last one undecodable."""


def frame_places(fragment: Fragment) -> list[tuple[int, int]]:
    """Where each frame of a fragment begins in the file, and its size."""
    places, at = [], fragment.body_byte
    for size in fragment.sizes:
        places.append((at, size))
        at += size
    return places


def damage_frame(path: Path, fragment: int, frame: int, damage: str) -> Fragment:
    """Damage a frame of a segment. Returns the fragment that it is in."""
    found = read_fragments(path).fragments[fragment]
    begin, size = frame_places(found)[frame]
    if damage == SLICE:
        flip_bits(path, *(begin + size * part // 8 for part in range(3, 8)), bits=0xFF)
    else:
        flip_bits(path, begin if damage == LENGTH else begin + 4, bits=0x80)
    return found


def flip_bits(path: Path, *places: int, bits: int) -> None:
    """Flip bits of some bytes."""
    data = bytearray(path.read_bytes())
    for at in places:
        data[at] ^= bits
    path.write_bytes(data)


def dated_frames(clip: Path) -> list[tuple[int, int | None]]:
    """The time that a clip tells of each of its frames, and the painted one; None if that is not legible.

    A decoder may refuse a frame. All that follows is still told.
    """
    times = read_clip_times(clip)
    painted: dict[int, int | None] = {}
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        base = stream.time_base
        assert base is not None
        for packet in container.demux(stream):
            if packet.pts is not None:
                painted.setdefault(packet.pts, None)
            with contextlib.suppress(av.error.FFmpegError):
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame) and frame.pts is not None
                    plane = frame.planes[0]
                    rows = numpy.frombuffer(bytes(plane), numpy.uint8).reshape(-1, plane.line_size)
                    paint = read_paint(rows[: frame.height, : frame.width])
                    painted[frame.pts] = None if paint is None else paint.captured_us
        positions = [(min(round(pts * base * US) + _TICK_US, times.listed_us - 1), pts) for pts in sorted(painted)]
        return [(times.at(position_us), painted[pts]) for position_us, pts in positions]
