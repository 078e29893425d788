from __future__ import annotations

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
