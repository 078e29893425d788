from __future__ import annotations

import math
from typing import Any

import pytest

from videostore.base.json_text import json_text, kind_word


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((True, "true"), (None, "null"), (20.0, "20"), (0.5, "0.5"), (1e300, "1e+300"), (math.nan, "NaN")),
        *((-math.inf, "-Infinity"), ([1.0, "ü", None], '[1, "ü", null]'), ({"on": {"a": 2.0}}, '{"on": {"a": 2}}')),
        *((b"x", "b'x'"), ((1, False), "[1, false]"), ([b"x"], "[\"b'x'\"]")),
    ],
)
def test_a_value_is_written_as_its_owner_wrote_it(value: object, text: str) -> None:
    assert json_text(value) == text


def test_what_cannot_be_written_has_a_kind() -> None:
    itself: list[Any] = []
    itself.append(itself)
    with pytest.raises(RecursionError):
        json_text(itself)
    assert (kind_word(itself), kind_word({}), kind_word(5)) == ("a list", "an object", "a int")
