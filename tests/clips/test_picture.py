from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.support.recording import LOGGER
from videostore.base.errors import FFmpegError
from videostore.base.time_format import format_iso
from videostore.clips.picture import make_snapshot
from videostore.media.coded_picture import CodedPicture, read_coded_picture
from videostore.media.segment import probe


def coded(recording: Path, at_us: int) -> CodedPicture:
    path = min(recording.glob("*.mp4"))
    segment = probe(path)
    found = read_coded_picture(segment, path, segment.end_us, at_us, keyframe=False)
    assert found is not None
    return found


async def test_a_snapshot_tells_its_capture_time_in_exif(binary: str, recording: Path, times: list[int]) -> None:
    found = await make_snapshot(binary, coded(recording, times[7]), 160, LOGGER, damaged=None)
    tags = Image.open(io.BytesIO(found.jpeg)).getexif().get_ifd(ExifTags.IFD.Exif)
    day, _, rest = format_iso(times[7]).partition("T")
    second, _, fraction = rest.rstrip("Z").partition(".")
    assert tags[ExifTags.Base.DateTimeOriginal] == f"{day.replace('-', ':')} {second}"
    assert tags[ExifTags.Base.SubsecTimeOriginal] == fraction
    assert tags[ExifTags.Base.OffsetTimeOriginal] == "+00:00"


async def test_what_does_not_decode_is_an_error_and_no_picture_of_another_moment(
    binary: str, recording: Path, times: list[int]
) -> None:
    picture = coded(recording, times[7])
    head, last = picture.frames[:-1], picture.frames[-1]
    with pytest.raises(FFmpegError) as failed:
        await make_snapshot(
            binary, replace(picture, frames=(*head, (last[0], b"\0\0\0\1\x09\x10"))), None, LOGGER, damaged=None
        )
    assert failed.value.code == "ffmpeg-failed"


async def test_the_mark_of_a_picture_is_passed_on(binary: str, recording: Path, times: list[int]) -> None:
    found = await make_snapshot(binary, coded(recording, times[2]), None, LOGGER, damaged="packets-lost")
    assert found.damaged == "packets-lost"


async def test_a_request_that_is_given_up_leaves_no_process(binary: str, recording: Path, times: list[int]) -> None:
    making = asyncio.ensure_future(make_snapshot(binary, coded(recording, times[2]), None, LOGGER, damaged=None))
    await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
