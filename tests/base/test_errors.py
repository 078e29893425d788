"""The classes of errors, their fields and their sentences; and how the program constructs them."""

from __future__ import annotations

import copy
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.error_sources import Construction, constructions, constructions_in, fields_of, kinds, tables
from tests.support.sentences import assert_sentence
from videostore.base.errors import (
    ConfigError,
    FFmpegError,
    MachineError,
    NothingStoredError,
    RequestError,
    Style,
    TimestampError,
    TooLargeError,
    VideoStoreError,
    class_of,
    printable,
    reason_of,
    shown,
    shown_name,
    whole_characters,
)
from videostore.base.ranges import Range
from videostore.base.sentences import OTHER

TIME_US = 1_725_634_833_250_000
WORDS = ("range", "future", "parsing time", "grpc", "storage", "size_gb", "sync")
"""Clients of the Go module look for these words."""
VALUES: dict[str, Any] = {
    "": "a word",
    "GiB": 5 << 30,
    "MiB": 30 << 20,
    "attribute": "storage.size_gb",
    "because": "the camera does not answer",
    "exact": TIME_US + 1,
    "field": "to",
    "exact range": Range(TIME_US, TIME_US + 5_000_001),
    "name": "storage.sizegb",
    "path": "/srv/recording",
    "range": Range(TIME_US, TIME_US + 5_000_000),
    "reason": "the device is full",
    "s": 2.5,
    "the attribute": "storage.size_gb",
    "time": TIME_US,
    "value": "a value",
}
"""A value for each form in which a sentence may write a field."""
ERRORS = {code: kind for table in tables().values() for code in table if (kind := class_of(code)) is not None}
"""Every code with its class."""


def error_of(code: str) -> VideoStoreError:
    """An error with this code and all fields of its sentence."""
    kind = ERRORS[code]
    template = kind.template(code)
    assert template is not None
    return kind(code, **{name: VALUES[form] for name, form in fields_of(template).items()})


def test_an_error_has_a_code_fields_attributes_and_a_sentence() -> None:
    error = TooLargeError("clip-too-large", size_bytes=30 << 20, limit_bytes=24 << 20, longest_s=90.0)
    assert error.code == "clip-too-large"
    assert error.fields == {"size_bytes": 30 << 20, "limit_bytes": 24 << 20, "longest_s": 90.0}
    assert (error.size_bytes, error.limit_bytes, error.longest_s) == (30 << 20, 24 << 20, 90.0)
    assert str(error) == error.sentence()
    assert str(error).startswith("The clip is about 30.0 MiB; a grpc response holds at most 24.0 MiB. Fetch at most 90")


def test_a_field_that_is_not_given_is_none() -> None:
    error = NothingStoredError("storage-empty", asked=Range(1, 2))
    assert (error.asked, error.nearest, error.reason) == (Range(1, 2), None, None)


def test_a_field_that_the_class_does_not_declare_is_only_in_the_fields() -> None:
    error = ConfigError("name-too-long", value="x", length=201, limit=200)
    assert error.fields["length"] == 201
    assert not hasattr(error, "length")


def test_no_field_replaces_a_method() -> None:
    error = ConfigError("attribute-wrong", sentence="x", template="x", args="x", sentences="x", with_traceback="x")
    assert str(error).startswith("… is …")
    assert error.args == ("attribute-wrong",) and callable(error.with_traceback)


def test_every_sentence_is_whole_and_every_field_of_it_is_written() -> None:
    assert len(ERRORS) > 200
    for code in ERRORS:
        error = error_of(code)
        assert error.is_complete(), code
        sentence = str(error)
        assert_sentence(sentence)
        assert "…" not in sentence and "{" not in sentence, sentence
        assert sentence.endswith((".", "?")) and ".." not in sentence, sentence
        assert not re.search("[«»„“”‘’]", sentence), sentence


def test_an_error_survives_pickling() -> None:
    for code in ERRORS:
        error = error_of(code)
        copied = pickle.loads(pickle.dumps(error))
        assert (type(copied), copied.code, copied.fields) == (type(error), error.code, error.fields)
        assert str(copied) == str(error)


def test_the_words_that_clients_look_for_are_in_the_sentences() -> None:
    together = " ".join(str(error_of(code)) for code in ERRORS)
    assert [word for word in WORDS if word not in together] == []


def test_every_code_has_a_class() -> None:
    assert set(ERRORS) == {code for table in tables().values() for code in table}
    assert class_of(OTHER) is None and class_of("no-such-code") is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("attribute-wrong", ConfigError),
        ("to-in-future", RequestError),
        ("several-storages", RequestError),
        ("timestamp-form", TimestampError),
        ("nothing-in-range", NothingStoredError),
        ("ffmpeg-failed", FFmpegError),
        ("machine-timeout", MachineError),
        ("storage-in-use", VideoStoreError),
    ],
)
def test_the_class_of_a_code_is_the_one_that_raises_it(code: str, kind: type[VideoStoreError]) -> None:
    assert class_of(code) is kind


