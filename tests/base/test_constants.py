"""Figures that depend on each other."""

from __future__ import annotations

from videostore.base.constants import (
    CAMERA_PATIENCE_S,
    CAMERA_SILENCE_S,
    CLOSE_SAVES_S,
    FFMPEG_BACKOFF_S,
    FFMPEG_FINISH_S,
    FFMPEG_STUCK_S,
    JOIN_US,
    KEYFRAME_INTERVAL_S,
    LONGEST_SEGMENT_US,
    MAX_STEP_IN_RUN_US,
    NEIGHBOUR_US,
    RANGE_SLOP_US,
    US_PER_SECOND,
)

EXIT_S = 3.0
"""viam-server kills a module this long after SIGTERM, or shortly later."""


def test_the_last_segment_and_the_requests_are_finished_before_the_module_must_exit() -> None:
    assert FFMPEG_FINISH_S + CLOSE_SAVES_S < EXIT_S


def test_the_pauses_before_ffmpeg_is_started_again_grow() -> None:
    first_s, longest_s = FFMPEG_BACKOFF_S
    assert 0 < first_s < longest_s


def test_a_camera_is_silent_before_its_request_is_given_up_and_before_ffmpeg_counts_as_stuck() -> None:
    assert KEYFRAME_INTERVAL_S <= CAMERA_SILENCE_S < FFMPEG_STUCK_S < CAMERA_PATIENCE_S


def test_what_plays_without_a_gap_is_one_range() -> None:
    assert JOIN_US < RANGE_SLOP_US < NEIGHBOUR_US


def test_no_run_has_a_gap_as_long_as_a_segment() -> None:
    assert RANGE_SLOP_US < MAX_STEP_IN_RUN_US < LONGEST_SEGMENT_US
    assert CAMERA_PATIENCE_S * US_PER_SECOND < MAX_STEP_IN_RUN_US
