from __future__ import annotations

import logging

import pytest

from videostore.cli.error_lines import errors_told

LOGGER = logging.getLogger("videostore.web")


def fail(reason: str) -> None:
    try:
        raise ValueError(reason)
    except ValueError:
        LOGGER.exception("A request failed unexpectedly.")


def test_an_error_is_one_line_without_a_traceback_and_its_repetitions_are_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with errors_told(verbose=False):
        for number in range(50):
            fail(f"frame {number}\nis\x1b[31m odd")
        fail("y" * 5000)
        LOGGER.warning("nothing that matters")
    LOGGER.error("behind it")
    line, long = capsys.readouterr().err.splitlines()
    assert line.startswith("videostore: 20") and " A request failed unexpectedly: ValueError: frame 0 is" in line
    assert "\x1b" not in line and len(long) < 700


def test_wrong_passwords_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with errors_told(verbose=False):
        for _ in range(5):
            logging.getLogger("videostore.web.guard").warning("A wrong password came from %s.", "192.0.2.7")
        logging.getLogger("videostore.web.guard").error("A request failed.")
    password, error = capsys.readouterr().err.splitlines()
    assert password.endswith(" A wrong password came from 192.0.2.7.")
    assert "A request failed" in error


def test_where_the_log_is_shown_nothing_is_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    with errors_told(verbose=True):
        fail("odd")
    assert capsys.readouterr().err == ""
