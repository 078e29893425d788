from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.support.program import TIMEOUT_S, Program, read_time
from tests.support.recording import US
from videostore.base.errors import RequestError, TimestampError
from videostore.base.ranges import Range
from videostore.cli.time_options import (
    format_length,
    format_range,
    format_time,
    parse_integer,
    parse_length,
    parse_number,
    parse_position,
    parse_range,
    parse_time,
)

TIME_S = 1_700_000_000


def test_a_time_before_now_is_not_parsed_as_an_option(program: Program, recording: Path) -> None:
    present_us = time.time_ns() // 1000
    done = program("export", "-2d", "-1h30m", "--storage", recording, "--utc")
    assert done.code == 2
    found = re.match(
        r"Nothing is stored in the range from (\S+) to (\S+)\. The nearest stored range is from 2024", done.sentence
    )
    assert found is not None
    ago_s = [(present_us - read_time(text)) / US for text in found.groups()]
    assert ago_s == pytest.approx([172800, 5400], abs=TIMEOUT_S)
    done = program("play", "-90s", "-5m", "--storage", recording)
    assert done.code == 2 and re.match(r"FROM \(\S+\) must be before TO \(\S+\): the range is empty", done.sentence)


def test_a_range_may_end_relative_to_its_start() -> None:
    asked = parse_range("2023-11-14T22:13:20Z", "+90s")
    assert asked == Range(TIME_S * US, (TIME_S + 90) * US)
    with pytest.raises(RequestError) as raised:
        parse_range("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z")
    assert (raised.value.code, raised.value.from_us) == ("from-after-to", TIME_S * US)
    with pytest.raises(TimestampError):
        parse_time("+90s", "since")


def test_numbers_and_lengths_that_cannot_be_parsed_name_their_option() -> None:
    assert parse_length("1h30m", "--duration") == 5400
    assert parse_length("0s", "--after", may_be_zero=True) == 0
    assert (parse_number(" -5", "--size-gb"), parse_integer("7", "--bitrate")) == (-5, 7)
    for parse, text, option in (
        (parse_length, "long", "--duration"),
        (parse_length, "0s", "--duration"),
        (parse_length, "99999d", "--duration"),
        (parse_length, "999999999999d", "--duration"),
        *((parse_number, text, "--size-gb") for text in ("much", "1e999", "nan", "1_0", "٣")),
        *((parse_integer, text, "--bitrate") for text in ("1.5", "1e6", "1_0", "٣")),
    ):
        with pytest.raises(RequestError) as raised:
            parse(text, option)
        error = raised.value
        assert (error.code, error.field, error.value) == ("option-wrong", option, text)
        assert str(error) == f"{option} is '{text}'. It must be {error.expected}."


def test_a_length_that_is_too_long_is_told_how_long_it_may_be() -> None:
    for text in ("99999d", "999999999999d"):
        with pytest.raises(RequestError, match="a length of at most"):
            parse_length(text, "--duration")


def test_a_length_has_at_most_two_units() -> None:
    lengths = [0, 1_400_000, 59_400_000, 59_600_000, 90_000_000, 3_600_000_000, 3_725_000_000, 86_400_000_000 * 9]
    assert [format_length(one) for one in lengths] == [
        "0.0 s", "1.4 s", "59 s", "1 min", "1 min 30 s", "1 h", "1 h 02 min", "9 d",
    ]  # fmt: skip


def test_a_range_is_written_so_that_what_is_written_holds_all_of_it() -> None:
    for one in (Range(TIME_S * US + 1_999, (TIME_S + 3) * US - 1_001), Range(TIME_S * US + 1_000, TIME_S * US + 1_001)):
        start, end = format_range(one, utc=True)
        asked = parse_range(start, end)
        assert one.from_us - 1000 < asked.from_us <= one.from_us and one.to_us <= asked.to_us < one.to_us + 1000
        assert parse_range(*format_range(one)) == asked
    assert format_range(Range(TIME_S * US + 999, (TIME_S + 3) * US - 999), utc=True) == (
        "2023-11-14T22:13:20.000Z",
        "2023-11-14T22:13:23.000Z",
    )


def test_a_time_is_rounded_down_to_its_precision() -> None:
    assert format_time(TIME_S * US + 999_999, utc=True) == "2023-11-14T22:13:20.999Z"
    assert format_time(TIME_S * US + 999_999, utc=True, precision="seconds") == "2023-11-14T22:13:20Z"
    assert read_time(format_time(TIME_S * US)) == TIME_S * US  # local, with its UTC offset


@pytest.mark.parametrize(
    ("text", "position_us", "within_us"),
    [
        ("0", 0, 999),
        ("12.5", 12_500_000, 999),
        (" 1:02.5", 62_500_000, 999),
        ("00:01:02.500", 62_500_000, 999),
        ("100:00:00", 360_000 * US, 999),
        ("4000.1234", 4_000_123_400, 99),
        ("12.345678", 12_345_678, 12),
        ("12.3456789999", 12_345_678, 12),
    ],
)
def test_positions_are_read_with_the_precision_in_which_they_are_written(
    text: str, position_us: int, within_us: int
) -> None:
    assert parse_position(text) == (position_us, within_us)


@pytest.mark.parametrize(
    "text", ["", "soon", "1:60", "60:00:00:00", "1:2:3:4", ".", "1.", "1e3", "nan", "١", "1,5", "+1"]
)
def test_what_is_not_a_position_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_position(text)
    assert (refused.value.code, refused.value.field) == ("option-wrong", "POSITION")


@pytest.mark.parametrize("text", ["-5", " -0.1", "-0:01"])
def test_a_position_before_the_clip_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_position(text)
    assert refused.value.code == "position-negative"
