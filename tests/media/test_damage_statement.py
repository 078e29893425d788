"""Statements of damage: at the end of a segment, where nothing else is disturbed by them."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.coding import coded_packets, record_coded
from tests.support.recording import START_US, US, capture_times
from videostore.base.ranges import DamagedRange
from videostore.media.damage_statement import damage_text, parse_damage, read_statement, write_statement
from videostore.media.fmp4 import read_ends, read_fragments

DAMAGED = (DamagedRange(START_US, START_US + US, "packets-lost"), DamagedRange(0, 1, "frame-missing"))


async def segment(directory: Path) -> Path:
    await record_coded(directory, coded_packets(capture_times(3), "h264", gop=10), segment_seconds=60)
    (path,) = directory.iterdir()
    return path


async def test_what_is_stated_is_read_again_and_the_segment_stays_readable(tmp_path: Path) -> None:
    path = await segment(tmp_path)
    before, ends = read_fragments(path), read_ends(path)
    assert read_statement(path) == ()
    for damaged in (DAMAGED[:1], DAMAGED, ()):  # a segment may be closed again, after a kill
        assert write_statement(path, damaged)
        assert read_statement(path) == damaged
        assert (read_fragments(path), read_ends(path)) == (before, ends)
    assert write_statement(path, DAMAGED)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(before.times_us)


async def test_a_segment_that_was_cut_off_states_nothing(tmp_path: Path) -> None:
    path = await segment(tmp_path)
    assert write_statement(path, DAMAGED)
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) - 60, read_fragments(path).size_bytes, 10, 0):
        path.write_bytes(whole[:length])
        assert read_statement(path) is None
        assert not write_statement(path, DAMAGED)
        assert path.read_bytes() == whole[:length]


@given(st.one_of(st.none(), st.text(max_size=40), st.binary(max_size=40), st.just("[[1,2]]"), st.just("[1]")))
def test_garbage_states_no_damage(text: str | bytes | None) -> None:
    assert parse_damage(text) == ()


@pytest.mark.parametrize("damaged", [(), DAMAGED])
def test_damage_is_read_from_its_text(damaged: tuple[DamagedRange, ...]) -> None:
    assert parse_damage(damage_text(damaged)) == damaged
