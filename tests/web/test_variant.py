from __future__ import annotations

import pytest

from tests.support.recording import START_US, US
from videostore.media.segment import Segment
from videostore.web.variant import Variant, variant_of


def stored(number: int, seconds: float, size_bytes: int, size: tuple[int, int] = (640, 360)) -> Segment:
    start_us = START_US + number * 60 * US
    return Segment(f"{number}.mp4", start_us, start_us + round(seconds * US), size_bytes, *size, "h264")


def test_the_rates_are_those_of_the_most_demanding_segment_and_of_all() -> None:
    variant = variant_of([stored(0, 30, 3_000_000), stored(1, 10, 5_000_000, (1280, 720)), stored(2, 20, 1_000_000)])
    assert variant == Variant(4_000_001, 1_200_001, (1280, 720))
    assert variant.attributes("avc1.64001f") == (
        'BANDWIDTH=4000001,AVERAGE-BANDWIDTH=1200001,RESOLUTION=1280x720,CODECS="avc1.64001f"'
    )


@pytest.mark.parametrize("segments", [[], [stored(0, 0, 5000)]])
def test_nothing_that_lasts_has_the_usual_rate_and_no_size(segments: list[Segment]) -> None:
    said = variant_of(segments).attributes("")
    assert said == "BANDWIDTH=2000000,AVERAGE-BANDWIDTH=2000000"


def test_a_size_that_is_not_known_is_not_told() -> None:
    assert "RESOLUTION" not in variant_of([stored(0, 1, 5000, (0, 0))]).attributes("")