def test_a_class_has_the_sentences_of_its_bases_as_well() -> None:
    error = TimestampError("range-empty", from_us=1, to_us=1)
    assert error.code == "range-empty" and "the range is empty" in str(error)
    assert RequestError.template("timestamp-form") is None


# Styles


class Capitals(Style):
    def attribute(self, name: str) -> str:
        return f"--{name.rpartition('.')[2]}"

    def the_attribute(self, name: str) -> str:
        return self.attribute(name)

    def time(self, time_us: int) -> str:
        return f"at {time_us}"


def test_a_style_writes_attributes_and_times_in_its_own_way() -> None:
    error = ConfigError("attribute-wrong", attribute="storage.size_gb", value=0.0, expected="greater than 0")
    assert str(error) == "The attribute storage.size_gb is 0. It must be greater than 0."
    assert error.sentence(Capitals()) == "--size_gb is 0. It must be greater than 0."
    empty = NothingStoredError("storage-empty", asked=Range(1_000, 2_000))
    assert str(empty).startswith("Nothing is stored in the range from 1970-01-01_00-00-00.001Z to 1970-01-01_00-00-00.")
    assert empty.sentence(Capitals()).startswith(
        "Nothing is stored in the range from at 1000 to at 2000: the storage is"
    )


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("attribute", "video.codec", "video.codec"),
        ("field", "to", "'to'"),
        ("the attribute", "sync", "The attribute sync"),
        ("time", 1_725_634_833_250_999, "2024-09-06_15-00-33.250Z"),
        ("range", Range(0, 1_000_000), "1970-01-01_00-00-00.000Z to 1970-01-01_00-00-01.000Z"),
        ("value", "x" * 100, "'" + "x" * 59 + "…"),
        ("value", 20.0, "20"),
        ("value", Path("/" + "x" * 100), repr("/" + "x" * 100)),
        ("path", "/a\nb", r"'/a\nb'"),
        ("path", Path("/a"), "'/a'"),
        ("name", "storage.sizegb", "storage.sizegb"),
        ("MiB", 1_572_864, "1.5 MiB"),
        ("MiB", 104_858, "0.1 MiB"),
        ("MiB", 1000, "1000 bytes"),
        ("GiB", 1_610_612_736, "1.50 GiB"),
        ("s", 90.0, "90 s"),
        ("s", 0.3, "0.3 s"),
        ("reason", "it is full.", "it is full"),
        ("", ["a", "b"], "a, b"),
        ("", 7, "7"),
        ("", Path("/a\nb"), r"/a\nb"),
    ],
)
def test_a_field_is_written_in_the_form_that_its_sentence_asks_for(form: str, value: object, expected: str) -> None:
    assert Style().write(value, form) == expected


def test_the_forms_of_the_sentences_are_all_known() -> None:
    forms = {form for table in tables().values() for text in table.values() for form in fields_of(text).values()}
    assert forms <= set(VALUES)


def test_the_end_of_a_range_is_rounded_up_and_exact_times_are_not_rounded() -> None:
    style, one = Style(), Range(1_001, 2_001)
    assert style.write(one, "range") == "1970-01-01_00-00-00.001Z to 1970-01-01_00-00-00.003Z"
    assert style.write(one, "exact range") == "1970-01-01_00-00-00.001001Z to 1970-01-01_00-00-00.002001Z"
    assert style.write(1_001, "exact") == "1970-01-01_00-00-00.001001Z"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "The clip is about …; a grpc response holds at most …."),
        ({"size_bytes": "much", "limit_bytes": None}, "The clip is about 'much'; a grpc response holds at most null."),
    ],
)
def test_a_field_that_is_missing_or_does_not_fit_causes_no_second_error(fields: dict[str, Any], sentence: str) -> None:
    error = TooLargeError("clip-too-large", **fields)
    assert str(error).startswith(sentence)
    assert not error.is_complete()


def test_a_time_beyond_the_calendar_causes_no_second_error() -> None:
    error = RequestError("range-empty", from_us=10**30, to_us=1)
    assert str(10**30) in str(error) and not error.is_complete()


# Sentences of other programs


def test_a_text_that_is_no_code_is_a_sentence_of_another_program() -> None:
    error = RequestError("Something an older module says.", field="to")
    assert (error.code, str(error), error.field) == (OTHER, "Something an older module says.", "to")
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.code, str(copied), copied.field) == (OTHER, str(error), "to")
    assert str(RequestError(OTHER, message="The same as a field.")) == "The same as a field."


def test_a_sentence_that_came_with_a_code_is_shown_as_it_is() -> None:
    error = TooLargeError("clip-too-large", size_bytes=1, message="The sentence that the machine made.")
    assert (error.code, error.size_bytes, str(error)) == ("clip-too-large", 1, "The sentence that the machine made.")


# Texts of values and reasons


