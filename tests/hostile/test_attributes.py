"""Any attributes give a valid config, or an error in one sentence that names the attribute."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import hostile_strategies as hostile
from tests.support.amount import at_most, cut_short
from tests.support.attributes import ATTRIBUTES, valid_attributes, with_attribute
from tests.support.checkout import ROOT
from tests.support.property_settings import examples
from tests.support.sentences import assert_sentence
from videostore.base.errors import ConfigError
from videostore.config import PRESETS, Config, parse_config


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home directory for the time in which attributes are read."""
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(directory))
        yield directory


def assert_valid(config: Config) -> None:
    """Every value in a config is valid, whatever the attributes were."""
    assert type(config.framerate) is int and 0 < config.framerate <= 1000
    assert type(config.video.bitrate) is int and 0 < config.video.bitrate <= 10**9
    assert config.video.preset in PRESETS and config.video.format == "mp4"
    assert re.fullmatch(r"[a-z0-9_]+", config.video.codec)
    storage = config.storage
    assert 0 < storage.size_gb < math.inf and 0 <= storage.quota_bytes < 1 << 63
    assert 1 <= storage.segment_seconds <= 3600
    for path in (storage.storage_path, storage.upload_path):
        assert path.is_absolute() and b"\0" not in os.fsencode(path)
    for field in dataclasses.fields(storage):
        value = getattr(storage, field.name)
        assert not isinstance(value, float) or math.isfinite(value), field.name
    for text in (config.source.url, *itertools.chain(*config.source.options)) if config.source else ():
        assert text.isprintable() and text.encode() is not None and len(text) <= 2000
    for name in (config.camera, config.source_name, config.sync):
        assert name is None or (0 < len(name) <= 255 and name.encode())


def parse_or_error(name: str, attributes: Mapping[str, Any]) -> ConfigError | None:
    """The error; None where the attributes are accepted."""
    try:
        config, warnings = parse_config(name, attributes)
    except ConfigError as error:
        assert_sentence(str(error))
        return error
    assert_valid(config)
    for warning in warnings:
        assert_sentence(warning)
    return None


def names(error: ConfigError, dotted: str) -> bool:
    """Whether an error is about this attribute or one inside it, in its fields and in its sentence."""
    named = [error.attribute or "", str(error.fields.get("other", ""))]
    return any(one == dotted or one.startswith(f"{dotted}.") for one in named) and dotted in str(error)


def test_every_documented_attribute_is_tried() -> None:
    page = (ROOT / "docs" / "reference" / "attributes.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE)
    assert len(documented) > 10
    assert set(documented) <= set(ATTRIBUTES)


@pytest.mark.usefixtures("home")
@cut_short
@pytest.mark.parametrize("dotted", ATTRIBUTES)
def test_any_value_of_an_attribute_is_accepted_or_named_in_the_error(dotted: str) -> None:
    @examples(at_most(60, 25), 4000)
    @given(hostile.values())
    def check(value: hostile.Value) -> None:
        error = parse_or_error("recorder", with_attribute(dotted, value))
        assert error is None or names(error, dotted)

    for value in (*hostile.NASTY, *hostile.NUMBERS):
        error = parse_or_error("recorder", with_attribute(dotted, value))
        assert error is None or names(error, dotted)
    check()


@pytest.mark.usefixtures("home")
@examples(60, 4000)
@given(
    st.sampled_from(["storage.storage_path", "storage.upload_path"]),
    st.sampled_from(["/", "~/", "/srv/", "/srv/recording/", "/srv/recording/../", "~"]),
    hostile.texts(),
)
def test_any_path_is_accepted_or_named_in_the_error(dotted: str, start: str, rest: str) -> None:
    error = parse_or_error("recorder", with_attribute(dotted, start + rest))
    assert error is None or names(error, dotted)


@pytest.mark.usefixtures("home")
@examples(150, 10_000)
@given(hostile.texts())
def test_any_component_name_is_accepted_or_refused_in_one_sentence(name: str) -> None:
    attributes = valid_attributes()
    del attributes["storage"]["storage_path"], attributes["storage"]["upload_path"]
    error = parse_or_error(name, attributes)
    assert error is None or error.code in ("name-no-directory", "name-too-long") or names(error, "camera")
    if error is None:
        storage = parse_config(name, attributes)[0].storage
        home = Path(os.environ["HOME"])
        assert storage.storage_path.parent == home / ".viam/video-storage"
        assert storage.upload_path.parent == home / ".viam/capture/video-upload"


@pytest.mark.usefixtures("home")
@examples(150, 10_000)
@given(
    hostile.texts(),
    st.dictionaries(
        st.sampled_from([dotted.rpartition(".")[2] for dotted in ATTRIBUTES]) | hostile.texts(),
        hostile.values()
        | st.dictionaries(
            st.sampled_from([dotted.rpartition(".")[2] for dotted in ATTRIBUTES]) | hostile.texts(),
            hostile.values(),
            max_size=6,
        ),
        max_size=8,
    ),
)
def test_any_attributes_are_accepted_or_refused_in_one_sentence(name: str, attributes: dict[str, Any]) -> None:
    parse_or_error(name, attributes)
