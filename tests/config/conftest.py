"""A home directory in which nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Its path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path
