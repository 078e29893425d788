"""docs/reference/errors.md is what the code says: classes, fields, statuses, codes, sentences; and all is explained."""

from __future__ import annotations

import re

import pytest

from scripts.error_reference import classes, problems, refresh
from tests.support.documents import page, quoted, rows_below, section
from tests.support.statements import package_statements
from videostore.base.errors import VideoStoreError

UNCODED = "Without a code"


@pytest.fixture(scope="module")
def text() -> str:
    return page("reference/errors")


def test_the_page_is_up_to_date(text: str) -> None:
    assert refresh(text) == text, "run python -m scripts.error_reference"
    assert problems(text) == []


def test_every_code_belongs_to_one_class_and_stands_in_one_row(text: str) -> None:
    codes = [row[0].strip("`") for row in rows_below(text, "code")]
    assert len(codes) == len(set(codes))
    tables = {id(kind.sentences): kind.sentences for kind in classes().values()}
    assert sorted(codes) == sorted(code for table in tables.values() for code in table)


def test_no_explanation_is_an_empty_phrase(text: str) -> None:
    assert [row[0] for row in rows_below(text, "code") if len(row[-1].split()) < 4] == []


def test_refusals_without_a_code_are_those_of_the_code(text: str) -> None:
    told = {quoted(row[0])[0] for row in rows_below(section(text, f"## {UNCODED}"), "error")}
    assert told == package_statements().refusals


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"the storage is empty\.", "the storage holds nothing."),
        (r"^\| `clip-failed` .*\n", ""),
        (r"^\| `longest_s` .*\n", ""),
        (r"(?<=^gRPC status: )`DATA_LOSS`", "`INTERNAL`"),
        (r"(?=^\| `clip-failed` )", "| `moon-full` | `The moon is full.` | | Wait. |\n"),
    ],
)
def test_a_page_that_is_out_of_date_is_noticed_and_corrected(old: str, new: str, text: str) -> None:
    changed = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    assert changed != text and refresh(changed) != changed
    explained = {row[0]: row[-1] for row in rows_below(refresh(changed), "code")}
    assert explained.keys() == {row[0] for row in rows_below(text, "code")}


def test_a_new_code_gets_a_row_and_wants_an_explanation(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VideoStoreError, "sentences", {**VideoStoreError.sentences, "moon": "The {moon} is full."})
    changed = refresh(text)
    assert "| `moon` | `The … is full.` | `moon` |  |\n" in changed
    assert problems(changed) == ["VideoStoreError: moon is not explained."]


def test_a_class_without_a_section_is_noticed(text: str) -> None:
    (found,) = problems(text.replace("## NoRoomError", "## NoSpaceError"))
    assert "NoRoomError" in found
