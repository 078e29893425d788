from __future__ import annotations

import os
from pathlib import Path

import pytest

from videostore.store.reading import absolute_path


def test_a_path_means_what_a_shell_would_take_it_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert absolute_path("door") == tmp_path / "door"
    assert absolute_path("~/door") == tmp_path / "home" / "door"
    assert absolute_path(os.fsencode(tmp_path)) == tmp_path
