"""The text of playlists."""

from __future__ import annotations

import pytest

from videostore.store.viewing import SegmentKey
from videostore.web.parts import Part
from videostore.web.playlists import Entry, date_time, playlist

ONE, OTHER, GO = SegmentKey(5_000_001, 5_000_001), SegmentKey(7_000_000, 5_000_001), SegmentKey(9_000_000, None)


def test_a_playlist_names_the_bytes_of_each_part_and_when_it_was_captured() -> None:
    entries = [
        Entry(ONE, 900, Part(5_000_001, 6_000_001, 900, 1000, keyed=True)),
        Entry(ONE, 900, Part(6_000_001, 7_000_000, 1000, 1500, keyed=True)),
        Entry(OTHER, 901, Part(7_000_000, 8_600_000, 901, 2000, keyed=True)),
        Entry(GO, None, Part(9_000_000, 39_400_000, 0, 5000, keyed=True)),
    ]
    assert playlist(entries, ended=True) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:30\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        '#EXT-X-MAP:URI="5000001-5000001.mp4",BYTERANGE="900@0"\n'
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:05.000001Z\n"
        "#EXTINF:1.000000,\n"
        "#EXT-X-BYTERANGE:100@900\n"
        "5000001-5000001.mp4?900\n"
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:06.000001Z\n"
        "#EXTINF:0.999999,\n"
        "#EXT-X-BYTERANGE:500@1000\n"
        "5000001-5000001.mp4?1000\n"
        "#EXT-X-DISCONTINUITY\n"
        '#EXT-X-MAP:URI="7000000-5000001.mp4",BYTERANGE="901@0"\n'
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:07.000000Z\n"
        "#EXTINF:1.600000,\n"
        "#EXT-X-BYTERANGE:1099@901\n"
        "7000000-5000001.mp4?901\n"
        "#EXT-X-DISCONTINUITY\n"
        '#EXT-X-MAP:URI="9000000.init.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:09.000000Z\n"
        "#EXTINF:30.400000,\n"
        "9000000.m4s\n"
        "#EXT-X-ENDLIST\n"
    )


def test_with_headers_each_piece_has_its_own_and_only_another_run_is_a_break() -> None:
    entries = [
        Entry(ONE, 900, Part(5_000_001, 6_000_001, 900, 1000, keyed=True)),
        Entry(ONE, 900, Part(6_000_001, 7_000_000, 1000, 1500, keyed=True)),
        Entry(OTHER, None, Part(7_000_000, 8_600_000, 0, 2000, keyed=True)),
        Entry(GO, None, Part(9_000_000, 39_400_000, 0, 5000, keyed=True)),
    ]
    text = playlist(entries, ended=True, with_headers=True)
    assert [line for line in text.splitlines() if ".mp4" in line or "DISC" in line or "MAP" in line] == [
        "5000001-5000001.900-1000.mp4",
        "5000001-5000001.1000-1500.mp4",
        "7000000-5000001.mp4",
        "#EXT-X-DISCONTINUITY",
        "9000000.mp4",
    ]
    assert "BYTERANGE" not in text


def test_without_gaps_the_addresses_behind_one_name_how_much_is_left_out() -> None:
    entries = [
        Entry(ONE, 900, Part(5_000_001, 7_000_000, 900, 1000, keyed=True)),
        Entry(OTHER, 901, Part(7_000_000, 8_600_000, 901, 2000, keyed=True)),
        Entry(GO, None, Part(9_000_000, 39_400_000, 0, 5000, keyed=True)),
        Entry(SegmentKey(30_000_000, 30_000_000), 902, Part(30_000_000, 31_000_000, 902, 2000, keyed=True)),
    ]
    text = playlist(entries, ended=True, without_gaps=True)
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "5000001-5000001.mp4?900",
        "7000000-5000001.mp4?901",
        "9000000.m4s?less_us=400000",
        "30000000-30000000.mp4?902&less_us=-9000000",
    ]


def test_a_live_playlist_counts_what_was_before_it_and_does_not_end() -> None:
    text = playlist(
        [Entry(ONE, 900, Part(0, 1, 900, 1000, keyed=True))],
        ended=False,
        sequence=7,
        discontinuities=2,
        target_s=3,
    )
    assert "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n" in text
    assert "#EXT-X-TARGETDURATION:3\n" in text
    assert "ENDLIST" not in text
    assert "PLAYLIST-TYPE" not in text


def test_nothing_is_a_playlist_too() -> None:
    assert playlist([], ended=True).endswith("#EXT-X-ENDLIST\n")


def test_a_time_is_written_to_the_microsecond() -> None:
    assert date_time(1_725_000_000_123_457) == "2024-08-30T06:40:00.123457Z"


@pytest.mark.parametrize("case", ["independent", "grew", "goes on", "empty", "no keyframe", "frames before", "unknown"])
def test_pieces_are_called_independent_where_all_are_known_to_be(case: str) -> None:
    first = Entry(ONE, 900, Part(5_000_001, 6_000_001, 900, 1000, keyed=True))
    last = {
        "no keyframe": Entry(ONE, 900, Part(6_000_001, 7_000_000, 1000, 1500, keyed=False)),
        "frames before": Entry(ONE, 900, Part(6_000_001, 7_000_000, 1000, 1500, keyed=True, early_us=100_000)),
        "unknown": Entry(OTHER, None, Part(6_000_001, 7_000_000, 0, 1500, keyed=True)),
    }.get(case, Entry(ONE, 900, Part(6_000_001, 7_000_000, 1000, 1500, keyed=True)))
    entries = [] if case == "empty" else [first, last]
    lines = playlist(entries, ended=case != "goes on", grew=case == "grew").splitlines()
    assert ("#EXT-X-INDEPENDENT-SEGMENTS" in lines) == (case == "independent")
