from __future__ import annotations

import pytest

from videostore.base.errors import ConfigError
from videostore.config.section import Section, is_unicode


def test_values_are_read_by_their_dotted_names() -> None:
    root = Section("", {"storage": {"size_gb": 2.0}, "camera": ""})
    assert root.section("storage").number("size_gb", "a number") == 2.0
    assert (root.text("camera"), root.get("sync")) == (None, None)
    with pytest.raises(ConfigError) as wrong:
        Section("storage", {"size_gb": "2"}).number("size_gb", "a number of GiB")
    assert (wrong.value.attribute, wrong.value.value) == ("storage.size_gb", "2")
    assert str(wrong.value) == "The attribute storage.size_gb is '2'. It must be a number of GiB."


def test_an_unknown_attribute_is_told_with_the_one_that_was_meant() -> None:
    (warning,) = Section("", {"sorce": "rtsp://host/path"}).warnings()
    assert warning == "The attribute sorce is unknown and is ignored. Did you mean source?"


@pytest.mark.parametrize(("text", "valid"), [("ü", True), ("\ud800", False)])
def test_lone_surrogates_are_no_text(text: str, valid: bool) -> None:
    assert is_unicode(text) is valid
