from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import US
from videostore.base.errors import RequestError
from videostore.clips.clip_names import clip_stem, tag_directory
from videostore.clips.uploads import Uploads

TIME_US = 1_725_634_833 * US
LOCAL = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(TIME_US // US))
STEM = f"cam_{LOCAL}"


def test_a_clip_is_named_by_camera_local_time_and_metadata() -> None:
    assert clip_stem("cam", TIME_US + 999_999, "") == STEM
    assert clip_stem("cam", TIME_US, "front door") == f"{STEM}_front door"


def test_metadata_may_be_json() -> None:
    metadata = json.dumps({"id": "x-1", "tags": ["a"]})
    assert clip_stem("cam", TIME_US, metadata) == f"{STEM}_{metadata}"


@pytest.mark.parametrize("metadata", ["../../etc/passwd", "a/b\\c", "..\\..\\x", "/", "a\0b", "a\nb\tc", "\x7f\u202e"])
def test_characters_that_a_file_name_cannot_hold_are_replaced(metadata: str) -> None:
    stem = clip_stem("cam", TIME_US, metadata)
    assert not set(stem) & set("/\\\0\n\t\u202e\x7f")
    assert stem.startswith(f"{STEM}_")
    assert len(stem) == len(f"{STEM}_{metadata}")


@given(st.text(alphabet=st.characters(codec=None)), st.text(max_size=200))
def test_any_metadata_makes_a_name_that_file_systems_accept(metadata: str, name: str) -> None:
    stem = clip_stem(name, TIME_US, metadata)
    longest = Uploads(Path(), "cam").progress_path(Path(f"{stem}-99999.mp4")).name.encode()
    assert len(longest) <= 255
    assert b"/" not in longest and b"\0" not in longest


def test_long_metadata_is_shortened_between_characters() -> None:
    stem = clip_stem("cam", TIME_US, "é🚪" * 5000)
    assert 200 < len(stem.encode()) <= 240
    assert stem.rstrip("é🚪") == f"{STEM}_"


def test_tags_become_sorted_directories_each_once() -> None:
    assert tag_directory(["night", "alarm", "night"]) == Path("tag=alarm/tag=night")
    assert tag_directory([]) == Path()
    assert tag_directory(["..hidden", "a=b", "é 🚪"]) == Path("tag=..hidden/tag=a=b/tag=é 🚪")


@pytest.mark.parametrize(
    "tag", ["", "a/b", "..", ".", "/", "..\\x", "a\0", "a\n", "x" * 252, "é" * 126, 7, None, ["a"], {}]
)
def test_a_tag_that_cannot_be_a_directory_is_refused(tag: object) -> None:
    with pytest.raises(RequestError) as error:
        tag_directory(["good", tag])
    assert str(error.value).startswith("tags[1] is ")
    assert "\n" not in str(error.value)
    assert (error.value.code, error.value.field, error.value.value) == ("tag-wrong", "tags", tag)


@pytest.mark.parametrize("tags", ["person", b"person", 5, None])
def test_tags_that_are_not_a_list_are_refused_and_not_taken_letter_by_letter(tags: Any) -> None:
    with pytest.raises(RequestError, match=r"'tags' is .*\. It must be a list of strings") as refused:
        tag_directory(tags)
    assert (refused.value.code, refused.value.field) == ("field-wrong", "tags")
