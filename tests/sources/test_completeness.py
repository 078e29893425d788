from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.coding import coded_packets
from tests.support.recording import LOGGER, capture_times
from videostore.media.packet import Packet
from videostore.sources.completeness import Completeness
from videostore.sources.ffmpeg_messages import FFmpegMessages

NONE: frozenset[str] = frozenset()


def heard(*lines: str, format: str = "h264") -> FFmpegMessages:
    messages = FFmpegMessages(LOGGER, str)
    messages.info("Input #0, %s, from 'x':", format)
    for line in lines:
        messages.warning("%s", line)
    return messages


def passed(packets: list[Packet]) -> Completeness:
    complete = Completeness()
    for packet in packets:
        complete.passed(packet)
    return complete


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_the_last_picture_of_a_raw_stream_tells_whether_it_is_cut_off(codec: str) -> None:
    packets = coded_packets(capture_times(1, fps=20), codec, gop=8, size=(320, 240))
    assert await passed(packets).missing(None, NONE, heard(format=codec)) == ""
    last = packets[-1]
    cut = Packet(last.format, last.data[: len(last.data) // 2], last.captured_us, last.keyframe)
    found = await passed([*packets[:-1], cut]).missing(None, NONE, heard(format=codec))
    assert found == "is cut off: its last picture is not complete"


async def test_what_ffmpeg_reports_is_quoted() -> None:
    found = await Completeness().missing(None, NONE, heard("[matroska] File ended prematurely", format="matroska,webm"))
    assert found == "is damaged or cut off (ffmpeg: [matroska] File ended prematurely)"
    assert await Completeness().missing(None, NONE, heard("deprecated pixel format used")) == ""


async def test_a_file_of_which_only_a_part_is_asked_for_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "cut.flv"
    path.write_bytes(b"FLV" + bytes(100) + b"\0\0\0\7")
    assert "shorter" in await Completeness().missing(path, NONE, heard())
    assert await Completeness().missing(path, frozenset({"t"}), heard()) == ""


async def test_a_file_that_has_gone_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in await Completeness().missing(tmp_path / "gone.mkv", NONE, heard())


async def test_without_packets_nothing_is_missing() -> None:
    assert await Completeness().missing(None, NONE, heard()) == ""
