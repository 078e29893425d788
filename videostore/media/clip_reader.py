"""Reads from a clip's file what it tells about its own time. Only headers and the frames before a position are read."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError, reason_of
from videostore.base.files import AnyPath, as_path
from videostore.base.ranges import Range
from videostore.base.tasks import run_in_thread
from videostore.media.clip_times import TICK_US, ClipTimes, has_time_tags, parse_time_tags
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.lenient_tags import lenient_tags, tags_of
from videostore.media.libav import av

_LENGTH_SLACK_US = US_PER_SECOND // 50
"""A clip whose length differs by more from what its tags say is not as it was made."""
_FOREIGN_SLACK_US = US_PER_SECOND
"""Of recordings that are dated to the second, how long the last frame is shown is not known."""
_END_SLACK_US = 1000
"""The same for the end of the last frame: its length was rounded."""
_SEEK_BACK_US = (0, US_PER_SECOND, 20 * US_PER_SECOND)
"""How much earlier a keyframe is looked for, if that at a position is shown behind it."""
_MOST_PACKETS = 100_000
"""Far more than there are from one keyframe to the next."""


@dataclass(frozen=True, slots=True)
class ClipFrame:
    """A frame of a clip."""

    position_us: int
    """Where it begins in the clip."""
    captured_us: int
    """When it was captured."""
    precision_us: int
    """How far that may be off: 0 for the first frame of a stretch, 12 for the others, because a clip counts time in
    1/90000 s; 1,000,000 for a recording of the Go module, which is dated to the second."""


async def clip_times(path: AnyPath) -> ClipTimes:
    """What a clip tells about its own time: the recorder, and when each of its stretches was captured.

    Raises:
        RequestError: the file cannot be read, does not tell its times, or was cut or changed after it was made.
    """
    return await run_in_thread(read_clip_times, as_path(path))


async def clip_frame(path: AnyPath, position_us: int) -> ClipFrame:
    """The frame that a clip shows at a position, which is in microseconds, and when it was captured.

    Raises:
        RequestError: as for `clip_times`; or the position is outside the clip.
    """
    return await run_in_thread(read_clip_frame, as_path(path), position_us)


def read_clip_times(path: Path) -> ClipTimes:
    """The same as `clip_times`. Blocking."""
    with _opened(path) as container:
        return _times(path, container)


def read_clip_frame(path: Path, position_us: int, within_us: int = TICK_US) -> ClipFrame:
    """The same as `clip_frame`; a frame that begins up to `within_us` after the position counts as shown. Blocking."""
    with _opened(path) as container:
        times = _times(path, container)
        times.stretch_at(position_us)
        shown_us = _shown_position_us(container, position_us + within_us)
        if shown_us is None:
            raise RequestError("clip-unreadable", path=path, reason="it has no frame at this position")
        # Its position was rounded, so it may lie a tick before the one in the tag.
        stretch = times.stretch_at(min(shown_us + TICK_US, times.listed_us - 1))
        late_us = shown_us - stretch.position_us
        first = late_us <= TICK_US
        precision_us = 0 if first else TICK_US
        captured_us = stretch.from_us + (0 if first else late_us)
        return ClipFrame(shown_us, min(captured_us, stretch.to_us), precision_us if stretch.exact else US_PER_SECOND)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The clip, opened by libav, whose errors become errors for the user."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe or a device could block for ever
            raise RequestError("clip-unreadable", path=path, reason="it is not a regular file")
        # An absolute path: libav would take a name such as `http:…` for a URL.
        with av.open(str(path.absolute()), format="mp4", **lenient_tags()) as container:
            if not container.streams.video:
                raise RequestError("clip-unreadable", path=path, reason="it has no video")
            yield container
    except av.error.InvalidDataError as error:
        reason = "it is no MP4, or it is cut off or damaged"
        raise RequestError("clip-unreadable", path=path, reason=reason) from error
    except (OSError, ValueError, OverflowError, av.error.FFmpegError) as error:
        raise RequestError("clip-unreadable", path=path, reason=_reason(error)) from error


def _reason(error: Exception) -> str:
    """The message of the system or of libav, without its number and the path."""
    return getattr(error, "strerror", None) or reason_of(error)


def _times(path: Path, container: Any) -> ClipTimes:
    times = parse_time_tags(tags_of(container))
    if times is None:
        if has_time_tags(tags_of(container)):
            raise RequestError("clip-tags-changed", path=path)
        _check_segment(path)
        created_us = _created_us(tags_of(container))
        if created_us is None:
            raise RequestError("clip-untimed", path=path)
        raise RequestError("clip-untimed-but-dated", path=path, created_us=created_us)
    length_us = _length_us(container)
    slack_us = _LENGTH_SLACK_US if times.stretches[-1].exact else _FOREIGN_SLACK_US
    moved = abs(_start_us(container)) > slack_us  # the tags count from the first frame
    too_short, longer = length_us < times.listed_us - slack_us, length_us > times.listed_us + slack_us
    too_long = longer and not times.unlisted and not _ends_with_listed_frame(container, times.listed_us)
    if moved or too_short or too_long:
        raise RequestError(
            "clip-changed",
            path=path,
            length_s=length_us / US_PER_SECOND,
            made_s=times.listed_us / US_PER_SECOND,
            first_us=times.first_us,
        )
    return times


def _check_segment(path: Path) -> None:
    with contextlib.suppress(OSError, NotOursError):
        found = read_fragments(path)
        raise RequestError("clip-is-segment", path=path, captured=Range(found.start_us, found.end_us))


def _length_us(container: Any) -> int:
    stream = container.streams.video[0]
    if stream.duration is not None:
        return int(stream.duration * stream.time_base * US_PER_SECOND)
    return int(container.duration or 0)


def _ends_with_listed_frame(container: Any, listed_us: int) -> bool:
    """Whether the last frame begins in what the tags list, so that only its length is not that of the tags.

    The last frame of a recording has no length. A clip shows it for as long as libav guesses from the frame rate.
    """
    stream = container.streams.video[0]
    end = int(listed_us / US_PER_SECOND / stream.time_base)
    container.seek(end, stream=stream)
    for number, packet in enumerate(container.demux(stream)):
        if number >= _MOST_PACKETS or (packet.pts is not None and packet.pts > end + 1):
            return False
    return True


def _start_us(container: Any) -> int:
    """When a player shows the first frame."""
    stream = container.streams.video[0]
    return int((stream.start_time or 0) * stream.time_base * US_PER_SECOND)


def _created_us(tags: Any) -> int | None:
    try:
        moment = datetime.fromisoformat(tags.get("creation_time", "").replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    created_us = int(moment.astimezone(timezone.utc).timestamp()) * US_PER_SECOND
    return created_us if created_us > 0 else None


def _shown_position_us(container: Any, position_us: int) -> int | None:
    """Where the frame begins that is shown at a position; None if there is none.

    libav seeks by when keyframes are decoded: with B frames it may find one that is shown behind the position.
    """
    found = (_shown_behind(container, max(position_us - back_us, 0), position_us) for back_us in _SEEK_BACK_US)
    return next((one for one in found if one is not None), None)


def _shown_behind(container: Any, from_us: int, position_us: int) -> int | None:
    """The same, by the frames from the keyframe on that libav finds for a time."""
    stream = container.streams.video[0]
    ticks_per_us = 1 / (stream.time_base * US_PER_SECOND)
    container.seek(int(from_us * ticks_per_us), stream=stream)
    shown_us: int | None = None
    end_us = -1
    for number, packet in enumerate(container.demux(stream)):
        if number >= _MOST_PACKETS or not packet.size:
            break
        if packet.pts is None:
            continue
        decoded = packet.pts if packet.dts is None else packet.dts
        if decoded * stream.time_base * US_PER_SECOND > position_us:
            return shown_us  # every later packet is shown later
        begin_us = round(packet.pts * stream.time_base * US_PER_SECOND)
        if not packet.is_discard and 0 <= begin_us <= position_us:
            shown_us = begin_us if shown_us is None else max(shown_us, begin_us)
        end_us = max(end_us, begin_us + int((packet.duration or 0) * stream.time_base * US_PER_SECOND))
    # The end of the file: where it was cut off, this is not the frame that belongs here.
    return shown_us if position_us <= end_us + _END_SLACK_US else None
