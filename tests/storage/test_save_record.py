from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

import pytest

from tests.support.recording import US
from videostore.base.ranges import DamagedRange, Range
from videostore.storage.save_record import SaveJob, SaveStatus

SAVE = SaveJob("cam_1.mp4", "tag=a/b", 10 * US, 20 * US, '{"why": "test"}', 30 * US)


def test_the_path_of_a_clip_is_below_the_directory_of_its_save() -> None:
    assert SAVE.relative_path == PurePath("tag=a/b/cam_1.mp4")
    assert replace(SAVE, directory="").relative_path == PurePath("cam_1.mp4")


@pytest.mark.parametrize("ranges", [None, (), (Range(10 * US, 11 * US), Range(12 * US, 20 * US))])
@pytest.mark.parametrize("damaged", [(), (DamagedRange(10 * US, 11 * US, "packets-lost"),)])
@pytest.mark.parametrize("status", SaveStatus)
@pytest.mark.parametrize("waits", [False, True])
def test_a_save_is_read_from_its_row_as_it_was_stored(
    waits: bool, status: SaveStatus, ranges: tuple[Range, ...] | None, damaged: tuple[DamagedRange, ...]
) -> None:
    save = replace(SAVE, status=status, reason="no room", ranges=ranges, container="fmp4", damaged=damaged, waits=waits)
    row = (
        save.file_name,
        save.directory,
        save.from_us,
        save.to_us,
        save.metadata,
        save.accepted_us,
        save.status.value,
        save.reason,
        save.ranges_text,
        save.container,
        save.damaged_text,
        int(save.waits),
    )
    assert SaveJob.from_row(row) == save


def test_ranges_are_stored_as_a_json_list() -> None:
    assert SAVE.ranges_text is None
    assert replace(SAVE, ranges=(Range(1, 2), Range(3, 4))).ranges_text == "[[1, 2], [3, 4]]"


@pytest.mark.parametrize("metadata", ["", "x\ny\0", "ä" * 8192, "\udc80"])
def test_a_pending_save_is_read_from_its_identity(metadata: str) -> None:
    save = replace(SAVE, metadata=metadata, container="fmp4")
    assert SaveJob.from_identity(save.file_name, save.identity) == save
    assert "\n" not in save.identity
    assert replace(SAVE, accepted_us=31 * US).identity != SAVE.identity
    assert SaveJob.from_identity(save.file_name, replace(save, waits=True).identity) == replace(save, waits=True)


@pytest.mark.parametrize(
    "identity",
    [
        "",
        "1 2 3 tag=a",
        "[]",
        "{}",
        "[" * 100_000,
        SAVE.identity.replace("tag=a/b", "../elsewhere"),
        SAVE.identity.replace("tag=a/b", "/etc"),
        SAVE.identity.replace(str(20 * US), str(10 * US)),
        SAVE.identity.replace(str(20 * US), "true"),
    ],
)
def test_what_is_no_identity_is_no_save(identity: str) -> None:
    assert SaveJob.from_identity("cam_1.mp4", identity) is None
