from __future__ import annotations

from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.coding import write_video
from tests.support.damaged_frames import flip_bits
from tests.support.recording import START_US, US
from videostore.base.files import open_regular
from videostore.media.coded_order import CodedFrame
from videostore.media.foreign_frames import ForeignFrames, copy_foreign, read_foreign
from videostore.media.look import Look
from videostore.media.sample_table import read_table

TIMES = [START_US + number * US // 20 for number in range(60)]


@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_copy_of_a_stretch_has_its_frames_from_zero_on(tmp_path: Path, b_frames: int) -> None:
    path, copy = tmp_path / "video.mp4", tmp_path / "copy.mp4"
    write_video(path, "h264", TIMES, gop=20, b_frames=b_frames)
    whole = read_foreign(path)
    assert all(whole.intact) and len(whole.frames) == len(TIMES)
    copy_foreign(path, copy, US, 2 * US)
    shown = [frame.captured_us for _, frame in read_clip(copy) if frame is not None]
    assert shown == TIMES[20:40]
    copied = read_foreign(copy)
    assert min(one.shown_us for one in copied.frames) == 0
    copy_foreign(path, copy, 2 * US, None)
    assert [frame.captured_us for _, frame in read_clip(copy) if frame is not None] == TIMES[40:]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_files_with_a_known_header_are_read_as_the_first_one(tmp_path: Path, codec: str) -> None:
    path, other = tmp_path / "video.mp4", tmp_path / "other.mp4"
    write_video(path, codec, TIMES, gop=20)
    whole = read_foreign(path)
    assert all(whole.intact) and len(whole.frames) == len(TIMES)
    assert read_foreign(path) == read_foreign(path, (0, 3 * US)) == whole
    write_video(other, codec, TIMES[:30], gop=20)
    assert read_foreign(other).frames == whole.frames[:30]


def test_damage_is_found_in_a_file_with_a_known_header(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, "h264", TIMES, gop=20)
    whole = read_foreign(path)
    with open_regular(path) as file:
        table = read_table(file, path.stat().st_size)
    assert table is not None
    flip_bits(path, table.places[25][0], bits=0x80)  # the length of its first unit
    assert [n for n, intact in enumerate(read_foreign(path, (0, 3 * US)).intact) if not intact] == [25]
    assert read_foreign(path, (0, US)) == whole  # it is not needed
    assert [n for n, intact in enumerate(read_foreign(path, (US, US + 1)).intact) if not intact] == [25]
    flip_bits(path, table.places[20][0] + 4, bits=0x80)  # the first unit of a keyframe
    assert [n for n, intact in enumerate(read_foreign(path, (0, 3 * US)).intact) if not intact] == [20, 25]


def frames(*damaged: int) -> ForeignFrames:
    coded = tuple(CodedFrame(n * 100, n * 100, n % 5 == 0, n % 5 == 0) for n in range(20))
    return ForeignFrames(coded, tuple(n not in damaged for n in range(20)), 0, Look(), late=False)


@pytest.mark.parametrize(
    ("damaged", "stretches"),
    [
        ([], None),
        ([7], [(0, 500), (1000, None)]),
        ([0], [(500, None)]),
        ([19], [(0, 1500)]),
        ([2, 12], [(500, 1000), (1500, None)]),
        ([1, 6, 11, 16], []),
    ],
)
def test_a_damaged_frame_costs_what_is_between_two_keyframes(
    damaged: list[int], stretches: list[tuple[int, int | None]] | None
) -> None:
    assert frames(*damaged).intact_stretches(0, 2000) == stretches


def test_damage_outside_the_range_costs_nothing() -> None:
    assert frames(7).intact_stretches(1000, 2000) is None
    assert frames(7).intact_stretches(0, 500) is None