def test_a_reason_has_neither_the_number_nor_the_path() -> None:
    assert reason_of(FileNotFoundError(2, "No such file or directory", "/nowhere")) == "No such file or directory"
    assert reason_of(ValueError("it is wrong")) == "it is wrong"
    assert reason_of(ValueError()) == "ValueError"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "'text'"),
        (20.0, "20"),
        (20.5, "20.5"),
        (1e300, "1e+300"),
        (None, "null"),
        (True, "true"),
        (math.nan, "NaN"),
        ({"on": [True, None, 2.0, "x"]}, '{"on": [true, null, 2, "x"]}'),
        pytest.param(10**9999, "a number with thousands of digits", id="long"),
        ("\ud800", r"'\ud800'"),
        ("x" * 61, "'" + "x" * 59 + "…"),
    ],
)
def test_a_value_is_quoted_and_shortened(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_a_name_is_quoted_only_if_it_is_long_or_cannot_be_printed() -> None:
    assert shown_name("storage.sizegb") == "storage.sizegb"
    assert shown_name("a\nb") == r"'a\nb'"
    assert len(shown_name("x" * 1000)) < 70


def test_what_cannot_be_printed_is_escaped() -> None:
    assert printable("Kamera Süd 北\n\x1b[31m\ud800") == r"Kamera Süd 北\n\x1b[31m\ud800"


def test_a_lone_surrogate_is_replaced() -> None:
    assert whole_characters("a\ud800b") == "a?b"
    assert whole_characters("Süd 🎥") == "Süd 🎥"


# How the program constructs them


def test_every_error_is_constructed_with_a_constant_code() -> None:
    """A sentence belongs into `videostore.base.sentences`; one of another program is `other` with a `message`."""
    assert len(constructions()) > 100
    assert [f"{one.place} {one.kind.__name__}" for one in constructions() if one.codes is None] == []


def test_every_code_belongs_to_the_class_that_is_constructed() -> None:
    assert [
        f"{one.place} {one.kind.__name__}({code!r})"
        for one in constructions()
        for code in one.codes or ()
        if code != OTHER and one.kind.template(code) is None
    ] == []


def test_every_error_is_given_the_fields_of_its_sentence() -> None:
    assert [text for one in constructions() if (text := missing_fields(one))] == []


def missing_fields(one: Construction) -> str:
    needed = {
        name
        for code in one.codes or ()
        for name in (["message"] if code == OTHER else fields_of(one.kind.template(code) or ""))
    }
    missing = needed - one.fields
    return f"{one.place} {one.codes}: {', '.join(sorted(missing))}" if missing and not one.gives_more else ""


def test_every_sentence_is_constructed_somewhere() -> None:
    used = {code for one in constructions() for code in one.codes or ()}
    assert [code for code in ERRORS if code not in used] == []


def test_what_is_wrong_with_a_construction_is_found(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(
        "RequestError(f'no {thing}')\n"
        "errors.ConfigError('attribute-wrong', attribute='x')\n"
        "FFmpegError('a' if x else 'b', **fields)\n"
        "ValueError('not ours')\n"
        "class OutputError(VideoStoreError):\n"
        "    def __init__(self):\n"
        "        super().__init__('output-failed')\n"
    )
    found = list(constructions_in(path))
    assert [(one.place.rpartition(":")[2], one.kind.__name__, one.codes) for one in found] == [
        ("1", "RequestError", None),
        ("2", "ConfigError", ("attribute-wrong",)),
        ("3", "FFmpegError", ("a", "b")),
        ("7", "OutputError", ("output-failed",)),
    ]
    assert [missing_fields(one).rpartition(": ")[2] for one in found] == ["", "expected, value", "", "reason"]
    assert "OutputError" in kinds()


class OwnError(VideoStoreError):
    """An error of a program that uses the library: with arguments of its own."""

    def __init__(self, moon: str) -> None:
        super().__init__(f"The {moon} moon cannot be recorded.")
        self.moon = moon


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_subclass_with_arguments_of_its_own_is_copied_and_pickled(copied: Callable[[OwnError], OwnError]) -> None:
    error = copied(OwnError("full"))
    assert (type(error), str(error), error.moon) == (OwnError, "The full moon cannot be recorded.", "full")


def test_a_text_that_names_no_code_is_the_sentence() -> None:
    assert str(VideoStoreError("other")) == "other"
    assert str(VideoStoreError()) == ""
    assert repr(RequestError("clip-empty")).startswith("RequestError('clip-empty': The clip is empty")


@pytest.mark.parametrize(
    "url", ["rtsp://admin:secret@cam/1", "rtsp://admin:se/cret@cam/1", f"rtsp://admin:{'secret' * 20}@cam/1"]
)
def test_a_password_in_a_value_is_not_shown(url: str) -> None:
    for value in (url, [url], {"input": url}):
        sentence = str(RequestError("field-wrong", field="input", value=value, expected="a path"))
        assert "cret" not in sentence and "admin" not in sentence and "rtsp://…@" in sentence


def test_a_value_that_cannot_describe_itself_does_not_hide_the_error() -> None:
    class Moody:
        def __repr__(self) -> str:
            raise RuntimeError("not today")

    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (Moody(), nested):
        sentence = str(RequestError("field-wrong", field="tags", value=value, expected="a list of strings"))
        assert sentence.endswith("It must be a list of strings.")
    assert "\x1b" not in str(ConfigError("attribute-wrong", attribute="\x1b[31m", value=1, expected="2"))
