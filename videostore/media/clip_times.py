"""What a clip tells about its own time, as values and as the text of its tags.

Three tags of the MP4 say it, which every program shows that shows tags at all: `title` is the recorder's name, `date`
the capture time of the first frame, and `synopsis` lists the stretches of the clip. A stretch has no gap, and its clip
time and wall time run alike. Each is its position in the clip and, as an ISO 8601 interval, when it was captured:

    0:00:00.000000 2026-11-22T02:50:00.123456Z/2026-11-22T02:50:30.173456Z, 0:00:30.050000 2026-11-22T02:51:10.…

The end of one and the start of the next are a gap. `about` before the interval: it is dated to the second.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.time_format import format_position

TITLE, DATE, STRETCHES = "title", "date", "synopsis"
"""The names that ffmpeg has for the tags."""

TICK_US = 12
"""A clip counts time in 1/90000 s: positions read from it are at most this far from those in its tags."""

MOST_STRETCHES = 100_000
"""More are counted, but not listed: that is 7.5 MB of text, and 70 days of a gap a minute. ffprobe, exiftool and mpv
read as much in less than 0.3 s."""

_MOST_CHARACTERS = 80 * (MOST_STRETCHES + 1)
_MOST_NAME_CHARACTERS = 255
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"
_STRETCH = re.compile(rf"(\d{{1,6}}):(\d\d):(\d\d)\.(\d{{6}}) (about )?({_TIME})Z/({_TIME})Z", re.ASCII)
_DATE = re.compile(f"{_TIME}Z", re.ASCII)
_UNLISTED = re.compile(r"and (\d{1,12}) more", re.ASCII)
_SEPARATOR = ", "


@dataclass(frozen=True, slots=True)
class ClipStretch:
    """Frames of a clip without a gap between them."""

    position_us: int
    """Where its first frame is in the clip."""
    from_us: int
    """When its first frame was captured."""
    to_us: int
    """When its last frame ended."""
    exact: bool = True
    """Whether its times are exact to the microsecond. Those of the Go module's recordings are dated to the second."""

    @property
    def end_position_us(self) -> int:
        """Where its last frame ends in the clip."""
        return self.position_us + self.to_us - self.from_us


@dataclass(frozen=True, slots=True)
class ClipTimes:
    """What a clip tells about its own time."""

    recorder: str
    """Name of the recorder; empty if the clip does not tell it."""
    stretches: tuple[ClipStretch, ...]
    """In the order of the clip. Where the clock was set back, one may begin before the end of the one before it."""
    unlisted: int = 0
    """How many more stretches there are, of which the clip does not tell the times."""

    @property
    def first_us(self) -> int:
        """When the first frame was captured."""
        return self.stretches[0].from_us

    @property
    def listed_us(self) -> int:
        """Up to which position the times are known: the length of the clip, unless there are `unlisted` stretches."""
        return self.stretches[-1].end_position_us

    def stretch_at(self, position_us: int) -> ClipStretch:
        """The stretch that a position is in.

        Raises:
            RequestError: the position is outside the clip, or in a stretch that is not listed.
        """
        if position_us < 0:
            raise RequestError("position-negative", field="position", value=position_us / US_PER_SECOND)
        if position_us >= self.listed_us:
            value, length_s = position_us / US_PER_SECOND, self.listed_us / US_PER_SECOND
            if self.unlisted:
                raise RequestError("position-unlisted", field="position", value=value, length_s=length_s)
            raise RequestError("position-beyond-clip", field="position", value=value, length_s=length_s)
        after = bisect.bisect_right(self.stretches, position_us, key=lambda one: one.position_us)
        return self.stretches[after - 1]

    def at(self, position_us: int) -> int:
        """The time at a position of the clip, in microseconds UTC. The frame shown there was captured then or before.

        Raises:
            RequestError: the position is outside the clip, or in a stretch that is not listed.
        """
        stretch = self.stretch_at(position_us)
        return min(stretch.from_us + position_us - stretch.position_us, stretch.to_us)


def join_stretches(stretches: Iterable[ClipStretch]) -> list[ClipStretch]:
    """The stretches of a clip, with those joined between which nothing is missing."""
    joined: list[ClipStretch] = []
    for one in stretches:
        before = joined[-1] if joined else None
        if (
            before is not None
            and (before.to_us, before.exact) == (one.from_us, one.exact)
            and abs(before.end_position_us - one.position_us) <= TICK_US
        ):
            joined[-1] = replace(before, to_us=one.to_us)
        else:
            joined.append(one)
    return joined


def position_of(stretches: Sequence[ClipStretch], time_us: int, near_us: int) -> int:
    """Where a frame is that was captured at `time_us`: to the microsecond, if it can be found near `near_us`."""
    for one in reversed(stretches):
        position_us = one.position_us + time_us - one.from_us
        if one.exact and one.from_us <= time_us <= one.to_us and abs(position_us - near_us) <= 2 * TICK_US:
            return position_us
    return near_us


def continued(stretches: Sequence[ClipStretch], others: Iterable[ClipStretch]) -> tuple[ClipStretch, ...]:
    """The stretches of a clip, with those of another that continues it and may have some of its end too."""
    known_us = stretches[-1].end_position_us if stretches else 0
    added = []
    for one in others:
        missing_us = max(0, known_us - one.position_us)
        if one.position_us + missing_us < one.end_position_us:
            added.append(replace(one, position_us=one.position_us + missing_us, from_us=one.from_us + missing_us))
    return tuple(join_stretches([*stretches, *added]))


def time_tags(recorder: str, stretches: Sequence[ClipStretch], unlisted: int = 0) -> dict[str, str]:
    """The tags of a clip with these stretches. At most `MOST_STRETCHES` are listed, besides those already unlisted."""
    listed = stretches[:MOST_STRETCHES]
    unlisted += len(stretches) - len(listed)
    texts = [_stretch_text(one) for one in listed]
    if unlisted:
        texts.append(f"and {unlisted} more")
    return {
        TITLE: recorder[:_MOST_NAME_CHARACTERS],
        DATE: f"{_time_text(listed[0].from_us)}Z",
        STRETCHES: _SEPARATOR.join(texts),
    }


def parse_time_tags(tags: Mapping[str, str]) -> ClipTimes | None:
    """What the tags of a clip say; None if it has no tags of ours, or if they contradict each other."""
    text = tags.get(STRETCHES, "")
    if not 0 < len(text) <= _MOST_CHARACTERS:
        return None
    texts = text.split(_SEPARATOR)
    unlisted = 0
    if more := _UNLISTED.fullmatch(texts[-1]):
        texts.pop()
        unlisted = int(more[1])
    try:
        stretches = [_parse_stretch(one) for one in texts]
    except ValueError:
        return None
    if not stretches or not _is_consistent(stretches) or tags.get(DATE) != f"{_time_text(stretches[0].from_us)}Z":
        return None
    return ClipTimes(tags.get(TITLE, ""), tuple(stretches), unlisted)


def has_time_tags(tags: Mapping[str, str]) -> bool:
    """Whether tags are of ours, also if they contradict each other: then they were changed after the clip was made. A
    clip with a piece of an older module has a date alone."""
    text = tags.get(STRETCHES, "")
    return bool(text and (_STRETCH.search(text) or _DATE.fullmatch(tags.get(DATE, ""))))


def _is_consistent(stretches: Sequence[ClipStretch]) -> bool:
    if stretches[0].position_us != 0 or any(one.to_us <= one.from_us for one in stretches):
        return False
    pairs = itertools.pairwise(stretches)
    return all(one.end_position_us <= other.position_us + TICK_US for one, other in pairs)


def _stretch_text(one: ClipStretch) -> str:
    about = "" if one.exact else "about "
    return f"{format_position(one.position_us)} {about}{_time_text(one.from_us)}Z/{_time_text(one.to_us)}Z"


def _parse_stretch(text: str) -> ClipStretch:
    """Raises ValueError if the text is not a stretch."""
    found = _STRETCH.fullmatch(text)
    if found is None:
        raise ValueError("it is not a stretch")
    hours, minutes, seconds, microseconds = map(int, found.group(1, 2, 3, 4))
    position_us = ((hours * 60 + minutes) * 60 + seconds) * US_PER_SECOND + microseconds
    return ClipStretch(position_us, _parse_time(found[6]), _parse_time(found[7]), not found[5])


def _time_text(time_us: int) -> str:
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def _parse_time(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
    return (moment - _EPOCH) // timedelta(microseconds=1)
