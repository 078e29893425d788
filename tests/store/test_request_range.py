from __future__ import annotations

from datetime import datetime, timezone

import pytest

from tests.support.recording import START_US, US, FixedClock
from videostore.base.constants import CLOCK_LEEWAY_US
from videostore.base.errors import RequestError, TimestampError
from videostore.base.ranges import Range
from videostore.base.time_parsing import Moment
from videostore.storage.timeline import Timeline
from videostore.store.request_range import parse_moment, parse_request_range

NOW_US = START_US + 3600 * US
CLOCK = FixedClock(wall=NOW_US)


def parse(start: Moment, end: Moment, timeline: Timeline | None = None) -> Range:
    return parse_request_range(start, end, CLOCK, timeline or Timeline())


def refusal(start: Moment, end: Moment, timeline: Timeline | None = None) -> RequestError:
    with pytest.raises(RequestError) as error:
        parse(start, end, timeline)
    return error.value


def test_a_range_is_read_from_any_two_times() -> None:
    expected = Range(NOW_US - 60 * US, NOW_US - 30 * US)
    assert parse(expected.from_us, expected.to_us) == expected
    assert parse("-1m", "+30s") == expected
    start_us = START_US // US * US
    start = datetime.fromtimestamp(start_us // US, timezone.utc)
    assert parse(start, start.isoformat().replace(":00+", ":01+")) == Range(start_us, start_us + US)


def test_an_end_slightly_ahead_of_the_clock_is_now() -> None:
    for ahead_us in (0, 1, CLOCK_LEEWAY_US):
        assert parse("-1m", NOW_US + ahead_us) == Range(NOW_US - 60 * US, NOW_US)


def test_an_end_in_the_future_is_refused() -> None:
    to_us = NOW_US + CLOCK_LEEWAY_US + 1
    error = refusal("-1m", to_us)
    assert str(error).startswith("'to' timestamp is in the future: 2024-")
    assert (error.code, error.field, error.to_us, error.clock_us) == ("to-in-future", "to", to_us, NOW_US)


def test_with_keep_future_such_an_end_stays_as_it_is() -> None:
    for ahead_us in (CLOCK_LEEWAY_US + 1, 60 * US, 10**15):
        asked = parse_request_range("-1m", NOW_US + ahead_us, CLOCK, Timeline(), keep_future=True)
        assert asked == Range(NOW_US - 60 * US, NOW_US + ahead_us)
    asked = parse_request_range("-1m", NOW_US + CLOCK_LEEWAY_US, CLOCK, Timeline(), keep_future=True)
    assert asked == Range(NOW_US - 60 * US, NOW_US)
    for start, end, code in [(NOW_US, NOW_US + 60 * US, "from-in-future"), (NOW_US + 9, NOW_US + 8, "range-empty")]:
        with pytest.raises(RequestError) as error:
            parse_request_range(start, end, CLOCK, Timeline(), keep_future=True)
        assert error.value.code == code


def test_a_start_in_the_future_is_refused() -> None:
    error = refusal(NOW_US, NOW_US + US)
    assert str(error).startswith("'from' timestamp is in the future: 2024-")
    assert (error.code, error.field, error.from_us, error.clock_us) == ("from-in-future", "from", NOW_US, NOW_US)


@pytest.mark.parametrize("length_us", [0, -1, -60 * US])
def test_an_empty_range_is_refused(length_us: int) -> None:
    error = refusal(START_US, START_US + length_us)
    assert "must be before" in str(error) and "range is empty" in str(error)
    assert (error.code, error.from_us, error.to_us) == ("range-empty", START_US, START_US + length_us)


def test_what_is_not_a_time_is_refused_with_the_name_of_its_field() -> None:
    for start, end, field in [("soon", "now", "from"), ("-1m", "soon", "to")]:
        error = refusal(start, end)
        assert isinstance(error, TimestampError) and str(error).startswith(f"'{field}' ")


def test_video_from_before_the_clock_was_set_back_can_be_requested_up_to_its_end() -> None:
    timeline = Timeline()
    stored = Range(NOW_US + 600 * US, NOW_US + 660 * US)
    timeline.add(stored.from_us, stored.to_us, 1000)
    assert parse(stored.from_us, stored.to_us, timeline) == stored
    assert parse(stored.from_us, stored.to_us + CLOCK_LEEWAY_US, timeline) == stored
    assert refusal(stored.from_us, stored.to_us + CLOCK_LEEWAY_US + 1, timeline).code == "to-in-future"
    assert refusal(stored.from_us - US, stored.to_us + 60 * US).code == "to-in-future"  # if nothing is stored there


def test_a_moment_is_read_in_any_form_and_not_in_the_future() -> None:
    assert parse_moment("-1m", CLOCK, Timeline()) == NOW_US - 60 * US
    assert parse_moment(NOW_US + CLOCK_LEEWAY_US, CLOCK, Timeline()) == NOW_US
    with pytest.raises(RequestError) as error:
        parse_moment(NOW_US + CLOCK_LEEWAY_US + 1, CLOCK, Timeline())
    assert (error.value.code, error.value.clock_us) == ("moment-in-future", NOW_US)
    with pytest.raises(TimestampError):
        parse_moment("soon", CLOCK, Timeline())


def test_a_moment_from_before_the_clock_was_set_back_can_be_asked_for() -> None:
    timeline = Timeline()
    timeline.add(NOW_US + 600 * US, NOW_US + 700 * US, 10)
    assert parse_moment(NOW_US + 650 * US, CLOCK, timeline) == NOW_US + 650 * US
