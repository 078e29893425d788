"""Attributes that are taken: each is read, and what is absent has a default."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.parsed_config import attributes, parse, refusal
from videostore.config import (
    PRESETS,
    Config,
    StorageConfig,
    VideoConfig,
)

pytestmark = pytest.mark.usefixtures("home")


def test_required_attributes_are_enough_and_the_others_have_defaults(home: Path) -> None:
    assert parse(attributes()) == Config(
        name="recorder",
        camera=None,
        source_name=None,
        sync="data-manager",
        storage=StorageConfig(
            size_gb=10.0,
            storage_path=home / ".viam/video-storage/recorder",
            upload_path=home / ".viam/capture/video-upload/recorder",
            segment_seconds=30.0,
        ),
        video=VideoConfig(format="mp4", codec="h264", bitrate=1_000_000, preset="medium"),
        framerate=20,
    )


def test_every_attribute_is_read() -> None:
    given = {
        "camera": "cam",
        "source_name": "color",
        "sync": "data-manager",
        "storage": {"size_gb": 0.5, "storage_path": "/srv/rec", "upload_path": "/srv/up", "segment_seconds": 2.5},
        "video": {"format": "mp4", "codec": "h264_nvenc", "bitrate": 2e6, "preset": "ultrafast"},
        "framerate": 15.0,
    }
    config = parse(given)
    assert config == Config(
        name="recorder",
        camera="cam",
        source_name="color",
        sync="data-manager",
        storage=StorageConfig(0.5, Path("/srv/rec"), Path("/srv/up"), 2.5),
        video=VideoConfig("mp4", "h264_nvenc", 2_000_000, "ultrafast"),
        framerate=15,
    )
    assert type(config.framerate) is int
    assert type(config.video.bitrate) is int


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_string_or_null_counts_as_a_missing_attribute(value: str | None) -> None:
    given = attributes(
        {"storage_path": value, "upload_path": value, "segment_seconds": None},
        camera=value,
        source_name=value,
        video={"format": value, "codec": value, "preset": value, "bitrate": None},
        framerate=None,
    )
    assert parse(given) == parse(attributes())
    assert parse(attributes(video=None)) == parse(attributes())


def test_zero_means_the_default_where_the_go_module_treats_it_so() -> None:
    config = parse(attributes(framerate=0.0, video={"bitrate": 0.0}))
    assert config.framerate == 20
    assert config.video.bitrate == 1_000_000


def test_format_and_codec_may_have_capitals() -> None:
    assert parse(attributes(video={"format": "MP4", "codec": "H264"})) == parse(attributes())
    assert parse(attributes(video={"codec": "H265"})).video.codec == "h265"
    assert "It must be mp4" in refusal(attributes(video={"format": "MKV"}))


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_of_x264_is_accepted(preset: str) -> None:
    assert parse(attributes(video={"preset": preset})).video.preset == preset
