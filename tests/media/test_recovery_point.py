from __future__ import annotations

from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.foreign_recording import CODINGS, FRAME_US, write_foreign_video
from tests.support.recording import START_US
from videostore.media.recovery_point import recovers_later


async def keyframes(path: Path, coding: str) -> list[bytes]:
    """The keyframes of a file, as libav sees them, with lengths of 4 bytes."""
    await write_foreign_video(path, [START_US + n * FRAME_US for n in range(32)], CODINGS[coding])
    with av.open(str(path)) as container:
        return [bytes(one) for one in container.demux(video=0) if one.size and one.is_keyframe]


async def test_what_is_refreshed_bit_by_bit_has_one_keyframe(tmp_path: Path) -> None:
    found = await keyframes(tmp_path / "1.mp4", "h264 intra refresh")
    assert [recovers_later(one, length_bytes=4) for one in found] == [False] + [True] * (len(found) - 1)
    assert len(found) > 1


@pytest.mark.parametrize("coding", ["h264 baseline", "h264 open GOP"])
async def test_other_keyframes_are_shown_at_once(tmp_path: Path, coding: str) -> None:
    found = await keyframes(tmp_path / "1.mp4", coding)
    assert len(found) > 1 and not any(recovers_later(one, length_bytes=4) for one in found)


def test_the_message_is_found_among_others_and_behind_start_codes() -> None:
    other, point, slice_ = b"\x06\x05\x03abc", b"\x06\x01\x02ab\x06\x02\x30\x80\x80", b"\x65picture"
    for start in (b"\0\0\1", b"\0\0\0\1"):
        assert recovers_later(start + other + start + point + start + slice_)
        assert not recovers_later(start + other + start + slice_ + start + point)
    assert not recovers_later(b"\0\0\1\x06\x06\x01\xc0\x80" + b"\0\0\1" + slice_)  # none to wait for


@given(st.binary(max_size=60), st.sampled_from([0, 1, 2, 4]))
def test_damage_is_no_such_point_or_one(data: bytes, length_bytes: int) -> None:
    assert recovers_later(data, length_bytes=length_bytes) in (False, True)
    assert recovers_later(b"\0\0\1\6\6" + data) in (False, True)
