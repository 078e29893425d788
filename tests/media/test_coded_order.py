from __future__ import annotations

from videostore.media.coded_order import CodedFrame, borders, copies_until, is_delayed


def frames(text: str, fresh: str = "IK") -> list[CodedFrame]:
    """Frames in the order of decoding: their number in the order of showing, and a letter for keyframes."""
    found = []
    for at, word in enumerate(text.split()):
        shown, kind = int(word.rstrip("IKC")), word[-1]
        found.append(CodedFrame(shown * 10, at * 10 - 20, kind in "IKC", kind in fresh))
    return found


CLOSED = frames("0I 3 1 2 4I 7 5 6 8I")
OPEN = frames("0I 3 1 2 6C 4 5 9 7 8")


def test_a_keyframe_divides_a_file_unless_frames_around_it_are_shown_on_its_other_side() -> None:
    assert [one.shown_us for one in borders(CLOSED)] == [0, 40, 80]
    assert [one.delay_us for one in borders(CLOSED)] == [20, 20, 20]
    assert [one.shown_us for one in borders(OPEN)] == [0]


def test_a_copy_ends_where_all_frames_before_its_end_are_decoded_before_it() -> None:
    assert copies_until(CLOSED, 40) == 20
    assert copies_until(CLOSED, 39) == 20
    assert copies_until(CLOSED, 1000) == 61
    assert copies_until(CLOSED, 30) is None
    assert copies_until(OPEN, 60) is None


def test_frames_without_delay_are_decoded_when_they_are_shown() -> None:
    assert is_delayed(CLOSED)
    assert not is_delayed([CodedFrame(at, at, False, False) for at in (0, 40, 90)])
