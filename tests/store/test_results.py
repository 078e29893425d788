"""What requests of a real store return."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.recording import US
from videostore import ExportedClip, FetchedClip, Health, SavedClip, StorageState, VideoStore


@pytest.fixture
async def store(recording: Path, tmp_path: Path) -> AsyncIterator[VideoStore]:
    """A read-only store over a copy of the recording of 7 s."""
    async with VideoStore.open(shutil.copytree(recording, tmp_path / "storage")) as store:
        yield store


async def test_results_cannot_be_changed(store: VideoStore, times: list[int], tmp_path: Path) -> None:
    results: list[StorageState | Health | FetchedClip | ExportedClip | SavedClip] = [
        await store.state(),
        store.health(),
        await store.fetch(times[3], times[9]),
        await store.export(times[3], times[9], tmp_path / "clip.mp4"),
        await store.save(times[3], times[9]),
    ]
    for result in results:
        for field in dataclasses.fields(result):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(result, field.name, None)


async def test_clips_name_what_they_hold_only_if_something_is_missing(
    store: VideoStore, times: list[int], tmp_path: Path
) -> None:
    for from_us, complete in [(times[3], True), (times[0] - 10 * US, False)]:
        for clip in (
            await store.fetch(from_us, times[9]),
            await store.export(from_us, times[9], tmp_path / f"{complete}.mp4"),
            await store.save(from_us, times[9]),
        ):
            assert (clip.ranges is None) is complete
            if clip.ranges is not None:
                assert [(one.from_us, one.to_us) for one in clip.ranges] == [(times[0], times[9])]


async def test_state_and_health_agree_with_the_files(store: VideoStore, times: list[int]) -> None:
    state, health = await store.state(), store.health()
    paths = list(state.storage_path.glob("*.mp4"))
    assert state.used_bytes == health.stored_bytes == sum(path.stat().st_size for path in paths)
    assert health.segments == len(paths)
    (held,) = state.ranges
    assert held.from_us == times[0]  # the end of each segment's last frame is a guess
    assert health.stored_seconds == pytest.approx((held.to_us - held.from_us) / US, abs=0.1 * len(paths))
    assert state.limit_bytes is None and health.recorder is None  # another process records
    assert (health.pending_saves, health.failed_saves, health.unindexed_segments) == (0, [], 0)
    assert health.storage_trouble is None and health.index_trouble is None
