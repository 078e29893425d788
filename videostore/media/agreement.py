"""Agreement: which fragments of a segment tell the truth about their time.

Each fragment states its time twice, as the capture time (`prft`) and as the time in the file (`tfdt`), and its length,
which leads to the next. The difference between the two times is when the file starts: it is the same for all fragments.
One damaged bit makes one of these figures disagree with the others, and only what others agree with is believed.
"""

from __future__ import annotations

from collections.abc import Sequence

from videostore.base.constants import US_PER_SECOND
from videostore.media.fragment_boxes import FragmentClaim

TOLERANCE_US = 1000
"""Rounding to the file's unit of time is far less, and a frame far more."""

_NAMES_APART_US = 64 * US_PER_SECOND
"""A segment is named by its second, or one of the next if that is taken: so many are not taken at once."""

_TIMESCALES = (1_000_000, 90_000)
"""Units of time per second in our files. Another one needs fragments that agree with it."""

_NTP_TO_UNIX_S = 2_208_988_800


def start_times(
    claims: Sequence[FragmentClaim], timescale: int, *, run_us: int | None, named_us: int | None
) -> list[int | None]:
    """Capture time of the first frame of each fragment, UTC; None where it is not believed.

    `run_us` and `named_us` are the epoch of its run and the time in its file name. They decide only where the fragments
    do not: a file may have been renamed.
    """
    starts_us = [_file_start_us(one, timescale) for one in claims]
    known = [one for one in starts_us if one is not None]
    if len(known) < 2:
        return [_alone(one, timescale, run_us, named_us) for one in claims]
    file_us = _agreed(known, timescale, run_us, named_us)
    if file_us is None:
        return [None] * len(claims)
    believed: list[int | None] = []
    for number, (claim, start_us) in enumerate(zip(claims, starts_us, strict=True)):
        if start_us is not None and abs(start_us - file_us) <= TOLERANCE_US:
            believed.append(claim.captured_us)
        elif claim.base is not None and _follows(claims, number):
            believed.append(file_us + claim.base * US_PER_SECOND // timescale)
        else:
            believed.append(claim.captured_us if claim.base is None else None)
    for number in range(len(claims) - 1):
        if believed[number] is not None and believed[number + 1] is not None and _overlong(claims, number):
            believed[number] = None  # its durations are damaged: when its other frames were captured is not known
    return believed


def _file_start_us(claim: FragmentClaim, timescale: int) -> int | None:
    if claim.captured_us is None or claim.base is None:
        return None
    return claim.captured_us - claim.base * US_PER_SECOND // timescale


def _agreed(starts_us: Sequence[int], timescale: int, run_us: int | None, named_us: int | None) -> int | None:
    """The start of the file that most fragments agree on; None if they do not."""

    def weight(start_us: int) -> tuple[int, bool, bool]:
        votes = sum(abs(other - start_us) <= TOLERANCE_US for other in starts_us)
        return votes, _fits_name(start_us, named_us), run_us is None or start_us >= run_us - TOLERANCE_US

    best = max(map(weight, starts_us))
    if best[0] * 2 <= len(starts_us) and (len(starts_us) > 2 or timescale not in _TIMESCALES):
        return None
    return min(one for one in starts_us if weight(one) == best)


def _alone(claim: FragmentClaim, timescale: int, run_us: int | None, named_us: int | None) -> int | None:
    """The time of a fragment that no other confirms. A damaged bit shows in the name, or by a time before the run."""
    time_us = claim.captured_us if timescale in _TIMESCALES else None
    if time_us is None or _fits_name(time_us, named_us):
        return time_us
    if named_us is not None:
        wrong = (time_us // US_PER_SECOND + _NTP_TO_UNIX_S) ^ (named_us // US_PER_SECOND + _NTP_TO_UNIX_S)
        if (wrong & 0xFFFFFFFF).bit_count() == 1 and abs(time_us - named_us) > _NAMES_APART_US:
            return named_us + time_us % US_PER_SECOND
    return None if run_us is not None and time_us < run_us - US_PER_SECOND else time_us


def _fits_name(time_us: int, named_us: int | None) -> bool:
    return named_us is not None and -US_PER_SECOND < named_us - time_us <= _NAMES_APART_US


def _follows(claims: Sequence[FragmentClaim], number: int) -> bool:
    """Whether the time in the file of a fragment fits its neighbours."""
    return (number > 0 and _is_next(claims[number - 1], claims[number])) or (
        number + 1 < len(claims) and _is_next(claims[number], claims[number + 1])
    )


def _is_next(one: FragmentClaim, other: FragmentClaim) -> bool:
    if one.decode_base is None or other.decode_base is None or one.end_byte != other.begin_byte:
        return False
    return one.decode_base + one.length == other.decode_base


def _overlong(claims: Sequence[FragmentClaim], number: int) -> bool:
    """Whether the length of a fragment is not the distance to the next one."""
    one, other = claims[number], claims[number + 1]
    known = one.decode_base is not None and other.decode_base is not None and one.end_byte == other.begin_byte
    return known and not _is_next(one, other)
