from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.recording import START_US, US
from videostore.base.system import LINUX
from videostore.clips.segment_links import SegmentLinks
from videostore.media.segment import Segment

pytestmark = pytest.mark.skipif(not LINUX, reason="other systems have no names for open files")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """A limit of open files that is slightly above the number of files that are open."""
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
def test_a_linked_segment_can_be_read_until_the_end_although_it_is_deleted(
    tmp_path: Path, work: Path, read_only: bool
) -> None:
    directory, before = tmp_path / "here", descriptors()
    all_of_them = segments(directory, 5)
    with SegmentLinks(directory, work, read_only=read_only) as links:
        for _ in range(2):  # the second time replaces the first
            linked = links.link(all_of_them)
        assert {(directory / s.file_name).stat().st_nlink for s in all_of_them} == {1 if read_only else 2}
        for segment in all_of_them:
            (directory / segment.file_name).unlink()
        assert [path.read_text() for _, path in linked] == [path.name for _, path in linked]
    assert descriptors() == before


def test_a_thread_that_comes_too_late_links_nothing(tmp_path: Path, work: Path) -> None:
    directory, before = tmp_path / "here", descriptors()
    found = segments(directory, 3)
    for read_only in (True, False):
        with SegmentLinks(directory, work, read_only=read_only) as links:
            pass
        assert [path.parent for _, path in links.link(found)] == [directory] * 3
    assert descriptors() == before and not list(work.iterdir())


def test_for_many_segments_the_limit_of_open_files_is_raised(tmp_path: Path, work: Path, few_descriptors: int) -> None:
    found = segments(tmp_path / "here", few_descriptors)
    with SegmentLinks(tmp_path / "here", work, read_only=True) as links:
        assert {path.parent for _, path in links.link(found)} == {work}


def test_if_the_limit_cannot_be_raised_the_oldest_are_linked_and_some_files_can_still_be_opened(
    tmp_path: Path, work: Path, few_descriptors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = segments(tmp_path / "here", 40)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (few_descriptors, few_descriptors))
    with SegmentLinks(tmp_path / "here", work, read_only=True) as links:
        held = [path.parent == work for _, path in links.link(found)]
        assert held == sorted(held, reverse=True) and 5 <= sum(held) <= 11
        assert few_descriptors - descriptors() >= 250


def test_a_segment_that_does_not_exist_keeps_its_own_name(tmp_path: Path, work: Path) -> None:
    found = segments(tmp_path / "here", 2)
    (tmp_path / "here" / found[0].file_name).unlink()
    with SegmentLinks(tmp_path / "here", work, read_only=True) as links:
        assert [path.parent for _, path in links.link(found)] == [tmp_path / "here", work]


@pytest.mark.parametrize("symbolic", [True, False])
def test_an_open_segment_stays_readable_although_it_is_renamed_where_there_are_no_hard_links(
    tmp_path: Path, work: Path, symbolic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed ones keep their own names there, because those stay."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    if not symbolic:
        monkeypatch.setattr(os, "symlink", refuse)
    before, found = descriptors(), segments(tmp_path / "here", 2)
    opened = tmp_path / "here" / "1-000000.open"
    opened.write_text("open")
    with SegmentLinks(tmp_path / "here", work, read_only=False) as links:
        (_, name), *closed = links.link(found, [(replace(found[0], file_name=opened.name), opened)])
        opened.rename(tmp_path / "here" / "1725000009.mp4")
        assert name.read_text() == "open" and [path.parent for _, path in closed] == [tmp_path / "here"] * 2
    assert descriptors() == before
