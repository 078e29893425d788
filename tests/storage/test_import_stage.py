from __future__ import annotations

from pathlib import Path

from videostore.storage.import_stage import STAGE, clear_import


def test_nothing_but_what_an_import_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / STAGE / "deep").mkdir(parents=True)
    (tmp_path / STAGE / "deep" / "1.mp4").touch()
    (tmp_path / "1725634833.mp4").touch()
    clear_import(tmp_path)
    clear_import(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1725634833.mp4"]


def test_a_link_leads_nowhere_else(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (tmp_path / STAGE).symlink_to(elsewhere)
    clear_import(tmp_path)
    assert (elsewhere / "kept").exists()
