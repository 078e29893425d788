from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.zones import CAIRO, in_zone
from videostore.media.segment_names import (
    OPEN_SUFFIX,
    SUFFIX,
    closed_name,
    name_time_us,
    open_name,
    open_pattern,
    parse_open_name,
)

US = 1_000_000


def test_the_name_of_an_open_segment_has_its_run_and_number() -> None:
    assert parse_open_name(open_name(1_725_000_000_123_457, 3)) == (1_725_000_000_123_457, 3)
    assert open_name(1_725_000_000_123_457, 3) == "1725000000123457-000003.open"


@pytest.mark.parametrize(
    "name", ["1725000000.mp4", "x-000001.open", "1-1.open", "1-000001.open.prog", ".open", "1-000001.OPEN"]
)
def test_other_names_are_not_of_an_open_segment(name: str) -> None:
    assert parse_open_name(name) is None


def test_a_closed_segment_is_named_by_the_second_of_its_first_frame_or_a_later_one() -> None:
    assert closed_name(1_725_000_000_999_999) == "1725000000.mp4"
    assert closed_name(1_725_000_000_999_999, 2) == "1725000002.mp4"


def test_names_of_the_go_module_have_their_time() -> None:
    with in_zone(CAIRO):
        assert name_time_us("1725634833.mp4") == 1_725_634_833 * US
        assert name_time_us("2024-09-06_15-00-33Z.mp4") == 1_725_634_833 * US
        assert name_time_us("2024-09-06_17-00-33.mp4") == 1_725_634_833 * US
        assert name_time_us("-5.mp4") == -5 * US


@pytest.mark.parametrize(
    "name",
    ["clip.mp4", "1725634833.mp4.prog", "1725634833.avi", "2024-13-06_15-00-33.mp4", "2024-09-06.mp4", ".mp4", "-.mp4",
     "cam_2024-09-06_15-00-33.mp4", "1725634833 .mp4", "1725634833.mp4\n"],
)  # fmt: skip
def test_names_that_are_not_of_a_segment_have_no_time(name: str) -> None:
    assert name_time_us(name) is None


@given(st.integers(0, 10**17), st.integers(0, 10**6))
def test_every_name_that_is_given_can_be_read(time_us: int, number: int) -> None:
    assert parse_open_name(open_name(time_us, number)) == (time_us, number)
    assert open_name(time_us, number) == open_pattern(time_us) % number
    assert name_time_us(closed_name(time_us, number)) == (time_us // US + number) * US


def test_an_open_segment_is_never_taken_for_a_closed_one() -> None:
    assert name_time_us(open_name(5, 0)) is None and parse_open_name(closed_name(5)) is None
    assert not OPEN_SUFFIX.endswith(SUFFIX)
