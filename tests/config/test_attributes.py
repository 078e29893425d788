from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.attributes import ATTRIBUTES, with_attribute
from videostore.base.errors import ConfigError, shown
from videostore.config import (
    PRESETS,
    Config,
    StorageConfig,
    VideoConfig,
    parse_config,
    parse_recording,
    parse_video,
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def attributes(storage: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """The required attributes, and those that a test adds."""
    return {"sync": "data-manager", "storage": {"size_gb": 10.0, **(storage or {})}, **others}


def parse(given: dict[str, Any]) -> Config:
    """The config of attributes that cause no warnings."""
    config, warnings = parse_config("recorder", given)
    assert warnings == []
    return config


def warnings_of(given: dict[str, Any]) -> list[str]:
    return parse_config("recorder", given)[1]


def refused(given: dict[str, Any], name: str = "recorder") -> ConfigError:
    with pytest.raises(ConfigError) as error:
        parse_config(name, given)
    assert "\n" not in str(error.value)
    return error.value


def refusal(given: dict[str, Any], name: str = "recorder") -> str:
    return str(refused(given, name))


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
    assert refusal(given).startswith(f"The attribute {missing} is missing. It must be ")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"snyc": "s", "storage": {"size_gb": 1}}, "Is snyc a misspelling of it?"),
        ({"sync": "s", "storage": {"sizegb": 1}}, "Is storage.sizegb a misspelling of it?"),
        ({"sync": "s", "Storage": {"size_gb": 1}}, "Is Storage a misspelling of it?"),
    ],
)
def test_a_misspelling_of_a_missing_attribute_is_pointed_out(given: dict[str, Any], hint: str) -> None:
    assert refusal(given).endswith(hint)


@pytest.mark.parametrize("given", [{"sync": ""}, {"sync": None}, {"sync": "s", "storage": {"size_gb": None}}])
def test_an_attribute_that_is_given_without_a_value_is_no_misspelling_of_itself(given: dict[str, Any]) -> None:
    assert "is missing" in (said := refusal(given)) and "misspelling" not in said


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (attributes(camera=5), "The attribute camera is 5. It must be the name of a camera"),
        (attributes(camera="x" * 256), "a name of at most 255 characters, not 256"),
        (attributes(source_name=["color"]), 'The attribute source_name is ["color"]. It must be the name of an image'),
        (attributes(sync=True), "The attribute sync is true. It must be the name of the data manager"),
        (attributes(sync="a\0b"), "The attribute sync is 'a\\x00b'. It must be a string without NUL"),
        (attributes(sync="\ud800"), "The attribute sync is '\\ud800'. It must be a string without"),
        ({"sync": "s", "storage": 5.0}, "The attribute storage is 5. It must be an object"),
        ({"sync": "s", "storage": "x"}, "The attribute storage is 'x'. It must be an object"),
        (attributes({"size_gb": 0}), "The attribute storage.size_gb is 0. It must be a number of GiB greater than 0"),
        (attributes({"size_gb": -1.0}), "The attribute storage.size_gb is -1. It must be a number of GiB"),
        (attributes({"size_gb": 2e9}), "The attribute storage.size_gb is 2000000000. It must be a number of GiB"),
        (attributes({"size_gb": "10"}), "The attribute storage.size_gb is '10'. It must be a number"),
        (attributes({"size_gb": True}), "The attribute storage.size_gb is true. It must be a number of GiB"),
        (attributes({"size_gb": math.nan}), "The attribute storage.size_gb is NaN. It must be a number of GiB"),
        (attributes({"size_gb": math.inf}), "The attribute storage.size_gb is Infinity. It must be a number of GiB"),
        (
            attributes({"size_gb": 10**9999}),
            "The attribute storage.size_gb is a number with thousands of digits. It must be",
        ),
        (attributes({"segment_seconds": 0.5}), "The attribute storage.segment_seconds is 0.5. It must be a number of"),
        (attributes({"segment_seconds": 0}), "a number of seconds from 1 to 3600"),
        (attributes({"segment_seconds": 3601}), "a number of seconds from 1 to 3600"),
        (
            attributes({"storage_path": "rec"}),
            "The attribute storage.storage_path is 'rec'. It must be an absolute path",
        ),
        (
            attributes({"upload_path": "./up"}),
            "The attribute storage.upload_path is './up'. It must be an absolute path",
        ),
        (attributes({"upload_path": "~nobody-of-this-name/up"}), ". It must be an absolute path"),
        (attributes({"storage_path": "/srv/\0"}), "The attribute storage.storage_path is '/srv/\\x00'. It must be"),
        (attributes({"storage_path": "/" + "x" * 256}), "in which each name has at most 255 bytes"),
        (attributes({"storage_path": "/x" * 2000}), "a path of at most 3840 bytes"),
        (attributes({"storage_path": "/x" * 245}), "a path of at most 488 bytes"),
        (attributes(video=[]), "The attribute video is []. It must be an object"),
        (attributes(video={"format": "avi"}), "The attribute video.format is 'avi'. It must be mp4"),
        (attributes(video={"codec": "H.264"}), "The attribute video.codec is 'H.264'. It must be h264, h265 or"),
        (attributes(video={"codec": "libx264 -y /x"}), "The attribute video.codec is 'libx264 -y /x'. It must be"),
        (attributes(video={"codec": "h264\n"}), "The attribute video.codec is 'h264\\n'. It must be"),
        (
            attributes(video={"bitrate": -1}),
            "The attribute video.bitrate is -1. It must be a whole number greater than 0",
        ),
        (attributes(video={"bitrate": 1e10}), "a whole number greater than 0 and at most 1000000000"),
        (attributes(video={"bitrate": "1M"}), "The attribute video.bitrate is '1M'. It must be a whole number"),
        (
            attributes(video={"preset": "fastest"}),
            "The attribute video.preset is 'fastest'. It must be one of ultrafast,",
        ),
        (attributes(framerate=1000.5), "The attribute framerate is 1000.5. It must be a whole number"),
        (attributes(framerate=-0.5), "The attribute framerate is -0.5. It must be a whole number greater than 0"),
        (attributes(framerate=-20.0), "The attribute framerate is -20. It must be a whole number greater than 0"),
        (attributes(framerate=1001), "The attribute framerate is 1001. It must be a whole number"),
        (attributes(framerate=True), "The attribute framerate is true. It must be a whole number"),
        (attributes(framerate=math.nan), "The attribute framerate is NaN. It must be a whole number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_expected(given: dict[str, Any], expected: str) -> None:
    assert expected in refusal(given)


@pytest.mark.parametrize(
    ("given", "code", "attribute", "value"),
    [
        ({"storage": {"size_gb": 1}}, "attribute-missing", "sync", None),
        ({"sync": "s", "storage": {}}, "attribute-missing", "storage.size_gb", None),
        ({"sync": "s", "storage": {"sizegb": 1}}, "attribute-misspelt", "storage.size_gb", None),
        (attributes(framerate=-20), "attribute-wrong", "framerate", -20),
        (attributes({"size_gb": 1e-9}), "attribute-wrong", "storage.size_gb", 1e-9),
        (attributes(video={"preset": "warp"}), "attribute-wrong", "video.preset", "warp"),
        (attributes(video=[]), "attribute-wrong", "video", []),
    ],
)
def test_a_refusal_has_a_code_the_dotted_name_and_the_value(
    given: dict[str, Any], code: str, attribute: str, value: object
) -> None:
    error = refused(given)
    assert (error.code, error.attribute, error.value) == (code, attribute, value)
    assert error.expected and error.expected in str(error)


def test_a_refusal_of_nested_paths_has_both_of_them() -> None:
    error = refused(attributes({"storage_path": "/srv/video", "upload_path": "/srv/video/upload"}))
    assert (error.code, error.attribute, error.value) == ("paths-nested", "storage.storage_path", "/srv/video")
    assert (error.fields["other"], error.fields["other_value"]) == ("storage.upload_path", "/srv/video/upload")


@pytest.mark.parametrize(
    ("name", "code"), [("a/b", "name-no-directory"), ("", "name-no-directory"), ("x" * 201, "name-too-long")]
)
def test_a_refusal_of_a_component_name_has_the_name(name: str, code: str) -> None:
    error = refused(attributes(), name)
    assert (error.code, error.value, error.attribute) == (code, name, None)


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(refusal(attributes(camera="x" * 1_000_000))) < 200
    assert len(refusal(attributes(framerate=["x" * 1_000_000]))) < 200


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


@pytest.mark.parametrize(("given", "taken"), [(19.9, 19), (1.5, 1), (0.5, 1), (1e-300, 1), (999.999, 999)])
def test_a_fraction_of_a_whole_number_is_cut_off_with_a_warning(given: float, taken: int) -> None:
    config, warnings = parse_config("recorder", attributes(framerate=given, video={"bitrate": given}))
    assert (config.framerate, config.video.bitrate) == (taken, taken)
    assert [one for one in warnings if "whole" in one or "taken as" in one] == [
        f"The attribute framerate is {given}. It is taken as {taken}.",
        f"The attribute video.bitrate is {given}. It is taken as {taken}.",
    ]


def test_a_program_that_gives_a_fraction_is_refused() -> None:
    """It sees no warnings."""
    for framerate, bitrate in [(19.5, None), (None, 1.5)]:
        with pytest.raises(ConfigError, match="must be a whole number"):
            parse_recording(
                "x",
                storage={"size_gb": 1, "storage_path": "/srv/rec", "upload_path": "/srv/up"},
                video={"bitrate": bitrate},
                framerate=framerate,  # type: ignore[arg-type]
            )
        with pytest.raises(ConfigError, match="must be a whole number"):
            parse_video({"bitrate": bitrate}, framerate)  # type: ignore[arg-type]


def test_format_and_codec_may_have_capitals() -> None:
    assert parse(attributes(video={"format": "MP4", "codec": "H264"})) == parse(attributes())
    assert parse(attributes(video={"codec": "H265"})).video.codec == "h265"
    assert "It must be mp4" in refusal(attributes(video={"format": "MKV"}))


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_of_x264_is_accepted(preset: str) -> None:
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
def test_storage_and_upload_paths_must_not_be_nested(storage_path: str, upload_path: str) -> None:
    message = refusal(attributes({"storage_path": storage_path, "upload_path": upload_path}))
    assert "storage.storage_path" in message
    assert "storage.upload_path" in message
    assert "the data manager deletes what it has uploaded" in message


def test_a_symbolic_link_does_not_hide_that_the_paths_are_nested(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    (tmp_path / "link").symlink_to("video")
    message = refusal(attributes({"storage_path": f"{tmp_path}/video", "upload_path": f"{tmp_path}/link/upload"}))
    assert "neither inside the other" in message


def test_paths_with_the_same_beginning_are_accepted() -> None:
    storage = parse(attributes({"storage_path": "/srv/video", "upload_path": "/srv/video-upload"})).storage
    assert storage.upload_path == Path("/srv/video-upload")


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


def test_a_component_cannot_record_itself() -> None:
    assert "cannot record itself" in refusal(attributes(camera="recorder"))
    assert "cannot record itself" in refusal(attributes(camera="rdk:component:camera/recorder"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0b", "\ud800", "x" * 201, "ü" * 101])
def test_a_component_name_that_cannot_be_a_file_name_is_refused(name: str) -> None:
    assert refusal(attributes(), name).startswith("The component name ")


def test_a_name_in_any_script_is_accepted(home: Path) -> None:
    config, _ = parse_config("Kamera Süd 北", attributes())
    assert config.storage.storage_path == home / ".viam/video-storage/Kamera Süd 北"


WRONG: tuple[Any, ...] = (
    *(True, 7.5, -3.0, math.nan, -math.inf, 1e300, 10**400, "50GB", "1 Mbit/s", "true", "null", "\n"),
    *([], [None], [True, 2.0], {}, {"of": None}, {"on": True}),
)
"""Of wrong types, ranges and units. None of them is empty, which counts as absent."""
_PYTHON = re.compile(r"\b(True|False|None|nan|inf|float|dict|NoneType)\b")


@pytest.mark.parametrize("dotted", ATTRIBUTES)
def test_a_sentence_tells_attribute_and_value_as_json_has_them_and_what_would_be_right(dotted: str) -> None:
    refused = 0
    for value in WRONG:
        try:
            parse_config("recorder", with_attribute(dotted, value))
        except ConfigError as error:
            refused += 1
            said = str(error)
            assert said.startswith("The attribute ") and re.search(rf"\b{re.escape(dotted)}\b", said), said
            assert re.search(r" must be | needs a password| Leave out ", said), said
            assert not _PYTHON.search(said), said
            if error.code == "attribute-wrong" and error.attribute == dotted and not isinstance(value, str):
                assert f" is {shown(value)}. It must be " in said
    assert refused >= 5


@pytest.mark.parametrize("path", ["/", "/data/a\nb", "/data/" + "x" * 201])
def test_a_recording_that_cannot_have_the_name_of_its_directory_names_that(path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_recording(None, storage={"size_gb": 1, "storage_path": path}, video={})
    assert refused.value.attribute == "storage.storage_path"
    assert "a directory whose own name has 1 to 200 bytes" in str(refused.value)
    assert "component" not in str(refused.value)
