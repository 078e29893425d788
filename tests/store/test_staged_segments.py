from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.coding import write_video
from tests.support.recording import LOGGER, START_US, US, capture_times
from videostore.base.ranges import Range
from videostore.media.fmp4 import read_fragments
from videostore.media.footage import Footage, survey, survey_beginning
from videostore.media.import_tag import UNKNOWN_DIGEST, read_import
from videostore.media.segment import Segment, probe
from videostore.media.segment_names import parse_open_name
from videostore.storage.import_stage import STAGE
from videostore.store.staged_segments import Placed, StagedSegments

TIMES = capture_times(70, fps=10, seed=None)
RUN_US = START_US - 3
"""Another run has the time of the first frame."""


def placed(footage: Footage) -> Placed:
    return Placed(footage, Range(START_US, START_US + footage.length_us + 1))


def staged(path: Path, directory: Path, one: Placed, *, is_known: bool) -> StagedSegments:
    return StagedSegments(path, directory, one, [RUN_US], LOGGER, sounds=True, is_known=is_known)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 s of painted images with a keyframe every five seconds."""
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    write_video(path, "h264", TIMES, gop=50)
    return path


@pytest.mark.parametrize("is_known", [True, False])
async def test_segments_are_the_same_if_the_file_is_known_before_or_after_they_are_written(
    tmp_path: Path, video: Path, is_known: bool
) -> None:
    whole = placed(survey(video, lambda _: None, lambda: False))
    segments = staged(video, tmp_path, whole if is_known else placed(survey_beginning(video)), is_known=is_known)
    shares = list[float]()
    await segments.write(shares.append)
    assert shares and shares == sorted(shares)
    written = sorted((tmp_path / STAGE).iterdir())
    if not is_known:
        assert {read_import(path) for path in written} == {UNKNOWN_DIGEST}
        assert not segments.becomes(whole, [START_US])
        assert segments.becomes(whole, [RUN_US])
    segments.publish(set())
    stored = sorted(tmp_path.glob("*.open"))
    assert [parse_open_name(path.name) for path in stored] == [(RUN_US, number) for number in range(len(written))]
    assert {read_import(path) for path in stored} == {whole.footage.digest}
    assert {probe(path).run_us for path in stored} == {RUN_US}
    assert [time_us for path in stored for time_us in read_fragments(path).times_us] == TIMES
    starts_us = [read_fragments(path).start_us for path in stored]
    for path, next_us in zip(stored, starts_us[1:], strict=False):  # each says how long it lasts
        content = read_fragments(path)
        assert content.header_length_us == next_us - content.start_us
    assert (segments.shortfall, segments.silent) == ("", "")


async def test_what_is_stored_is_not_moved_and_what_is_missing_is_told(tmp_path: Path, video: Path) -> None:
    footage = survey(video, lambda _: None, lambda: False)
    segments = staged(video, tmp_path, placed(replace(footage, frames=footage.frames + 2)), is_known=True)
    await segments.write(lambda _: None)
    segments.publish({START_US})
    assert [parse_open_name(path.name) for path in sorted(tmp_path.glob("*.open"))] == [(RUN_US, 1), (RUN_US, 2)]
    assert segments.shortfall == "has 2 frames that could not be decoded"


def test_a_run_has_the_time_of_its_first_frame_or_less_if_that_is_taken(video: Path) -> None:
    one = placed(survey_beginning(video))
    assert one.runs([], set()) == [START_US]
    assert one.runs([], {START_US, START_US - 1, START_US + 1}) == [START_US - 2]


def test_a_file_is_complete_if_segments_reach_from_its_first_frame_to_its_last(video: Path) -> None:
    one = placed(survey(video, lambda _: None, lambda: False))

    def segment(from_s: float, to_s: float) -> Segment:
        begin_us = START_US + round(from_s * US)
        return Segment(f"{begin_us}.mp4", begin_us, START_US + round(to_s * US), 1, 160, 144, "h264")

    assert one.is_complete([segment(0, 30), segment(30, 70)])
    assert not one.is_complete([])
    assert not one.is_complete([segment(0, 30)])
    assert not one.is_complete([segment(30, 70)])
    assert not one.is_complete([segment(0, 30), segment(35, 70)])


def test_a_file_with_many_gaps_takes_no_longer_for_each_of_them(video: Path) -> None:
    """With a look at all others for each it would take minutes."""
    count = 30_000
    stretches_us = tuple(number * 10 * US for number in range(count))
    footage = replace(survey_beginning(video), first_us=0, stretches_us=stretches_us)
    one = Placed(footage, Range(START_US, START_US + stretches_us[-1]))
    begins_us = [START_US + stretch_us for stretch_us in stretches_us]
    assert one.runs([], {begins_us[5]}) == [*begins_us[:5], begins_us[5] - 1, *begins_us[6:]]
    stored = [Segment("", begin_us + 1, begin_us + US, 1, 160, 144, "h264") for begin_us in begins_us]
    assert one.is_complete(stored)
    assert not one.is_complete(stored[:100] + stored[101:])
