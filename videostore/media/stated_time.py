"""When a file says that its first frame was captured: by its own times, its header or its name. No guess is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError, Style
from videostore.base.timestamps import occurs
from videostore.media.clip_reader import read_clip_times
from videostore.media.clip_times import has_time_tags, parse_time_tags
from videostore.media.fmp4 import read_ends
from videostore.media.fragmented_file import NotOursError

AGREE_US = 2 * US_PER_SECOND
"""A header and a name are dated to the second, and one of them may be rounded."""
_END_US = 5 * US_PER_SECOND
"""A header that is dated when the recording ends is written a moment later."""
_EARLIEST_US = 1_000_000_000 * US_PER_SECOND
"""September 2001. Clocks that were never set show 1904, 1970 or 2000."""

_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)(?:[-_ T.]|_T|, )?(\d\d)([-_.:h]?)(\d\d)\6(\d\d)(?!\d)(Z?)", re.ASCII
)
_SECONDS = re.compile(r"\d{10}", re.ASCII)


def check_one_start(path: Path, tags: Mapping[str, str]) -> None:
    """Refuse a clip whose frames one time does not date.

    Raises:
        RequestError: it leaves out gaps (`import-clip-gaps`).
    """
    if (clip := parse_time_tags(tags)) is not None and len(clip.stretches) > 1:
        raise RequestError("import-clip-gaps", path=path, count=len(clip.stretches) - 1)


def stated_start_us(path: Path, tags: Mapping[str, str], length_us: int, now_us: int) -> int:
    """When the first frame of a file was captured, in microseconds UTC. `length_us` is that of its video. Blocking.

    Raises:
        RequestError: the file does not tell it (`import-undated`), or what it tells is doubtful (`import-doubtful`),
            or as `check_one_start`.
    """
    exact_us = _exact_us(path, tags)
    if exact_us is not None:
        return exact_us
    created_us, named = _created_us(tags), _named_us(path)
    for time_us, what in [(created_us, "its header"), *((one, "its name") for one in named)]:
        if time_us is not None:
            _check(path, time_us, now_us, what)
    if len(named) > 1 and abs(named[1] - named[0] - length_us) > AGREE_US:
        raise _doubtful(path, f"its name tells {_list(named)}")
    if named and created_us is not None:
        if abs(created_us - named[0]) <= AGREE_US:
            return created_us
        if not -AGREE_US <= created_us - named[0] - length_us <= _END_US:
            raise _doubtful(path, f"its name tells {_list(named[:1])}, and its header {_list([created_us])}")
        return named[0]  # the header is dated by the end of the recording
    if named:
        return named[0]
    if created_us is None:
        raise RequestError("import-undated", path=path)
    if any(name.startswith("com.android") for name in tags):
        raise _doubtful(path, f"its header tells {_list([created_us])}, and Android writes there when it stopped")
    return created_us


def _exact_us(path: Path, tags: Mapping[str, str]) -> int | None:
    """What a clip or a segment tells to the microsecond; None if it is neither."""
    if parse_time_tags(tags) is not None:
        check_one_start(path, tags)
        return read_clip_times(path).first_us
    if has_time_tags(tags):
        raise _doubtful(path, "the times in its tags contradict each other, so it was changed after it was made")
    try:
        return read_ends(path).start_us
    except (OSError, NotOursError):
        return None


def _created_us(tags: Mapping[str, str]) -> int | None:
    try:
        moment = datetime.fromisoformat(tags.get("creation_time", "").replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    # A zero there is 1904, or 1970: no time was set.
    return round(moment.astimezone(timezone.utc).timestamp() * US_PER_SECOND) if moment.year > 1970 else None


def _named_us(path: Path) -> list[int]:
    """The times in a file's name: Unix seconds, or a date and time, which is local without a `Z`."""
    if _SECONDS.fullmatch(path.stem):
        return [int(path.stem) * US_PER_SECOND]
    found = []
    for year, _, month, day, hour, _, minute, second, zulu in _NAME.findall(path.stem):
        numbers = [int(one) for one in (year, month, day, hour, minute, second)]
        try:
            moment = datetime(*numbers, tzinfo=timezone.utc if zulu else None)  # type: ignore[arg-type,misc]
        except ValueError:
            continue
        if not zulu and not occurs(moment):
            raise _doubtful(path, f"its name tells {moment}, which did not occur here: clocks skipped it")
        if not zulu and moment.timestamp() != moment.replace(fold=1).timestamp():
            raise _doubtful(path, f"its name tells {moment}, which occurred twice here")
        found.append(round(moment.timestamp()) * US_PER_SECOND)
    return found


def _check(path: Path, time_us: int, now_us: int, what: str) -> None:
    if time_us < _EARLIEST_US:
        raise _doubtful(path, f"{what} tells {_list([time_us])}, as of a clock that was not set")
    if time_us > now_us:
        raise _doubtful(path, f"{what} tells {_list([time_us])}, which is in the future")


def _list(times_us: list[int]) -> str:
    return " and ".join(Style().time(one) for one in times_us)


def _doubtful(path: Path, reason: str) -> RequestError:
    return RequestError("import-doubtful", path=path, reason=reason)
