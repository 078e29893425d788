from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from videostore.clips.reservations import Reservation, find, owner_of, release, reserve

MINE, OTHER = Reservation("1 2 3 tag=ä", owner_of(Path("/storage"))), Reservation("4 5 6", owner_of(None))


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("lasting", [True, False])
def test_a_name_is_reserved_once_and_tells_for_whom(
    tmp_path: Path, links: bool, lasting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    assert find(tmp_path, "clip.mp4") is None
    assert reserve(tmp_path, "clip.mp4", MINE, lasting=lasting)
    assert not reserve(tmp_path, "clip.mp4", OTHER, lasting=lasting)
    assert find(tmp_path, "clip.mp4") == MINE
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4.reserved.prog"]
    release(tmp_path, "clip.mp4")
    release(tmp_path, "clip.mp4")
    assert reserve(tmp_path, "clip.mp4", OTHER, lasting=lasting) and find(tmp_path, "clip.mp4") == OTHER


def test_only_a_reader_that_has_ended_has_ended() -> None:
    assert not MINE.ended and not OTHER.ended and not Reservation("", "").ended
    assert Reservation("1", "reader 4194999").ended


def test_what_is_no_reservation_keeps_its_name_from_being_given_away(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4.reserved.prog"
    path.symlink_to(tmp_path / "elsewhere")
    assert find(tmp_path, "clip.mp4") == Reservation("", "") and not reserve(tmp_path, "clip.mp4", MINE)
    path.unlink()
    path.mkdir()
    assert find(tmp_path, "clip.mp4") is not None and not reserve(tmp_path, "clip.mp4", MINE)
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reserve(tmp_path / "upload", "clip.mp4", MINE)
    assert not (tmp_path / "upload").exists()


def test_where_the_directory_cannot_be_read_no_name_is_reserved(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert find(tmp_path / "file", "clip.mp4") is None
