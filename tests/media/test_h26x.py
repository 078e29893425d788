from __future__ import annotations

import pytest

from tests.support.coding import coded_packets
from tests.support.recording import SMALL, capture_times
from videostore.media.h26x import KeyframeInfo, UncopyableError, inspect_keyframe, parameter_sets

S = b"\0\0\0\1"


def test_the_parameter_sets_of_h264_are_found_before_the_first_frame() -> None:
    sps, pps, slice_, aud, sei = b"\x67abc", b"\x68de", b"\x65picture", b"\x09\xf0", b"\x06sei"
    assert parameter_sets("h264", S + aud + S + sps + S + pps + S + sei + S + slice_) == S + sps + S + pps
    assert parameter_sets("h264", b"\0\0\1" + sps + b"\0\0\1" + pps + b"\0\0\1" + slice_) == S + sps + S + pps
    assert parameter_sets("h264", S + sps + S + pps) == S + sps + S + pps
    assert parameter_sets("h264", S + sps + b"\0\0" + S + pps + S + slice_) == S + sps + S + pps
    assert parameter_sets("h264", S + sps + S + slice_ + S + pps) == b""  # incomplete
    assert parameter_sets("h264", S + slice_) == b""
    for nothing in (b"", b"x", S, S[1:], b"\0\0", b"\1\2\3" * 50):
        assert parameter_sets("h264", nothing) == b""


def test_the_parameter_sets_of_h265_are_found_too() -> None:
    vps, sps, pps, slice_ = b"\x40\1v", b"\x42\1s", b"\x44\1p", b"\x26\1picture"
    assert parameter_sets("hevc", S + vps + S + sps + S + pps + S + slice_) == S + vps + S + sps + S + pps
    assert parameter_sets("hevc", S + sps + S + pps + S + slice_) == b""


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_keyframe_tells_the_size_and_the_pixel_format_of_its_stream(codec: str) -> None:
    (first, *_) = coded_packets(capture_times(0.3), codec, gop=5)
    look = inspect_keyframe(codec, first.data)
    assert look == KeyframeInfo(*SMALL, "yuv420p", reordered=0)
    look.check(codec)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("b_frames", [1, 3])
def test_a_keyframe_tells_how_far_frames_are_reordered(codec: str, b_frames: int) -> None:
    (first, *_) = coded_packets(capture_times(0.8), codec, gop=50, b_frames=b_frames)
    assert inspect_keyframe(codec, first.data).reordered == min(b_frames, 2)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_garbage_instead_of_a_keyframe_is_refused(codec: str) -> None:
    for data in (b"", b"garbage" * 100, S + b"\x65garbage"):
        with pytest.raises(UncopyableError):
            inspect_keyframe(codec, data)


def test_video_that_a_recording_cannot_contain_is_refused_with_the_reason() -> None:
    with pytest.raises(UncopyableError, match="yuv444p"):
        KeyframeInfo(2, 2, "yuv444p", reordered=0).check("h264")
    with pytest.raises(UncopyableError, match="yuv420p10le"):
        KeyframeInfo(2, 2, "yuv420p10le", reordered=0).check("h264")
    KeyframeInfo(2, 2, "yuv420p10le", reordered=0).check("hevc")
