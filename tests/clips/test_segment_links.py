from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recording import START_US, US
from videostore.base.system import LINUX
from videostore.clips.segment_links import SegmentLinks
from videostore.media.segment import Segment

pytestmark = pytest.mark.skipif(not LINUX, reason="other systems have no names for what is open")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """A process that may have but so many files open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = len(os.listdir("/proc/self/fd")) + 256 + 10
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def segments(directory: Path, count: int) -> list[Segment]:
    directory.mkdir()
    found = []
    for number in range(count):
        name = f"{1_725_000_000 + number}.mp4"
        (directory / name).write_text(name)
        start_us = START_US + number * US
        found.append(Segment(name, start_us, start_us + US, len(name), 160, 144, "h264", run_us=1))
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_pinned_is_read_although_it_is_deleted_until_the_end(
    tmp_path: Path, work: Path, read_only: bool
) -> None:
    directory, before = tmp_path / "here", descriptors()
    all_of_them = segments(directory, 5)
    with SegmentLinks(directory, work, read_only=read_only) as pins:
        for _ in range(2):  # looked for again
            pinned = pins.pin(all_of_them)
        assert {(directory / s.file_name).stat().st_nlink for s in all_of_them} == {1 if read_only else 2}
        for segment in all_of_them:
            (directory / segment.file_name).unlink()
        assert [path.read_text() for _, path in pinned] == [path.name for _, path in pinned]
    assert descriptors() == before


def test_nothing_is_pinned_by_a_thread_that_comes_too_late(tmp_path: Path, work: Path) -> None:
    directory, before = tmp_path / "here", descriptors()
    found = segments(directory, 3)
    for read_only in (True, False):
        with SegmentLinks(directory, work, read_only=read_only) as pins:
            pass
        assert [path.parent for _, path in pins.pin(found)] == [directory] * 3
    assert descriptors() == before and not list(work.iterdir())


def test_for_many_segments_more_files_may_be_open(tmp_path: Path, work: Path, few_descriptors: int) -> None:
    found = segments(tmp_path / "here", few_descriptors)
    with SegmentLinks(tmp_path / "here", work, read_only=True) as pins:
        assert {path.parent for _, path in pins.pin(found)} == {work}


def test_where_that_is_not_allowed_the_oldest_are_pinned_and_there_is_room_for_others(
    tmp_path: Path, work: Path, few_descriptors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = segments(tmp_path / "here", 40)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (few_descriptors, few_descriptors))
    with SegmentLinks(tmp_path / "here", work, read_only=True) as pins:
        held = [path.parent == work for _, path in pins.pin(found)]
        assert held == sorted(held, reverse=True) and 5 <= sum(held) <= 11
        assert few_descriptors - descriptors() >= 250


def test_a_segment_that_is_gone_keeps_its_own_name(tmp_path: Path, work: Path) -> None:
    found = segments(tmp_path / "here", 2)
    (tmp_path / "here" / found[0].file_name).unlink()
    with SegmentLinks(tmp_path / "here", work, read_only=True) as pins:
        assert [path.parent for _, path in pins.pin(found)] == [tmp_path / "here", work]
