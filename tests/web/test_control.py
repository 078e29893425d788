"""What the module and its server tell each other survives the way, and nothing else is understood."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostore.config import WebConfig
from videostore.web.control import SERVE, read_log, read_message, read_serve, write_log, write_message, write_serve


@pytest.mark.parametrize(
    "web",
    [
        WebConfig("127.0.0.1", 8600),
        WebConfig("0.0.0.0", 1, Path("/etc/pässword"), hosts=("a.example", "::1")),
        WebConfig("::", 65535, password_env="DOOR_PASSWORD"),
    ],
)
def test_a_config_arrives_as_it_was_sent(web: WebConfig) -> None:
    message = read_message(write_serve(web))
    assert message is not None and message.kind == SERVE and read_serve(message.fields) == web


def test_the_password_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "a secret word")
    assert b"a secret word" not in write_serve(WebConfig("::", 1, password_env="DOOR_PASSWORD"))


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_a_message_is_one_line_whatever_it_says(name: str, status: dict[str, str]) -> None:
    line = write_message("status", name=name, of=status)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    message = read_message(line)
    assert message is not None and message.fields == {"name": name, "of": status}


@given(st.binary())
def test_other_lines_are_no_message(line: bytes) -> None:
    message = read_message(line)
    assert message is None or isinstance(message.kind, str)


def test_a_line_of_the_log_keeps_its_level() -> None:
    record = logging.LogRecord("videostore.web", logging.WARNING, __file__, 1, "two\nlines", (), None)
    assert read_log(write_log(record, record.getMessage())) == (logging.WARNING, "two lines")
    assert read_log("Traceback (most recent call last):") == (logging.ERROR, "Traceback (most recent call last):")
    assert read_log("99999 bottles") == (logging.ERROR, "99999 bottles")
