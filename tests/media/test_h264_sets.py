from __future__ import annotations

import pytest

from tests.support.silent_sets import without_usability
from videostore.media.h264_sets import most_reordered, read_picture_set, read_sequence_set, reordered_frames, time_unit

X264_MEDIUM = "6764001facb200a00b7602dc0808150000030001001e84800f183248", "68ebccb22c"
X264_B_FRAMES = "6764000bacd94284e840000003004007a12003c50a6580"
X264_BUFFERED = "67640014acd94284e840000003004007a1201810003d090007a1396ea01e28532c"
X264_25_FPS = "67640028acb403c0113f2e0220000003002000000641e30654"
X264_ULTRAFAST = "6742c01fda014016ec05b810102a0000030002003d09001e306540", "68ce3c80"


def test_the_choices_of_an_encoder_are_read_from_its_sets() -> None:
    sequence, picture = (bytes.fromhex(one) for one in X264_MEDIUM)
    found = read_sequence_set(sequence)
    assert (found.id, found.profile, found.level, found.reference_frames) == (0, 100, 31, 3)
    assert (found.chroma_format, found.bit_depth, found.progressive) == (1, 8, True)
    chosen = read_picture_set(picture)
    assert (chosen.cabac, chosen.weighted, chosen.transform_8x8, chosen.chroma_qp_offset) == (True, True, True, -2)
    sequence, picture = (bytes.fromhex(one) for one in X264_ULTRAFAST)
    assert (read_sequence_set(sequence).profile, read_sequence_set(sequence).reference_frames) == (66, 1)
    chosen = read_picture_set(picture)
    assert (chosen.cabac, chosen.weighted, chosen.transform_8x8, chosen.chroma_qp_offset) == (False, False, False, 0)


def test_a_set_tells_how_far_frames_are_reordered() -> None:
    assert reordered_frames(bytes.fromhex(X264_MEDIUM[0])) == 0
    assert reordered_frames(bytes.fromhex(X264_B_FRAMES)) == 2
    assert reordered_frames(bytes.fromhex(X264_BUFFERED)) == 2
    with pytest.raises(ValueError):
        reordered_frames(bytes.fromhex(X264_B_FRAMES)[:12])


def test_a_set_tells_its_unit_of_time() -> None:
    assert time_unit(bytes.fromhex(X264_MEDIUM[0])) == (1, 2_000_000)
    assert time_unit(bytes.fromhex(X264_25_FPS)) == (1, 50)
    assert time_unit(without_usability(bytes.fromhex(X264_B_FRAMES))) is None
    with pytest.raises(ValueError):
        time_unit(bytes.fromhex(X264_B_FRAMES)[:12])


def test_a_set_that_does_not_tell_it_allows_as_many_as_its_level_holds() -> None:
    told = bytes.fromhex(X264_B_FRAMES)
    silent = without_usability(told)
    assert reordered_frames(silent) is None
    assert most_reordered(silent) == 900 // (10 * 9)  # level 1.1, 160 x 144
    assert most_reordered(bytes.fromhex(X264_MEDIUM[0])) == 0  # its order is that of decoding


def test_sets_that_are_cut_off_are_damaged() -> None:
    for length in range(1, 6):
        with pytest.raises(ValueError):
            read_sequence_set(bytes.fromhex(X264_MEDIUM[0])[:length])
    with pytest.raises(ValueError):
        read_picture_set(b"\x68")
