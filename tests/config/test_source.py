from __future__ import annotations

from typing import Any

import pytest

from videostore.base.errors import ConfigError
from videostore.config import SourceConfig, parse_config

URL = "rtsp://admin:s3cret@host/path"
BASE = {"sync": "data-manager", "storage": {"size_gb": 1}}


def source_of(**attributes: Any) -> SourceConfig | None:
    return parse_config("store", {**BASE, **attributes})[0].source


@pytest.mark.parametrize("nothing", [{}, {"source": None}, {"source": ""}, {"source": "", "source_options": {}}])
def test_without_a_url_there_is_no_source(nothing: dict[str, Any]) -> None:
    assert source_of(**nothing) is None


def test_a_stream_is_taken_as_it_comes_unless_a_codec_is_named() -> None:
    assert source_of(source=URL) == SourceConfig(URL, (), reencode=False)
    assert source_of(source=URL, video={"bitrate": 1e6}) == SourceConfig(URL, (), reencode=False)
    assert source_of(source=URL, video={"codec": "h264"}) == SourceConfig(URL, (), reencode=True)


def test_options_may_be_numbers_as_protobuf_delivers_them() -> None:
    given = {"rtsp_transport": "udp", "timeout": 5e6, "fflags": "", "reorder": True, "ratio": 0.5}
    found = source_of(source=URL, source_options=given)
    assert found is not None
    assert dict(found.options) == {
        "rtsp_transport": "udp",
        "timeout": "5000000",
        "fflags": "",
        "reorder": "true",
        "ratio": "0.5",
    }


def test_options_without_a_source_make_a_warning() -> None:
    config, warnings = parse_config("store", {**BASE, "source_options": {"rtsp_transport": "udp"}})
    assert config.source is None
    assert warnings == ["The attribute source_options has no effect without source."]


@pytest.mark.parametrize(
    ("attributes", "attribute"),
    [
        ({"source": 5.0}, "source"),
        ({"source": {"url": URL}}, "source"),
        ({"source": [URL]}, "source"),
        ({"source": URL + "\n"}, "source"),
        ({"source": URL + "x" * 5000}, "source"),
        ({"source": URL, "source_options": URL}, "source_options"),
        ({"source": URL, "source_options": {"-rtsp": "s3cret"}}, "source_options"),
        ({"source": URL, "source_options": {"headers": ["s3cret"]}}, "source_options.headers"),
        ({"source": URL, "source_options": {"headers": "a: s3cret\r\nb: c"}}, "source_options.headers"),
        ({"source": URL, "source_options": {"timeout": None}}, "source_options.timeout"),
        ({"source": URL, "source_options": {"timeout": float("nan")}}, "source_options.timeout"),
        ({"source": URL, "source_options": {"timeout": float("inf")}}, "source_options.timeout"),
        ({"source": URL, "source_options": {f"o{number}": "s3cret" for number in range(99)}}, "source_options"),
    ],
)
def test_a_wrong_attribute_is_named_and_no_password_is_shown(attributes: dict[str, Any], attribute: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        source_of(**attributes)
    assert wrong.value.attribute == attribute
    assert "s3cret" not in f"{wrong.value} {wrong.value.fields}"


def test_a_config_that_is_printed_shows_no_password() -> None:
    config, _ = parse_config("store", {**BASE, "source": URL, "source_options": {"passphrase": "s3cret"}})
    assert "s3cret" not in repr(config)


def test_sound_is_recorded_only_if_it_is_asked_for() -> None:
    assert not parse_config("store", {**BASE, "source": URL})[0].audio
    assert parse_config("store", {**BASE, "source": URL, "audio": True})[0].audio
    _, warnings = parse_config("store", {**BASE, "audio": True})
    assert warnings == ["The attribute audio has no effect without source: only a stream has sound."]
    with pytest.raises(ConfigError, match="true or false"):
        parse_config("store", {**BASE, "source": URL, "audio": "yes"})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (7.0, "The attribute source is 7. It must be the URL of a stream"),
        (True, "The attribute source is true. It must be"),
        ([URL], "The attribute source is a list. It must be"),
        ({"url": URL}, "The attribute source is an object. It must be"),
        ("x" * 2001, "The attribute source is a text of 2001 characters. It must be"),
    ],
)
def test_what_a_source_is_instead_of_a_url_is_said_without_its_content(source: Any, said: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        source_of(source=source)
    assert str(wrong.value).startswith(said)
