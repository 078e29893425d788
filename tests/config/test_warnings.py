"""Attributes that are taken with a warning."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.parsed_config import attributes, warnings_of
from videostore.config import (
    parse_config,
)

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(("given", "taken"), [(19.9, 19), (1.5, 1), (0.5, 1), (1e-300, 1), (999.999, 999)])
def test_a_fraction_of_a_whole_number_is_cut_off_with_a_warning(given: float, taken: int) -> None:
    config, warnings = parse_config("recorder", attributes(framerate=given, video={"bitrate": given}))
    assert (config.framerate, config.video.bitrate) == (taken, taken)
    assert [one for one in warnings if "whole" in one or "taken as" in one] == [
        f"The attribute framerate is {given}. It is taken as {taken}.",
        f"The attribute video.bitrate is {given}. It is taken as {taken}.",
    ]


def test_a_recording_in_a_directory_that_the_data_manager_empties_gives_a_warning() -> None:
    (warning,) = warnings_of(attributes({"storage_path": "~/.viam/capture/recording"}))
    assert warning.startswith("The attribute storage.storage_path is ")
    assert "~/.viam/capture" in warning


def test_a_quota_below_two_segments_gives_a_warning() -> None:
    (warning,) = warnings_of(attributes({"size_gb": 0.005}))
    assert warning.startswith("The attribute storage.size_gb is 0.005, less than two segments of 30 s")
    assert warnings_of(attributes({"size_gb": 0.01})) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (attributes(nonsense=1), "The attribute nonsense is unknown and is ignored."),
        (attributes(frame_rate=1), "The attribute frame_rate is unknown and is ignored. Did you mean framerate?"),
        (
            attributes({"segment_second": 1}),
            "The attribute storage.segment_second is unknown and is ignored. Did you mean storage.segment_seconds?",
        ),
        (
            attributes(video={"Preset": "fast"}),
            "The attribute video.Preset is unknown and is ignored. Did you mean video.preset?",
        ),
        (attributes(bitrate=1), "The attribute bitrate is unknown and is ignored. Did you mean video.bitrate?"),
        (
            attributes({"framerate": 1}),
            "The attribute storage.framerate is unknown and is ignored. Did you mean framerate?",
        ),
        (attributes(yuyv=False), "The attribute yuyv no longer has an effect. It can be removed."),
    ],
)
def test_an_unknown_attribute_gives_a_warning_with_the_one_that_it_resembles(
    given: dict[str, Any], expected: str
) -> None:
    assert warnings_of(given) == [expected]


def test_there_is_a_warning_for_every_unknown_attribute() -> None:
    warnings = warnings_of(attributes({"colour": 1}, flavour=1, video={"taste": 1}))
    assert [warning.split()[2] for warning in warnings] == ["flavour", "storage.colour", "video.taste"]
