"""Reads the paint of every frame of a clip, and compares the frames with what a camera delivered."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy
from numpy.typing import NDArray

from scripts.fakes.paint import PaintedFrame, read_paint

_NEAR_US = 60_000_000
"""A reading this near in time to the frame before is right."""


@dataclass(frozen=True)
class ClipCheck:
    """The frames of a clip compared with those that a camera delivered. Times are in microseconds since 1970.

    Frames in `missing_inside` were delivered between the first and the last frame shown; `missing_before` and
    `missing_after` are the other missing frames of the range. `drift_ms` is the largest difference between the time at
    which a player shows a frame and its capture time, both counted from the clip's first frame. It means nothing if
    the range has a gap.
    """

    shown: int
    unreadable: int
    doubled: int
    out_of_order: int
    outside: tuple[int, ...]
    unknown: tuple[int, ...]
    missing_before: tuple[int, ...]
    missing_inside: tuple[int, ...]
    missing_after: tuple[int, ...]
    first_us: int | None
    last_us: int | None
    drift_ms: float

    @property
    def flawless(self) -> bool:
        """Whether the clip shows every frame of the range once, in order, and no other frame."""
        flaws = (self.unreadable, self.doubled, self.out_of_order, self.outside, self.unknown)
        return not any((*flaws, self.missing_before, self.missing_inside, self.missing_after)) and self.shown > 0


def read_clip(
    clip: str | Path | bytes, painted: Sequence[tuple[int, int]] = ()
) -> list[tuple[float, PaintedFrame | None]]:
    """Decode a video. Returns the time in seconds and the paint of every frame that a player shows.

    The decoder leaves out frames before the start of the edit list. `painted` are further frame sizes to try, for
    clips that were scaled. Blocking.
    """
    source = io.BytesIO(clip) if isinstance(clip, bytes) else str(clip)
    shown: list[tuple[float, PaintedFrame | None]] = []
    reader = PaintReader([None, *painted])
    with av.open(source) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # starting threads costs more than decoding so few frames
        for frame in container.decode(stream):
            if frame.pts is None or frame.time is None:
                raise ValueError("a frame of the clip has no time")
            shown.append((frame.time, reader.read(luma(frame))))
    return shown


def check_clip(
    shown: Sequence[tuple[float, PaintedFrame | None]], delivered: Sequence[int], from_us: int, to_us: int
) -> ClipCheck:
    """Compare the frames of `read_clip` with `PaintedCamera.delivered`, for a clip of [from_us, to_us)."""
    read = [(seconds, frame.captured_us) for seconds, frame in shown if frame is not None]
    times = [captured for _, captured in read]
    first, last = (times[0], times[-1]) if times else (None, None)
    seen, known = set(times), set(delivered)
    missing = [captured for captured in delivered if from_us <= captured < to_us and captured not in seen]
    drift_s = [(seconds - read[0][0]) - (captured - times[0]) / 1e6 for seconds, captured in read]
    return ClipCheck(
        shown=len(shown),
        unreadable=len(shown) - len(read),
        doubled=len(times) - len(seen),
        out_of_order=sum(later < earlier for earlier, later in itertools.pairwise(times)),
        outside=tuple(captured for captured in times if not from_us <= captured < to_us),
        unknown=tuple(captured for captured in times if captured not in known),
        missing_before=tuple(captured for captured in missing if first is not None and captured < first),
        missing_inside=tuple(captured for captured in missing if first and last and first < captured < last),
        missing_after=tuple(captured for captured in missing if last is None or captured > last),
        first_us=first,
        last_us=last,
        drift_ms=max((round(abs(drift) * 1000, 9) for drift in drift_s), default=0.0),  # beyond, floats are not exact
    )


class PaintReader:
    """Reads the paint of one frame after the other, at whichever size it was painted.

    In rare cases a frame that is read at a wrong size passes the CRC. So the size of the previous frame is tried first,
    and of several readings the one nearest in time to the previous frame counts.
    """

    def __init__(self, sizes: Sequence[tuple[int, int] | None]) -> None:
        self._sizes = list(sizes)
        self._last_us: int | None = None

    def read(self, gray: NDArray[Any]) -> PaintedFrame | None:
        """The paint of the next frame; None if it is not legible."""
        readings: list[tuple[int, tuple[int, int] | None, PaintedFrame]] = []
        for size in self._sizes:
            if reading := read_paint(gray, size):
                distance_us = abs(reading.captured_us - (self._last_us or reading.captured_us))
                readings.append((distance_us, size, reading))
                if self._last_us is not None and distance_us < _NEAR_US:
                    break
        if not readings:
            return None
        _, size, found = min(readings, key=lambda one: one[0])
        self._sizes.remove(size)
        self._sizes.insert(0, size)
        self._last_us = found.captured_us
        return found


def luma(frame: av.VideoFrame) -> NDArray[Any]:
    """The brightness of each pixel: what is in the frame, not converted, if that is possible."""
    if not frame.format.name.startswith(("yuv", "nv12", "gray")) or frame.format.components[0].bits != 8:
        return frame.to_ndarray(format="gray")
    plane = frame.planes[0]
    lines: NDArray[Any] = numpy.frombuffer(memoryview(plane), numpy.uint8).reshape(-1, plane.line_size)
    return lines[: frame.height, : frame.width]
