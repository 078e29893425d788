"""What a storage directory holds of a camera: the pictures with their times, beside those that the camera sent."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from scripts.fakes.painted_camera import read_paint
from tests.support.coded_stream import FPS, SentPicture, painted_number, slices_of_sample
from tests.support.recording import US
from videostore.media.fmp4 import read_fragments


@dataclass(frozen=True)
class StoredPicture:
    """A picture of a segment, in the order of showing."""

    painted: int | None
    """Its place in the stream, as it is painted; None if that cannot be read."""
    captured_us: int
    """The time that it is stored with, UTC."""
    size: tuple[int, int]


@dataclass(frozen=True)
class Comparison:
    """Stored pictures beside those that were sent."""

    stored: int
    unreadable: int
    invented: int
    """Pictures that were not sent near their time."""
    doubled: int
    """Pictures that are there again, or behind a later one."""
    missing: int
    """Pictures between the first and the last stored one that are not stored, or cannot be read."""
    errors_us: tuple[int, ...]
    """How much later than it was captured each picture is dated."""

    @property
    def exact(self) -> bool:
        """Whether each picture from the first to the last is stored, once."""
        return self.stored > 0 and not (self.unreadable or self.invented or self.doubled or self.missing)

    @property
    def error_us(self) -> float:
        """The median of how much later the pictures are dated than they were captured."""
        return statistics.median(self.errors_us)

    @property
    def spread_us(self) -> int:
        """How much the distances of the pictures differ from the true ones, at most."""
        return max(self.errors_us) - min(self.errors_us)

    def true_distances(self, since: int = 0) -> float:
        """The share of pictures whose distance from the one before is the true one, from this picture on."""
        wrong = [abs(later - earlier) > _TRUE_US for earlier, later in itertools.pairwise(self.errors_us[since:])]
        return 1 - sum(wrong) / len(wrong)

    @property
    def moved_on_us(self) -> int:
        """How much further apart than they were captured two neighbours are in the beginning, at most."""
        return max(later - earlier for earlier, later in itertools.pairwise(self.errors_us[:BEGINNING]))


BEGINNING = 4 * FPS
"""While these pictures come, the smallest delay may still be being found, on a busy machine in many steps: times then
move to earlier ones, and all that follow with them."""
_TRUE_US = 1000
_NEAR_US = 5 * US
"""A picture that is stored with a time further from its capture is another one: a stream is repeated after 20 s."""

_BEFORE = -(1 << 40)


def stored_pictures(directory: Path) -> list[StoredPicture]:
    """The pictures of all segments of a directory, decoded."""
    paths = sorted(directory.glob("*.mp4"))
    befores = [None, *paths]
    return [one for path, before in zip(paths, befores, strict=False) for one in _pictures_of_segment(path, before)]


def _pictures_of_segment(path: Path, before: Path | None) -> list[StoredPicture]:
    frames: list[Any] = []
    positions = []
    with av.open(str(path)) as container:
        if before is not None and read_fragments(path).leading is not None:
            # It begins with an open GOP, of which some frames need those of the segment before.
            _decode_before(container.streams.video[0].codec_context, before)
        for packet in container.demux(video=0):
            positions += [packet.pts] if packet.size else []
            frames += packet.decode()
    # A decoder may show nothing for a damaged picture.
    times_us = dict(zip(sorted(one for one in positions if one is not None), _times_us(path), strict=True))
    found = []
    for frame in frames:
        if frame.pts is not None and frame.pts <= _BEFORE:
            continue
        assert isinstance(frame, av.VideoFrame) and frame.pts is not None
        paint = read_paint(frame.to_ndarray(format="gray"))
        painted = None if paint is None else painted_number(paint.captured_us)
        found.append(StoredPicture(painted, times_us[frame.pts], (frame.width, frame.height)))
    return found


def _decode_before(decoder: Any, path: Path) -> None:
    """Give a decoder the frames of the segment before, whose pictures come with other times."""
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pts is not None:
                packet.pts += 2 * _BEFORE
                decoder.decode(packet)


def _times_us(path: Path) -> list[int]:
    return sorted(time_us for one in read_fragments(path).fragments for time_us in one.times_us)


def compare(stored: Sequence[StoredPicture], sent: Sequence[SentPicture]) -> Comparison:
    """Find the picture that was sent for each one that is stored."""
    by_paint: dict[int, list[SentPicture]] = {}
    for one in sent:
        by_paint.setdefault(one.painted, []).append(one)
    matched: list[SentPicture] = []
    errors = []
    invented = 0
    for picture in stored:
        near = [
            one
            for one in by_paint.get(picture.painted if picture.painted is not None else -1, [])
            if abs(picture.captured_us - one.captured_us) < _NEAR_US
        ]
        if not near:
            invented += picture.painted is not None
            continue
        original = min(near, key=lambda one: abs(picture.captured_us - one.captured_us))
        matched.append(original)
        errors.append(picture.captured_us - original.captured_us)
    doubled = sum(later.captured_us <= earlier.captured_us for earlier, later in itertools.pairwise(matched))
    times_us = [one.captured_us for one in matched]  # the last picture may be an earlier one that is shown again
    # A stream may be opened twice before it is recorded. What the first client got, and is shown later, is not missing.
    begun = matched[0].connection if matched else 0
    since = [one for one in sent if one.connection >= begun]
    between = [one for one in since if matched and min(times_us) <= one.captured_us <= max(times_us)]
    unreadable = sum(one.painted is None for one in stored)
    missing = len(between) - len(set(matched))
    return Comparison(len(stored), unreadable, invented, doubled, missing, tuple(errors))


def stored_slices(directory: Path) -> list[list[bytes]]:
    """The coded slices of each stored picture, in the order of decoding."""
    found = []
    for path in sorted(directory.glob("*.mp4")):
        with av.open(str(path)) as container:
            stream: Any = container.streams.video[0]
            codec = stream.codec_context.name
            found += [slices_of_sample(codec, bytes(one)) for one in container.demux(stream) if one.size]
    return found
