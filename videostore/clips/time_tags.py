"""The tags with which a clip tells its own time, made of its plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from videostore.base.errors import whole_characters
from videostore.clips.plan import ClipPart, Plan
from videostore.media.clip_times import ClipStretch, join_stretches, time_tags


def plan_tags(plan: Plan, recorder: str, *, goes_on: bool = False) -> dict[str, str]:
    """The tags of the clip of a plan. `recorder` is the recorder's name.

    Where the clip goes on beyond the plan, the tags say that there is more, of which they do not tell the times.
    """
    name = whole_characters(recorder).replace("\0", "")
    return time_tags(name, plan_stretches(plan.parts), unlisted=int(goes_on))


def plan_stretches(parts: Sequence[ClipPart]) -> list[ClipStretch]:
    """Where the parts of a plan are in its clip, and when they were captured; joined where no gap is between them."""
    return join_stretches(part_stretches(parts))


def part_stretches(parts: Sequence[ClipPart]) -> Iterator[ClipStretch]:
    """The same of each part."""
    position_us = 0
    for part in parts:
        foreign = part.segment.run_us is None
        yield ClipStretch(position_us, part.first_us, _last_end_us(part), exact=not foreign)
        position_us += part.length_us - part.skip_us


def _last_end_us(part: ClipPart) -> int:
    """When the last frame that is shown of a part ends."""
    if part.stop_us is None or part.last_length_us is None:
        return part.segment.start_us + part.length_us
    last_us = part.stop_us - part.last_length_us // 2  # `stop_us` is in the middle between it and the next frame
    return last_us + part.last_length_us
