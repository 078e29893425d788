from __future__ import annotations

from pathlib import Path

from tests.support.open_gops import OpenGops
from videostore.media.fmp4 import read_fragments
from videostore.storage.decoding import Decoded, decode_border, decode_file


async def test_of_a_file_that_begins_with_an_open_gop_what_needs_nothing_of_another_file_is_decoded(
    open_gops: OpenGops, binary: str
) -> None:
    for number, path in enumerate(sorted(open_gops.directory.glob("*.mp4"))):
        frames = len(read_fragments(path).times_us)
        assert await decode_file(binary, path, frames) == Decoded(frames, [])
        missing = await decode_file(binary, path, frames + 2)
        assert missing.missing == 2 and missing.complaint == f"{frames} of {frames + 2} frames"
        assert (await decode_file(binary, path, None)).complaint is None, number


async def test_the_frames_around_a_border_are_decoded_together(open_gops: OpenGops, binary: str) -> None:
    one, other, _ = sorted(open_gops.directory.glob("*.mp4"))
    content = read_fragments(one)
    done = await decode_border(binary, one, other)
    after_keyframe = sum(time_us >= content.keyframes_us[-1] for time_us in content.times_us)
    assert done == Decoded(after_keyframe + 1 + open_gops.leading, [])
    assert await decode_border(binary, other, one) is None
    assert await decode_border(binary, one, Path("/nowhere.mp4")) is None
