from __future__ import annotations

from typing import Any

import pytest

from videostore.base.constants import GIB, LONGEST_SEGMENT_US, US_PER_SECOND
from videostore.base.errors import ConfigError
from videostore.config.attributes import parse_config
from videostore.config.defaults import (
    DEFAULT_BITRATE,
    DEFAULT_FRAMERATE,
    DEFAULT_SEGMENT_SECONDS,
    FORMATS,
    MAX_BITRATE,
    MAX_COMPONENT_NAME_BYTES,
    MAX_FRAMERATE,
    MAX_NAME_CHARS,
    MAX_PATH_BYTES,
    MAX_SIZE_GB,
    MAX_STORAGE_PATH_BYTES,
    PRESETS,
    SEGMENT_SECONDS,
)
from videostore.config.model import Config

PATH = "/x" * (MAX_PATH_BYTES // 2)
STORAGE_PATH = "/x" * (MAX_STORAGE_PATH_BYTES // 2)


def parse(name: str = "recorder", storage: dict[str, Any] | None = None, **others: Any) -> Config:
    return parse_config(name, {"sync": "s", "storage": {"size_gb": 100, **(storage or {})}, **others})[0]


def test_no_default_is_beyond_its_limits() -> None:
    config = parse()
    assert SEGMENT_SECONDS[0] <= config.storage.segment_seconds == DEFAULT_SEGMENT_SECONDS <= SEGMENT_SECONDS[1]
    assert 0 < config.video.bitrate == DEFAULT_BITRATE <= MAX_BITRATE
    assert 0 < config.framerate == DEFAULT_FRAMERATE <= MAX_FRAMERATE
    assert config.video.preset in PRESETS and config.video.format in FORMATS


@pytest.mark.parametrize(
    "given",
    [
        {"name": "x" * MAX_COMPONENT_NAME_BYTES},
        {"storage": {"size_gb": MAX_SIZE_GB}},
        {"storage": {"segment_seconds": SEGMENT_SECONDS[0]}},
        {"storage": {"segment_seconds": SEGMENT_SECONDS[1]}},
        {"storage": {"upload_path": PATH}},
        {"storage": {"storage_path": STORAGE_PATH}},
        {"storage": {"storage_path": "/" + "x" * MAX_NAME_CHARS}},
        {"camera": "x" * MAX_NAME_CHARS},
        {"framerate": MAX_FRAMERATE},
        {"video": {"bitrate": MAX_BITRATE}},
    ],
)
def test_a_value_at_its_limit_is_accepted(given: dict[str, Any]) -> None:
    parse(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"name": "x" * (MAX_COMPONENT_NAME_BYTES + 1)},
        {"storage": {"size_gb": MAX_SIZE_GB * 1.01}},
        {"storage": {"segment_seconds": SEGMENT_SECONDS[0] - 0.01}},
        {"storage": {"segment_seconds": SEGMENT_SECONDS[1] + 0.01}},
        {"storage": {"upload_path": PATH + "/x"}},
        {"storage": {"storage_path": STORAGE_PATH + "/x"}},
        {"storage": {"storage_path": "/" + "x" * (MAX_NAME_CHARS + 1)}},
        {"camera": "x" * (MAX_NAME_CHARS + 1)},
        {"framerate": MAX_FRAMERATE + 1},
        {"video": {"bitrate": MAX_BITRATE + 1}},
    ],
)
def test_a_value_beyond_its_limit_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parse(**given)


def test_the_largest_quota_fits_into_the_integers_of_sqlite() -> None:
    assert MAX_SIZE_GB * GIB < 2**63


def test_the_longest_segment_is_the_longest_file_that_is_not_taken_for_damaged() -> None:
    assert SEGMENT_SECONDS[1] * US_PER_SECOND == LONGEST_SEGMENT_US
