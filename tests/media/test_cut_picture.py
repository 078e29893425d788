from __future__ import annotations

import pytest

from tests.support.coding import Painter, coded_packets
from tests.support.recording import capture_times
from videostore.media.cut_picture import is_last_cut_off

S = b"\0\0\1"


def pictures(codec: str, *, number: int, b_frames: int = 0) -> list[bytes]:
    times = capture_times(0.5, start_us=1725000000000000 + number * 7777777, fps=20, seed=number)
    return [packet.data for packet in coded_packets(times, codec, gop=20, b_frames=b_frames, size=(320, 240))]


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("hevc", 0), ("hevc", 2)])
def test_a_stream_of_whole_pictures_is_not_cut_off_behind_any_of_them(codec: str, b_frames: int) -> None:
    """Of H.264 with CAVLC and, with B frames, CABAC."""
    whole = pictures(codec, number=0, b_frames=b_frames)
    assert not any(is_last_cut_off(codec, whole[:count]) for count in range(1, len(whole) + 1))


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 2), ("hevc", 0), ("hevc", 2)])
def test_a_picture_is_cut_off_wherever_it_is_cut(codec: str, b_frames: int) -> None:
    """Decoders alone find 3 of 12 pictures of H.265 whose last hundredth is missing."""
    for number in range(4):
        whole = pictures(codec, number=number, b_frames=b_frames)
        slices = whole[-1].rfind(S) + 8
        for part in (0.05, 0.5, 0.9, 0.95, 0.99):
            # The last bytes of a small picture may hold nothing of it.
            end = min(slices + int((len(whole[-1]) - slices) * part), len(whole[-1]) - 4)
            assert is_last_cut_off(codec, [*whole[:-1], whole[-1][:end]]), (number, part)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_what_follows_the_slices_shows_that_they_are_whole(codec: str) -> None:
    whole = pictures(codec, number=1, b_frames=2)
    end = {"h264": b"\x0a", "hevc": b"\x48\1"}[codec]  # the end of a sequence
    assert not is_last_cut_off(codec, [*whole[:-1], whole[-1] + S + end])


def test_a_stream_that_is_damaged_before_its_last_picture_is_not_told_to_be_cut_off() -> None:
    whole = pictures("hevc", number=2)
    assert not is_last_cut_off("hevc", [*whole[:2], whole[2][: len(whole[2]) // 2], *whole[3:]])


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
def test_of_other_codecs_only_what_cannot_be_decoded_is_told(codec: str) -> None:
    painter, times = Painter(codec, size=(320, 240)), capture_times(0.5, fps=20)
    coded = [one for number, time_us in enumerate(times) for one in painter.code(time_us, number)] + painter.finish()
    assert not is_last_cut_off(codec, [bytes(one) for one in coded])
