"""The tables of sentences, without the classes that use them."""

from __future__ import annotations

import re
from collections import Counter

from tests.support.error_sources import fields_of, tables
from videostore.base import errors, sentences
from videostore.base.errors import VideoStoreError, error_classes

TEMPLATES = {code: text for table in tables().values() for code, text in table.items()}


def test_no_code_is_in_two_tables_and_every_code_is_written_alike() -> None:
    counts = Counter(code for table in tables().values() for code in table)
    assert [code for code, count in counts.items() if count > 1] == []
    assert [code for code in counts if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)] == []
    assert sentences.OTHER not in counts


def test_every_table_belongs_to_a_class() -> None:
    used = [kind.sentences for kind in error_classes() if kind.__module__ == errors.__name__]
    parts = (
        *(sentences.REQUEST, sentences.COMMAND_LINE, sentences.REMOTE_REQUEST),
        *(sentences.WEB_REQUEST, sentences.ACCESS),
    )
    assert {code: text for part in parts for code, text in part.items()} == sentences.ANY_REQUEST
    for name, table in tables().items():
        assert any(table is one or table.items() <= one.items() for one in used), name


def test_a_sentence_begins_with_a_capital_or_a_field_and_ends_with_a_full_stop() -> None:
    assert len(TEMPLATES) > 200
    for text in TEMPLATES.values():
        assert re.match(r"[A-Z{'\-]|ff(mpeg|play) |parsing time |tags\[", text), text
        assert text.endswith((".", "?")) and "  " not in text, text
        assert not re.search("[«»„“”‘’…]", text), text
        assert not re.search(r"\b(anew|nobody|somebody|whoever)\b", text), text


def test_no_field_of_a_sentence_bears_the_name_of_a_method() -> None:
    for code, text in TEMPLATES.items():
        assert not {name for name in fields_of(text) if callable(getattr(VideoStoreError, name, None))}, code
        assert not {"code", "fields", "message", "sentences"} & fields_of(text).keys(), code
