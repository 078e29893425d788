from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import START_US, US
from videostore.base.errors import RequestError
from videostore.media.clip_times import (
    DATE,
    MOST_STRETCHES,
    STRETCHES,
    TITLE,
    ClipStretch,
    ClipTimes,
    join_stretches,
    parse_time_tags,
    time_tags,
)

FIRST = ClipStretch(0, START_US, START_US + 10 * US)
SECOND = ClipStretch(10 * US, START_US + 70 * US + 3, START_US + 75 * US)
BACK = ClipStretch(15 * US, START_US + 72 * US, START_US + 80 * US, exact=False)
TIMES = ClipTimes("front-door", (FIRST, SECOND, BACK))


def test_the_tags_are_a_name_a_time_and_a_list_for_people() -> None:
    assert time_tags("front-door", [FIRST, SECOND, BACK]) == {
        "title": "front-door",
        "date": "2024-08-30T06:40:00.123457Z",
        "synopsis": "0:00:00.000000 2024-08-30T06:40:00.123457Z/2024-08-30T06:40:10.123457Z, "
        "0:00:10.000000 2024-08-30T06:41:10.123460Z/2024-08-30T06:41:15.123457Z, "
        "0:00:15.000000 about 2024-08-30T06:41:12.123457Z/2024-08-30T06:41:20.123457Z",
    }


@st.composite
def clips(draw: st.DrawFn) -> ClipTimes:
    stretches: list[ClipStretch] = []
    for _ in range(draw(st.integers(1, 5))):
        position_us = stretches[-1].end_position_us if stretches else 0
        from_us = draw(st.integers(0, 4_000_000_000 * US))
        length_us = draw(st.integers(1, 100_000 * US))
        stretches.append(ClipStretch(position_us, from_us, from_us + length_us, draw(st.booleans())))
    return ClipTimes(draw(st.text(max_size=20)), tuple(stretches), draw(st.integers(0, 10**6)))


@given(clips())
def test_the_tags_of_any_clip_are_read_as_they_were_written(times: ClipTimes) -> None:
    assert parse_time_tags(time_tags(times.recorder, times.stretches, times.unlisted)) == times


def test_what_is_more_than_can_be_listed_is_counted_and_not_answered() -> None:
    many = [ClipStretch(n * US, START_US + 3 * n * US, START_US + (3 * n + 1) * US) for n in range(MOST_STRETCHES + 7)]
    tags = time_tags("x" * 10_000, many)
    assert len(tags[STRETCHES]) < 80 * MOST_STRETCHES and len(tags[TITLE]) < 300
    times = parse_time_tags(tags)
    assert times is not None and (len(times.stretches), times.unlisted) == (MOST_STRETCHES, 7)
    assert times.at(MOST_STRETCHES * US - 1) == many[MOST_STRETCHES - 1].to_us - 1
    with pytest.raises(RequestError) as refused:
        times.at(MOST_STRETCHES * US)
    assert refused.value.code == "position-unlisted"


def test_a_position_is_dated_in_its_own_stretch() -> None:
    assert [TIMES.at(position) for position in (0, 9_999_999, 10 * US, 15 * US)] == [
        START_US,
        START_US + 9_999_999,
        SECOND.from_us,
        BACK.from_us,
    ]
    assert TIMES.stretch_at(10 * US - 1) == FIRST
    assert TIMES.listed_us == 23 * US and TIMES.first_us == START_US


@pytest.mark.parametrize(("position_us", "code"), [(-1, "position-negative"), (23 * US, "position-beyond-clip")])
def test_a_position_outside_the_clip_is_refused(position_us: int, code: str) -> None:
    with pytest.raises(RequestError) as refused:
        TIMES.at(position_us)
    assert refused.value.code == code and refused.value.field == "position"
    assert str(refused.value).endswith(".") and "…" not in str(refused.value)


def test_a_last_frame_that_is_shown_longer_than_it_lasted_keeps_the_end_of_its_stretch() -> None:
    times = ClipTimes("", (FIRST, replace(SECOND, position_us=12 * US)))
    assert times.at(11 * US) == FIRST.to_us


def test_stretches_are_joined_only_if_nothing_is_missing_between_them() -> None:
    following = ClipStretch(10 * US, FIRST.to_us, FIRST.to_us + US)
    assert join_stretches([FIRST, following]) == [replace(FIRST, to_us=following.to_us)]
    apart = [
        replace(following, from_us=FIRST.to_us + 1),  # a gap of a microsecond
        replace(following, from_us=FIRST.to_us - 1),
        replace(following, position_us=10 * US + 13),
        replace(following, exact=False),
    ]
    assert all(join_stretches([FIRST, one]) == [FIRST, one] for one in apart)


GOOD = time_tags("front-door", [FIRST, SECOND])
FALSE = {
    "no list": {STRETCHES: ""},
    "another text": {STRETCHES: "A film about a dog."},
    "half a list": {STRETCHES: GOOD[STRETCHES][:-3]},
    "another separator": {STRETCHES: GOOD[STRETCHES].replace(", ", "; ")},
    "a day that does not exist": {STRETCHES: GOOD[STRETCHES].replace("2024-08-30T06:41", "2024-08-32T06:41")},
    "digits of another script": {STRETCHES: GOOD[STRETCHES].replace("0:00:10", "٠:00:10")},
    "another date": {DATE: "2024-08-30T06:40:00.123458Z"},
    "no date": {DATE: ""},
    "only a count": {STRETCHES: "and 3 more"},
    "far too long": {STRETCHES: "0" * 10_000_000},
    "a later start": time_tags("", [replace(FIRST, position_us=1), SECOND]),
    "an overlap": time_tags("", [FIRST, replace(SECOND, position_us=9 * US)]),
    "an end before its start": time_tags("", [replace(FIRST, to_us=FIRST.from_us)]),
}


@pytest.mark.parametrize("kind", FALSE)
def test_tags_of_others_and_tags_that_contradict_each_other_tell_nothing(kind: str) -> None:
    assert parse_time_tags(GOOD) is not None
    assert parse_time_tags({**GOOD, **FALSE[kind]}) is None


@given(st.dictionaries(st.sampled_from([TITLE, DATE, STRETCHES, "comment"]), st.text(max_size=200)))
def test_any_tags_can_be_read(tags: dict[str, str]) -> None:
    assert parse_time_tags(tags) is None
