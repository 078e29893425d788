from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.flips import FLIPS, HEADER_FLIPS, flip
from tests.support.recording import START_US, US, capture_times, record
from videostore.media.agreement import start_times
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.media.fragment_boxes import FragmentClaim
from videostore.media.fragmented_file import NotOursError

SCALE = 1_000_000
T = 1_725_000_000 * US


def claim(number: int, captured_us: int | None, *, base: int | None = None, length: int = US) -> FragmentClaim:
    """The fragment of one second, of two frames, at a place in a file."""
    at = number * US if base is None else base
    begin = number * 100
    return FragmentClaim(captured_us, at, at, (0, US // 2), length, (0,), begin, begin + 50, begin + 100)


def believed(
    *claims: FragmentClaim, scale: int = SCALE, run_us: int | None = None, named: int | None = None
) -> list[int | None]:
    return start_times(claims, scale, run_us=run_us, named_us=named)


def test_fragments_that_agree_are_believed() -> None:
    assert believed(claim(0, T), claim(1, T + US), claim(2, T + 2 * US)) == [T, T + US, T + 2 * US]


@pytest.mark.parametrize("wrong", [None, T + 17_000 * US, T - 1])
def test_the_time_of_a_fragment_that_disagrees_follows_from_the_others(wrong: int | None) -> None:
    wrong = wrong if wrong is None or wrong > T else wrong - US
    assert believed(claim(0, wrong), claim(1, T + US), claim(2, T + 2 * US)) == [T, T + US, T + 2 * US]
    assert believed(claim(0, T), claim(1, wrong), claim(2, T + 2 * US)) == [T, T + US, T + 2 * US]


def test_a_fragment_whose_place_and_time_both_disagree_is_not_believed() -> None:
    assert believed(claim(0, T), claim(1, T + US, base=7 * US), claim(2, T + 2 * US)) == [T, None, T + 2 * US]


def test_a_fragment_whose_length_does_not_lead_to_the_next_one_is_not_believed() -> None:
    assert believed(claim(0, T), claim(1, T + US, length=US + 5), claim(2, T + 2 * US)) == [T, None, T + 2 * US]


def test_of_two_fragments_that_disagree_the_name_or_the_run_tells_which_is_right() -> None:
    late, early = T + 17_000 * US, T - 17_000 * US
    assert believed(claim(0, late), claim(1, T + US), named=T) == [T, T + US]
    assert believed(claim(0, T), claim(1, late), named=T + US) == [T, T + US]
    assert believed(claim(0, early), claim(1, T + US), run_us=T) == [T, T + US]


def test_if_most_disagree_or_the_unit_of_time_is_damaged_nothing_is_believed() -> None:
    assert believed(claim(0, T), claim(1, T + 5 * US), claim(2, T + 50 * US)) == [None] * 3
    assert believed(claim(0, T), claim(1, T + US), scale=SCALE ^ 0x100000) == [None] * 2
    assert believed(claim(0, T), scale=SCALE ^ 0x100000) == [None]


def test_a_single_fragment_is_corrected_by_its_name_if_one_bit_is_damaged() -> None:
    assert believed(claim(0, T + (1 << 14) * US + 123), named=T) in ([T + 123], [T + (1 << 14) * US + 123])
    ntp = T // US + 2_208_988_800
    flipped = ((ntp ^ (1 << 14)) - 2_208_988_800) * US + 123
    assert believed(claim(0, flipped), named=T) == [T + 123]
    assert believed(claim(0, T), named=T + 5_000_001 * US) == [T]  # renamed
    assert believed(claim(0, T - 100 * US), run_us=T) == [None]


@pytest.mark.parametrize("name", FLIPS)
async def test_one_damaged_bit_invents_no_time_and_costs_one_fragment_at_most(tmp_path: Path, name: str) -> None:
    times = capture_times(6)
    await record(tmp_path, times, segment_seconds=30)
    (path,) = tmp_path.glob("*.open")
    whole = read_fragments(path)
    closed = path.rename(tmp_path / f"{START_US // US}.mp4")
    flip(closed, name)
    if name in HEADER_FLIPS:
        with pytest.raises(NotOursError):
            read_fragments(closed)
        with pytest.raises(NotOursError):
            read_ends(closed)
        return
    content, ends = read_fragments(closed), read_ends(closed)
    assert set(content.times_us) <= set(times)
    assert len(content.fragments) >= len(whole.fragments) - 1
    assert content.end_us <= whole.end_us
    assert (ends.start_us, ends.end_us) == (content.start_us, content.end_us)
    if name.startswith("prft"):
        assert content.times_us == times
        assert not content.has_holes or name == "prft length"  # no program finds what follows it
