"""Times in addresses."""

from __future__ import annotations

import pytest

from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.web.times import bound, now_us, number, required_range


def test_a_time_is_microseconds_or_what_the_command_line_takes() -> None:
    assert bound({"from_us": "1725000000123457"}, "from") == 1_725_000_000_123_457
    assert bound({"from": "2024-08-30T06:40:00Z"}, "from") == 1_725_000_000_000_000
    assert abs((bound({"from": "-60s"}, "from") or 0) + 60_000_000 - now_us()) < 60_000_000
    assert bound({"to": "+2s"}, "to", 5_000_000) == 7_000_000
    assert bound({}, "from") is None


def test_a_range_needs_both_its_ends_in_order() -> None:
    assert required_range({"from_us": "1", "to_us": "2"}) == Range(1, 2)
    for query in ({"from_us": "1"}, {"to_us": "1"}, {"from_us": "2", "to_us": "2"}):
        with pytest.raises(RequestError):
            required_range(query)


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "９", "99999999999999999999999", "--1", "-", "11"])
def test_a_number_is_whole_and_within_its_bounds(text: str) -> None:
    with pytest.raises(RequestError):
        number(text, "most", 1, 10)


def test_a_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(RequestError, match="of the days 0001-01-03 to 9999-12-29"):
        bound({"from_us": "999999999999999999"}, "from")


def test_a_time_of_too_many_digits_is_told_which_it_may_be() -> None:
    with pytest.raises(RequestError, match=r"It must be whole microseconds since 1970 .UTC., of the days 0001-01-03"):
        bound({"at_us": "9" * 23}, "at")


def test_both_ends_of_a_range_count_from_one_moment() -> None:
    for _ in range(50):
        with pytest.raises(RequestError, match="the range is empty"):
            required_range({"from": "-5s", "to": "-5s"})
