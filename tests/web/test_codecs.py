from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.recording import H264, H265, LOGGER, START_US, US, capture_times, record, take_over
from videostore.media.codec_names import CodecNames, read_codec_names
from videostore.store.store import VideoStore
from videostore.web import codecs
from videostore.web.codecs import Codecs


async def named(directory: Path, naming: Codecs | None = None) -> str:
    async with VideoStore.open(directory, logger=LOGGER) as store:
        return await (naming or Codecs()).of(await store._viewing.segments(0))


async def recorded(directory: Path, *sizes: tuple[int, int]) -> Path:
    for number, size in enumerate(sizes):
        await record(directory, capture_times(1, START_US + 10 * number * US), size=size, encoder=H264)
    await take_over(directory)
    return directory


async def test_one_name_stands_for_all_and_asks_most(tmp_path: Path) -> None:
    small, large = await recorded(tmp_path / "small", (320, 180)), await recorded(tmp_path / "large", (1280, 720))
    both = await recorded(tmp_path / "both", (1280, 720), (320, 180))
    assert (await named(small), await named(large)) == ("avc1.42c014", "avc1.42c01f")
    assert await named(both) == await named(large)


async def test_several_codecs_have_no_name_that_fits(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(1), encoder=H264)
    await record(tmp_path, capture_times(1, START_US + 10 * US), encoder=H265)
    await take_over(tmp_path)
    assert await named(tmp_path) == ""


async def test_nothing_stored_has_no_name(tmp_path: Path) -> None:
    assert await Codecs().of([]) == ""


async def test_a_file_that_is_gone_is_left_out_and_read_when_it_is_back(tmp_path: Path) -> None:
    both = await recorded(tmp_path / "both", (1280, 720), (320, 180))
    naming = Codecs()
    async with VideoStore.open(both, logger=LOGGER) as store:
        segments = await store._viewing.segments(0)
        large = segments[0].path
        shutil.move(large, tmp_path / "away.mp4")
        assert await naming.of(segments) == "avc1.42c014"
        shutil.move(tmp_path / "away.mp4", large)
        assert await naming.of(segments) == "avc1.42c01f"


async def test_one_file_of_each_run_is_read_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await record(tmp_path, capture_times(4), encoder=H264, segment_seconds=1)
    await record(tmp_path, capture_times(2, START_US + 10 * US), encoder=H264, segment_seconds=1)
    await take_over(tmp_path)
    assert len(list(tmp_path.glob("*.mp4"))) > 4
    read: list[Path] = []

    def noted(path: Path) -> CodecNames:
        read.append(path)
        return read_codec_names(path)

    monkeypatch.setattr(codecs, "read_codec_names", noted)
    naming = Codecs()
    names = {await named(tmp_path, naming) for _ in range(3)}
    assert len(read) == 2 and len(names) == 1


async def test_of_more_runs_than_can_be_read_the_newest_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = await recorded(tmp_path / "both", (1280, 720), (320, 180))
    monkeypatch.setattr(codecs, "_MOST_KINDS", 1)
    assert await named(both) == "avc1.42c014"
