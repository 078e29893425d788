from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from videostore.base.files import make_private_directory
from videostore.storage.opening_error import storage_error


@pytest.mark.parametrize("below", ["", "below/this"])
@pytest.mark.parametrize("kind", ["a file", "a link that leads nowhere"])
def test_what_is_in_the_place_of_a_storage_directory_is_named(tmp_path: Path, kind: str, below: str) -> None:
    path = tmp_path / "door"
    path.write_text("") if kind == "a file" else path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError) as failed:
        make_private_directory(path / below)
    error = storage_error(path / below, failed.value)
    what = "is not a directory" if kind == "a file" else "is a link that leads nowhere"
    assert (error.code, error.fields["reason"]) == ("storage-not-created", f"{path} {what}")
    assert str(error).startswith(f"storage.storage_path {str(path / below)!r} cannot be created: {path} {what}. Name ")
    read = storage_error(path / below, failed.value, read_only=True)
    assert (read.code, read.fields["reason"]) == ("storage-unusable", f"{path} {what}")


def test_a_directory_that_exists_is_named_with_who_has_no_right_or_what_fails(tmp_path: Path) -> None:
    refused = storage_error(tmp_path, PermissionError(errno.EACCES, "Permission denied"))
    assert refused.code == "storage-unusable" and f"no right to do that in {tmp_path}, " in refused.fields["reason"]
    assert storage_error(tmp_path, sqlite3.OperationalError("disk I/O error")).fields["reason"] == "disk I/O error"
