"""The fields of an error as text: what comes back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostore.base.error_fields import FIELD_OVERHEAD_BYTES, read_error, write_fields
from videostore.base.errors import (
    FFmpegError,
    NothingStoredError,
    RequestError,
    TooLargeError,
    VideoStoreError,
    error_classes,
)
from videostore.base.ranges import Range

ENOUGH = 1 << 20
SENTENCE = "The sentence as the machine made it."
ERRORS = [
    NothingStoredError("nothing-in-range", asked=Range(0, 5), nearest=Range(7_000_000, 9_000_001)),
    NothingStoredError("no-frame-in-range", asked=Range(4, 5), nearest=Range(0, 9), before_us=3, after_us=6),
    NothingStoredError("no-frame-before", asked=Range(4, 5), nearest=Range(0, 9), after_us=6),
    NothingStoredError("storage-empty", asked=Range(1, 2)),
    TooLargeError("clip-too-large", size_bytes=30 << 20, limit_bytes=24 << 20, longest_s=2.5),
    RequestError("to-in-future", from_us=1, to_us=1_725_000_000_000_000, clock_us=1_724_000_000_000_000),
    RequestError("field-wrong", field="tags", value={"a": [1, None, "x"]}, expected="a list of strings"),
    RequestError("field-wrong", field="metadata", value=None, expected="a string"),
    RequestError("command-unknown", value="delete", expected=["save", "fetch"]),
    FFmpegError("ffmpeg-failed", exit_code=-9, reason="🎥 cannot be read"),
    VideoStoreError("storage-unreadable", path="/data", reason="Permission denied"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.code))
def test_an_error_keeps_its_class_code_fields_and_sentence(error: VideoStoreError) -> None:
    read = read_error(error.code, write_fields(error.fields, ENOUGH), SENTENCE)
    assert read is not None
    assert (type(read), read.code, read.fields, str(read)) == (type(error), error.code, error.fields, str(error))
    for name, value in error.fields.items():
        assert getattr(read, name, value) == value


def test_a_path_travels_as_its_text() -> None:
    fields = write_fields({"path": Path("/data/x"), "reason": "gone"}, ENOUGH)
    assert fields == {"path": '"/data/x"', "reason": '"gone"'}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"x"])
def test_a_value_that_json_cannot_express_is_left_out(value: Any) -> None:
    assert write_fields({"value": value, "field": "x"}, ENOUGH) == {"field": '"x"'}


@pytest.mark.parametrize("depth", [17, 100, 5000])
def test_a_value_that_is_nested_deeply_is_left_out(depth: int) -> None:
    value: Any = 1
    for level in range(depth):
        value = {"a": value} if level % 2 else [value]
    assert write_fields({"value": value, "field": "x"}, ENOUGH) == {"field": '"x"'}
    assert "value" in write_fields({"value": [[[{"a": [1]}]]]}, ENOUGH)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=200)), st.integers(0, 600))
def test_fields_keep_within_their_limit_and_the_longest_is_left_out_first(
    fields: dict[str, str], limit_bytes: int
) -> None:
    def size(name: str) -> int:
        return len(name.encode()) + len(json.dumps(fields[name])) + FIELD_OVERHEAD_BYTES

    texts = write_fields({name: value.encode(errors="replace").decode() for name, value in fields.items()}, limit_bytes)
    assert sum(map(size, texts)) <= limit_bytes
    left_out = fields.keys() - texts.keys()
    assert not left_out or max(map(size, texts), default=0) <= min(map(size, left_out))
    if left_out:
        assert sum(map(size, texts)) + min(map(size, left_out)) > limit_bytes


def test_where_a_field_of_the_sentence_is_missing_the_sentence_that_came_is_used() -> None:
    error = read_error("clip-too-large", {"size_bytes": "7"}, SENTENCE)
    assert isinstance(error, TooLargeError)
    assert (error.code, error.size_bytes, error.limit_bytes) == ("clip-too-large", 7, None)
    assert str(error) == SENTENCE


def test_a_code_that_this_version_does_not_know_gives_no_error() -> None:
    for code in ("clip-too-purple", "", "other", "__class__"):
        assert read_error(code, {}, SENTENCE) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("size_bytes", "nonsense"),
        ("size_bytes", ""),
        ("size_bytes", '"7"'),
        ("size_bytes", "7.5"),
        ("size_bytes", "true"),
        ("size_bytes", "1" * 5000),
        ("size_bytes", str(1 << 63)),
        ("longest_s", "NaN"),
        ("longest_s", "-Infinity"),
        ("longest_s", "1e999"),
        ("longest_s", "1e300"),
        ("longest_s", "9" * 400),
        ("reason", "{}"),
        ("value", "[" * 50_000),
        ("asked", "[1, 2]"),
        ("asked", "{}"),
        ("asked", '{"from_us": 1}'),
        ("asked", '{"from_us": 1, "to_us": "2"}'),
        ("asked", '{"from_us": 1, "to_us": 2, "more": 3}'),
        ("asked", '{"from_us": 1, "to_us": 300000000000000000}'),
        ("from_us", "-62135596800000000"),
        ("from_us", "1.0"),
        ("message", '"another sentence"'),
        ("sentence", '"x"'),
        ("sentences", "{}"),
        ("args", "[]"),
        ("__class__", '"x"'),
        ("with_traceback", "1"),
        ("__init__", "1"),
    ],
)
def test_a_field_that_is_not_valid_is_dropped(name: str, text: str) -> None:
    code = "nothing-in-range" if name == "asked" else "clip-too-large"
    error = read_error(code, {name: text}, SENTENCE)
    assert error is not None
    assert error.fields == {"message": SENTENCE}
    assert str(error) == error.sentence() == SENTENCE


@given(
    st.sampled_from([(code, kind) for kind in error_classes() for code in kind.sentences]),
    st.data(),
)
def test_no_text_makes_an_error_that_cannot_be_shown(case: tuple[str, type[VideoStoreError]], data: Any) -> None:
    code, kind = case
    names = st.sampled_from([name for name in dir(kind) if not name.startswith("__")]) | st.text(max_size=10)
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from_us", "to_us", "x"]), inner),
        max_leaves=5,
    )
    texts = data.draw(st.dictionaries(names, value.map(json.dumps) | st.text(max_size=20), max_size=6))
    error = read_error(code, texts, SENTENCE)
    assert error is not None and error.code == code
    assert str(error).encode()
