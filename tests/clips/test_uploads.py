from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import START_US, US
from videostore.base.errors import RequestError
from videostore.clips.clip_names import clip_stem, tag_directory
from videostore.clips.uploads import Uploads, progress_path, publish

TIME_US = 1_725_634_833 * US
LOCAL = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(TIME_US // US))
STEM = f"cam_{LOCAL}"


def test_a_clip_is_named_by_camera_local_time_and_metadata() -> None:
    assert clip_stem("cam", TIME_US + 999_999, "") == STEM
    assert clip_stem("cam", TIME_US, "front door") == f"{STEM}_front door"


def test_metadata_may_be_json() -> None:
    metadata = json.dumps({"id": "x-1", "tags": ["a"]})
    assert clip_stem("cam", TIME_US, metadata) == f"{STEM}_{metadata}"


@pytest.mark.parametrize("metadata", ["../../etc/passwd", "a/b\\c", "..\\..\\x", "/", "a\0b", "a\nb\tc", "\x7f\u202e"])
def test_characters_that_a_file_name_cannot_hold_are_replaced(metadata: str) -> None:
    stem = clip_stem("cam", TIME_US, metadata)
    assert not set(stem) & set("/\\\0\n\t\u202e\x7f")
    assert stem.startswith(f"{STEM}_")
    assert len(stem) == len(f"{STEM}_{metadata}")


@given(st.text(alphabet=st.characters(codec=None)), st.text(max_size=200))
def test_any_metadata_makes_a_name_that_file_systems_accept(metadata: str, name: str) -> None:
    stem = clip_stem(name, TIME_US, metadata)
    longest = progress_path(Path(f"{stem}-99999.mp4")).name.encode()
    assert len(longest) <= 255
    assert b"/" not in longest and b"\0" not in longest


def test_long_metadata_is_shortened_between_characters() -> None:
    stem = clip_stem("cam", TIME_US, "é🚪" * 5000)
    assert 200 < len(stem.encode()) <= 240
    assert stem.rstrip("é🚪") == f"{STEM}_"


def test_tags_become_sorted_directories_each_once() -> None:
    assert tag_directory(["night", "alarm", "night"]) == Path("tag=alarm/tag=night")
    assert tag_directory([]) == Path()
    assert tag_directory(["..hidden", "a=b", "é 🚪"]) == Path("tag=..hidden/tag=a=b/tag=é 🚪")


@pytest.mark.parametrize(
    "tag", ["", "a/b", "..", ".", "/", "..\\x", "a\0", "a\n", "x" * 252, "é" * 126, 7, None, ["a"], {}]
)
def test_a_tag_that_cannot_be_a_directory_is_refused(tag: object) -> None:
    with pytest.raises(RequestError) as error:
        tag_directory(["good", tag])
    assert str(error.value).startswith("tags[1] is ")
    assert "\n" not in str(error.value)
    assert (error.value.code, error.value.field, error.value.value) == ("tag-wrong", "tags", tag)


async def test_too_many_tags_are_refused(tmp_path: Path) -> None:
    tags = tag_directory([f"{n:0200}" for n in range(30)])
    with pytest.raises(RequestError, match="too long together"):
        async with Uploads(tmp_path, "cam").reserve_path(START_US, "", tags):
            pass


async def test_every_reserved_name_is_unique_whatever_the_tags_are(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, "cam")
    stem = clip_stem("cam", START_US, "x")
    (tmp_path / f"{stem}.mp4").write_bytes(b"old")
    async with uploads.reserve_path(START_US, "x", Path()) as one, uploads.reserve_path(START_US, "x", Path()) as two:
        assert [one.name, two.name] == [f"{stem}-2.mp4", f"{stem}-3.mp4"]
        async with uploads.reserve_path(START_US, "x", Path("tag=x")) as three:
            assert three == tmp_path / "tag=x" / f"{stem}.mp4"
            async with uploads.reserve_path(START_US, "x", Path("tag=y")) as four:
                assert four == tmp_path / "tag=y" / f"{stem}-4.mp4"
    async with uploads.reserve_path(START_US, "x", Path()) as again:
        assert again.name == f"{stem}-2.mp4"


def test_a_clip_has_a_name_that_is_not_uploaded_until_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    one, two = progress_path(path), progress_path(path)
    assert one != two
    assert one.suffix == ".prog"
    one.write_bytes(b"whole")
    publish(one, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == b"whole"


def test_partial_clips_of_earlier_processes_are_removed_and_complete_ones_stay(tmp_path: Path) -> None:
    tagged = tmp_path / "tag=a" / "tag=b"
    tagged.mkdir(parents=True)
    stem = clip_stem("cam", START_US, "x\ny")
    for directory in (tmp_path, tagged):
        progress_path(directory / f"{stem}.mp4").write_bytes(b"half")
        (directory / f"{stem}.mp4").write_bytes(b"whole")
    foreign = [
        progress_path(tmp_path / f"{clip_stem('cam_2', START_US, '')}.mp4"),  # another component's
        tmp_path / "cam_capture.prog",  # the data manager's
    ]
    for path in foreign:
        path.write_bytes(b"half")
    Uploads(tmp_path, "cam").sweep()
    left = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*foreign, tmp_path / f"{stem}.mp4", tagged / f"{stem}.mp4"}


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_overwritten_only_on_request(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "clip.mp4"
    path.write_text("evidence")
    progress = progress_path(path)
    progress.write_text("whole")
    with pytest.raises(RequestError, match=r"The file .* exists\."):
        publish(progress, path, overwrite=False)
    assert path.read_text() == "evidence"
    path.unlink()
    publish(progress, path, overwrite=False)
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        publish(progress, tmp_path / "other.mp4", overwrite=False)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("tags", ["person", b"person", 5, None])
def test_tags_that_are_not_a_list_are_refused_and_not_taken_letter_by_letter(tags: Any) -> None:
    with pytest.raises(RequestError, match=r"'tags' is .*\. It must be a list of strings") as refused:
        tag_directory(tags)
    assert (refused.value.code, refused.value.field) == ("field-wrong", "tags")
