from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from videostore.base.errors import ConfigError
from videostore.config import PRESETS, Config, StorageConfig, VideoConfig, parse_config


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def attributes(storage: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """The least that is required, and what a test adds to it."""
    return {"sync": "data-manager", "storage": {"size_gb": 10.0, **(storage or {})}, **others}


def parse(given: dict[str, Any]) -> Config:
    """The config of attributes that give no warning."""
    config, warnings = parse_config("recorder", given)
    assert warnings == []
    return config


def warnings_of(given: dict[str, Any]) -> list[str]:
    return parse_config("recorder", given)[1]


def refusal(given: dict[str, Any], name: str = "recorder") -> str:
    with pytest.raises(ConfigError) as error:
        parse_config(name, given)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_required_is_enough_and_the_rest_has_defaults(home: Path) -> None:
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


@pytest.mark.parametrize(("size_gb", "expected"), [(1, 1 << 30), (0.5, 1 << 29), (50.0, 50 << 30), (2.25, 9 << 28)])
def test_the_quota_is_counted_in_gib(size_gb: float, expected: int) -> None:
    quota = parse(attributes({"size_gb": size_gb})).storage.quota_bytes
    assert quota == expected
    assert type(quota) is int


def test_a_config_cannot_be_changed() -> None:
    config = parse(attributes())
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.storage.size_gb = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"storage": {"size_gb": 1}}, "sync"),
        ({"sync": "", "storage": {"size_gb": 1}}, "sync"),
        ({"sync": None, "storage": {"size_gb": 1}}, "sync"),
        ({"sync": "s"}, "storage"),
        ({"sync": "s", "storage": None}, "storage"),
        ({"sync": "s", "storage": {}}, "storage.size_gb"),
        ({"sync": "s", "storage": {"size_gb": None}}, "storage.size_gb"),
        ({"sync": "s", "storage": {"storage_path": "/srv/rec"}}, "storage.size_gb"),
    ],
)
def test_a_missing_required_attribute_is_named(given: dict[str, Any], missing: str) -> None:
    assert refusal(given).startswith(f"The attribute {missing} is missing: it must be ")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"snyc": "s", "storage": {"size_gb": 1}}, "is snyc a misspelling of it?"),
        ({"sync": "s", "storage": {"sizegb": 1}}, "is storage.sizegb a misspelling of it?"),
        ({"sync": "s", "Storage": {"size_gb": 1}}, "is Storage a misspelling of it?"),
    ],
)
def test_a_missing_required_attribute_that_was_misspelt_is_found(given: dict[str, Any], hint: str) -> None:
    assert refusal(given).endswith(hint)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (attributes(camera=5), "The attribute camera is 5, but must be a string"),
        (attributes(camera="x" * 256), "a name of at most 255 characters, not 256"),
        (attributes(source_name=["color"]), "The attribute source_name is ['color'], but must be a string"),
        (attributes(sync=True), "The attribute sync is True, but must be a string"),
        (attributes(sync="a\0b"), "The attribute sync is 'a\\x00b', but must be a string without NUL"),
        (attributes(sync="\ud800"), "The attribute sync is '\\ud800', but must be a string without"),
        ({"sync": "s", "storage": 5.0}, "The attribute storage is 5, but must be an object"),
        ({"sync": "s", "storage": "x"}, "The attribute storage is 'x', but must be an object"),
        (attributes({"size_gb": 0}), "The attribute storage.size_gb is 0, but must be a number of GiB greater than 0"),
        (attributes({"size_gb": -1.0}), "The attribute storage.size_gb is -1, but must be a number of GiB"),
        (attributes({"size_gb": 2e9}), "The attribute storage.size_gb is 2000000000, but must be a number of GiB"),
        (attributes({"size_gb": "10"}), "The attribute storage.size_gb is '10', but must be a number"),
        (attributes({"size_gb": True}), "The attribute storage.size_gb is True, but must be a number"),
        (attributes({"size_gb": math.nan}), "The attribute storage.size_gb is nan, but must be a finite number"),
        (attributes({"size_gb": math.inf}), "The attribute storage.size_gb is inf, but must be a finite number"),
        (attributes({"size_gb": 10**9999}), "The attribute storage.size_gb is an endless number, but must be"),
        (attributes({"segment_seconds": 0.5}), "The attribute storage.segment_seconds is 0.5, but must be a number of"),
        (attributes({"segment_seconds": 0}), "a number of seconds from 1 to 3600"),
        (attributes({"segment_seconds": 3601}), "a number of seconds from 1 to 3600"),
        (
            attributes({"storage_path": "rec"}),
            "The attribute storage.storage_path is 'rec', but must be an absolute path",
        ),
        (
            attributes({"upload_path": "./up"}),
            "The attribute storage.upload_path is './up', but must be an absolute path",
        ),
        (attributes({"upload_path": "~nobody-of-this-name/up"}), "but must be an absolute path"),
        (attributes({"storage_path": "/srv/\0"}), "The attribute storage.storage_path is '/srv/\\x00', but must be"),
        (attributes({"storage_path": "/" + "x" * 256}), "whose names have at most 255 bytes"),
        (attributes({"storage_path": "/x" * 2000}), "a path of at most 3840 bytes"),
        (attributes(video=[]), "The attribute video is [], but must be an object"),
        (attributes(video={"format": "avi"}), "The attribute video.format is 'avi', but must be mp4"),
        (attributes(video={"codec": "H.264"}), "The attribute video.codec is 'H.264', but must be h264, h265 or"),
        (attributes(video={"codec": "libx264 -y /x"}), "The attribute video.codec is 'libx264 -y /x', but must be"),
        (attributes(video={"codec": "h264\n"}), "The attribute video.codec is 'h264\\n', but must be"),
        (
            attributes(video={"bitrate": -1}),
            "The attribute video.bitrate is -1, but must be a whole number greater than 0",
        ),
        (attributes(video={"bitrate": 1e10}), "a whole number greater than 0 and at most 1000000000"),
        (attributes(video={"bitrate": "1M"}), "The attribute video.bitrate is '1M', but must be a number"),
        (
            attributes(video={"preset": "fastest"}),
            "The attribute video.preset is 'fastest', but must be one of ultrafast,",
        ),
        (attributes(framerate=20.5), "The attribute framerate is 20.5, but must be a whole number greater than 0"),
        (attributes(framerate=-20.0), "The attribute framerate is -20, but must be a whole number greater than 0"),
        (attributes(framerate=1001), "The attribute framerate is 1001, but must be a whole number"),
        (attributes(framerate=True), "The attribute framerate is True, but must be a number"),
        (attributes(framerate=math.nan), "The attribute framerate is nan, but must be a finite number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_right(given: dict[str, Any], expected: str) -> None:
    assert expected in refusal(given)


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(refusal(attributes(camera="x" * 1_000_000))) < 200
    assert len(refusal(attributes(framerate=["x" * 1_000_000]))) < 200


@pytest.mark.parametrize("value", ["", None])
def test_the_empty_string_and_null_are_absent_attributes(value: str | None) -> None:
    given = attributes(
        {"storage_path": value, "upload_path": value, "segment_seconds": None},
        camera=value,
        source_name=value,
        video={"format": value, "codec": value, "preset": value, "bitrate": None},
        framerate=None,
    )
    assert parse(given) == parse(attributes())
    assert parse(attributes(video=None)) == parse(attributes())


def test_zero_means_the_default_where_the_go_module_took_it_so() -> None:
    config = parse(attributes(framerate=0.0, video={"bitrate": 0.0}))
    assert config.framerate == 20
    assert config.video.bitrate == 1_000_000


@pytest.mark.parametrize("preset", PRESETS)
def test_each_of_x264s_presets_is_taken(preset: str) -> None:
    assert parse(attributes(video={"preset": preset})).video.preset == preset


def test_a_tilde_in_a_path_is_the_home_directory(home: Path) -> None:
    storage = parse(attributes({"storage_path": "~/rec", "upload_path": "~/up"})).storage
    assert storage.storage_path == home / "rec"
    assert storage.upload_path == home / "up"


@pytest.mark.parametrize(
    ("storage_path", "upload_path"),
    [
        ("/srv/video", "/srv/video"),
        ("/srv/video", "/srv/video/"),
        ("/srv/video", "/srv/video/upload"),
        ("/srv/video/recording", "/srv/video"),
        ("/srv/other/../video", "/srv/video/upload"),
        ("/", "/srv/video"),
    ],
)
def test_storage_and_upload_must_not_lie_inside_one_another(storage_path: str, upload_path: str) -> None:
    message = refusal(attributes({"storage_path": storage_path, "upload_path": upload_path}))
    assert "storage.storage_path" in message
    assert "storage.upload_path" in message
    assert "because the data manager deletes what it has uploaded" in message


def test_a_symbolic_link_does_not_hide_that_one_path_lies_inside_the_other(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    (tmp_path / "link").symlink_to("video")
    message = refusal(attributes({"storage_path": f"{tmp_path}/video", "upload_path": f"{tmp_path}/link/upload"}))
    assert "neither lies inside the other" in message


def test_paths_that_only_begin_alike_are_taken() -> None:
    storage = parse(attributes({"storage_path": "/srv/video", "upload_path": "/srv/video-upload"})).storage
    assert storage.upload_path == Path("/srv/video-upload")


def test_a_recording_where_the_data_manager_deletes_gives_a_warning() -> None:
    (warning,) = warnings_of(attributes({"storage_path": "~/.viam/capture/recording"}))
    assert warning.startswith("storage.storage_path ")
    assert "~/.viam/capture" in warning


def test_a_quota_below_two_segments_gives_a_warning() -> None:
    (warning,) = warnings_of(attributes({"size_gb": 0.005}))
    assert warning.startswith("storage.size_gb 0.005 is less than two segments of 30 s")
    assert warnings_of(attributes({"size_gb": 0.01})) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (attributes(nonsense=1), "The attribute nonsense is not known and is ignored"),
        (attributes(frame_rate=1), "The attribute frame_rate is not known and is ignored; did you mean framerate?"),
        (
            attributes({"segment_second": 1}),
            "The attribute storage.segment_second is not known and is ignored; did you mean storage.segment_seconds?",
        ),
        (
            attributes(video={"Preset": "fast"}),
            "The attribute video.Preset is not known and is ignored; did you mean video.preset?",
        ),
        (attributes(bitrate=1), "The attribute bitrate is not known and is ignored; did you mean video.bitrate?"),
        (
            attributes({"framerate": 1}),
            "The attribute storage.framerate is not known and is ignored; did you mean framerate?",
        ),
        (attributes(yuyv=False), "The attribute yuyv has no effect any more and can be removed"),
    ],
)
def test_an_unknown_attribute_gives_a_warning_with_the_one_that_may_be_meant(
    given: dict[str, Any], expected: str
) -> None:
    assert warnings_of(given) == [expected]


def test_all_unknown_attributes_are_warned_about_at_once() -> None:
    warnings = warnings_of(attributes({"colour": 1}, flavour=1, video={"taste": 1}))
    assert [warning.split()[2] for warning in warnings] == ["flavour", "storage.colour", "video.taste"]


def test_a_component_cannot_record_itself() -> None:
    assert "cannot record itself" in refusal(attributes(camera="recorder"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0b", "\ud800", "x" * 201, "ü" * 101])
def test_a_component_whose_name_cannot_be_a_files_is_refused(name: str) -> None:
    assert refusal(attributes(), name).startswith("The component's name ")


def test_a_name_in_any_script_is_taken(home: Path) -> None:
    config, _ = parse_config("Kamera Süd 北", attributes())
    assert config.storage.storage_path == home / ".viam/video-storage/Kamera Süd 北"
