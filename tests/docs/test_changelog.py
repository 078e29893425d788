"""CHANGELOG.md: the successors that it names for names that are gone exist."""

from __future__ import annotations

import importlib

import videostore
from tests.support.checkout import ROOT
from tests.support.documents import quoted, rows_below, section

TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def find(dotted: str) -> object:
    """A module, or a name in one, by its dotted path; a bare class is one of the package's."""
    if not dotted.startswith("videostore"):
        dotted = f"videostore.{dotted}"
    found: object = importlib.import_module("videostore")
    for at, name in enumerate(dotted.split(".")[1:], start=1):
        if not hasattr(found, name):
            found = importlib.import_module(".".join(dotted.split(".")[: at + 1]))
        else:
            found = getattr(found, name)
    return found


def test_every_successor_exists() -> None:
    rows = [*rows_below(TEXT, "0.1.0"), *rows_below(TEXT, "module in 0.1.0")]
    successors = [name for row in rows for name in quoted(row[1])]
    assert len(rows) > 10
    for name in successors:
        assert find(name) is not None


def test_the_version_is_the_latest_that_was_released() -> None:
    assert f"## [{videostore.__version__}]" in TEXT
    assert section(TEXT, "## [Unreleased]").strip()
