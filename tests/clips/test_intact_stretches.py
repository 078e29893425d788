from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import some_combinations
from tests.support.damage import overwrite_header
from tests.support.flips import FLIPS, HEADER_FLIPS, flip
from tests.support.recording import LOGGER, START_US, US, Stores, capture_times, record, take_over
from videostore.base.errors import UnreadableRangeError
from videostore.base.ranges import Range
from videostore.clips.intact_stretches import divide_broken
from videostore.clips.plan import make_plan
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import probe

TIMES = capture_times(8)


@pytest.fixture
async def segment(tmp_path: Path) -> Path:
    """The only segment of a storage directory: eight seconds, as many fragments."""
    await record(tmp_path / "storage", TIMES, segment_seconds=30)
    await take_over(tmp_path / "storage")
    return tmp_path / "storage" / f"{START_US // US}.mp4"


async def test_each_stretch_is_a_file_that_starts_at_0_and_has_its_capture_times(segment: Path, tmp_path: Path) -> None:
    whole = read_fragments(segment)
    row = probe(segment)
    for fragment in (5, 2):
        overwrite_header(segment, fragment)
    plan = make_plan([(row, segment)], Range(TIMES[0], TIMES[-1] + 1), LOGGER)
    copies = divide_broken(plan, tmp_path)
    contents = [read_fragments(path) for _, path in copies]
    assert [one.times_us for one in contents] == [
        [t for fragment in whole.fragments[begin:end] for t in fragment.times_us]
        for begin, end in ((0, 2), (3, 5), (6, len(whole.fragments)))
    ]
    assert [(one.lost_before, one.lost_after) for one, _ in copies] == [(False, True), (True, True), (True, False)]
    assert not any(one.has_holes or one.end_lost for one in contents)


@some_combinations(name=[name for name in FLIPS if name not in HEADER_FLIPS])
async def test_a_clip_over_a_damaged_bit_holds_all_other_fragments_and_names_what_is_missing(
    segment: Path, stores: Stores, name: str
) -> None:
    flip(segment, name)
    left = read_fragments(segment).times_us
    store = await stores.open()
    clip = await store.fetch(TIMES[0], TIMES[-1] + 1)
    assert check_clip(read_clip(clip.data), left, TIMES[0], TIMES[-1] + 1).flawless
    missing = [time_us for time_us in TIMES if time_us not in left]
    assert (clip.ranges is None) == (not missing)
    for time_us in missing:
        assert not any(one.from_us <= time_us < one.to_us for one in clip.ranges or ())


async def test_a_range_inside_the_damage_is_refused_as_unreadable(segment: Path, stores: Stores) -> None:
    lost = read_fragments(segment).fragments[3].times_us
    overwrite_header(segment, 3)
    store = await stores.open()
    with pytest.raises(UnreadableRangeError):
        await store.fetch(lost[1], lost[-2])


async def test_a_recording_under_several_names_is_shown_once(recording: Path, times: list[int], stores: Stores) -> None:
    shutil.copytree(recording, stores.storage)
    first, second = sorted(stores.storage.glob("*.mp4"))[:2]
    shutil.copy(first, stores.storage / "1725000100.mp4")
    (stores.storage / "1725000200.mp4").hardlink_to(second)
    shutil.copy(second, stores.storage / "1725000300.mp4")
    flip(stores.storage / "1725000300.mp4", "trun name")  # this copy begins later
    store = await stores.open()
    clip = await store.fetch(times[0], times[-1] + 1)
    assert clip.ranges is None
    assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless
