"""Attributes that are refused: the sentence names each, its value and what would be right."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from tests.support.attributes import ATTRIBUTES, with_attribute
from tests.support.parsed_config import attributes, refusal, refused
from videostore.base.errors import ConfigError, shown
from videostore.config import (
    parse_config,
    parse_recording,
    parse_video,
)

pytestmark = pytest.mark.usefixtures("home")


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


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(refusal(attributes(camera="x" * 1_000_000))) < 200
    assert len(refusal(attributes(framerate=["x" * 1_000_000]))) < 200


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


def test_a_component_cannot_record_itself() -> None:
    assert "cannot record itself" in refusal(attributes(camera="recorder"))
    assert "cannot record itself" in refusal(attributes(camera="rdk:component:camera/recorder"))


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
