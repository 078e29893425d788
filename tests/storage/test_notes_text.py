from __future__ import annotations

from dataclasses import replace

import pytest

from videostore.storage.notes_text import Event, RecordingGap, as_text, parse, salvage

GAPS = (RecordingGap(1, 2, "why"),)
EVENTS = (Event(3, 5, 4, 6, 'a "label"', True), Event(4, 7, 6, 8, "{", False, "clip.mp4"))


def test_what_is_written_is_read() -> None:
    assert parse(as_text(GAPS, EVENTS, 9).encode()) == (GAPS, EVENTS, 9)


def test_of_a_file_that_is_cut_off_the_rest_is_read() -> None:
    data = as_text(GAPS, EVENTS, 9).encode()
    data = data[: data.index(b"clip")]
    with pytest.raises(ValueError):
        parse(data)
    assert salvage(data) == (GAPS, EVENTS[:1], 9)


AT_US = 1_795_357_465_000_000


@pytest.mark.parametrize("name", ["at_us", "from_us", "to_us"])
@pytest.mark.parametrize("wrong", ["9", "3", "0", "17953574650000000000000000"])
def test_a_flipped_digit_does_not_keep_years_of_a_recording(name: str, wrong: str) -> None:
    event = Event(3, AT_US, AT_US - 5_000_000, AT_US + 5_000_000, "door", True)
    times = {"at_us": event.at_us, "from_us": event.from_us, "to_us": event.to_us}
    digits = str(times[name])
    value = wrong if len(wrong) > 1 else digits[0] + wrong + digits[2:]
    data = as_text((), (event,), 9).replace(f'"{name}": {digits}', f'"{name}": {value}').encode()
    with pytest.raises(ValueError):
        parse(data)
    assert salvage(data) == ((), (event,), 9)


def test_what_has_no_sense_is_left_out_and_each_event_has_its_number() -> None:
    event = Event(3, AT_US, AT_US - 5, AT_US + 5, "door", True)
    lost = replace(event, id=4, from_us=5, to_us=AT_US + 10**15)
    gaps = (RecordingGap(2, 1, "backwards"), RecordingGap(1, 10**30, "no date"))
    data = as_text((*GAPS, *gaps), (event, replace(event, label="window"), lost), 9).encode()
    with pytest.raises(ValueError):
        parse(data)
    assert salvage(data) == (GAPS, (event, replace(event, id=9, label="window")), 10)


def test_a_number_without_end_is_damage() -> None:
    data = as_text(GAPS, EVENTS, 9).replace('"next_id": 9', '"next_id": 1e999').encode()
    with pytest.raises(TypeError):
        parse(data)
    assert salvage(data) == (GAPS, EVENTS, 5)
