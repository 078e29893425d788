"""Invariant 4: every frame of a clip was captured inside [from, to), and no stored frame of that range is missing."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import some
from tests.support.clocked_recording import StartClocked
from tests.support.disturbances import kill_recording, lose_index
from tests.support.recording import SMALL, START_US, US, until
from tests.support.watching import closed_segments
from videostore.base.errors import NothingStoredError
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.store.store import VideoStore


def stored_frames(storage: Path) -> list[int]:
    """Capture times as painted in the images of all files, independent of the index and of MP4 boxes."""
    frames = []
    for path in [*storage.glob("*.mp4"), *storage.glob("*.open")]:
        frames += [frame.captured_us for _, frame in read_clip(path) if frame]
    return sorted(frames)


def whole_frames(storage: Path) -> set[int]:
    """Capture times of the frames in whole fragments by now, in open and closed segments."""
    frames: set[int] = set()
    for path in [*storage.glob("*.open"), *storage.glob("*.mp4")]:
        with contextlib.suppress(FileNotFoundError, NotOursError):
            frames.update(read_fragments(path).times_us)
    return frames


async def check_clip(store: VideoStore, stored: list[int], range_us: tuple[int, int], kind: str) -> None:
    from_us, to_us = range_us
    expected = [t for t in stored if from_us <= t < to_us]
    try:
        clip = await store.fetch(from_us, to_us, container=kind)
    except NothingStoredError:
        assert expected == []
        return
    shown = [frame.captured_us if frame else 0 for _, frame in read_clip(clip.data, [SMALL])]
    assert sorted(shown) == expected, (
        f"{kind} [{from_us - START_US}, {to_us - START_US}): {[t - START_US for t in expected if t not in shown]} are "
        f"missing, {[t - START_US for t in shown if t not in expected]} do not belong there"
    )


@some("seed", [4, 5], 1)
async def test_a_clip_shows_every_stored_frame_of_its_range_and_no_other(
    start_clocked: StartClocked,
    seed: int,
) -> None:
    """Over gaps, clock steps in both directions, killed ffmpegs, deleted segments and a lost index."""
    dice = random.Random(seed)
    clocked = await start_clocked()
    storage = clocked.stores.storage
    for event in dice.sample(["gap", "kill", "delete", "index", "back", "back a little", "ahead", "nothing"], 8):
        times = await clocked.record(dice.uniform(1.5, 4))
        from_us, to_us = times[dice.randrange(5)], clocked.clock.wall
        sure = {t for t in whole_frames(storage) if from_us <= t < to_us}
        if sure:
            clip = await clocked.store.fetch(from_us, to_us)
            live = [frame.captured_us if frame else 0 for _, frame in read_clip(clip.data)]
            assert len(live) == len(set(live)) and sure <= set(live) and all(from_us <= t < to_us for t in live), event
        if event == "kill":
            kill_recording()
            await until(lambda: clocked.store._run is None)
            clocked.clock.advance(40)  # past the pause before the next attempt
        elif event == "delete" and closed_segments(storage):
            dice.choice(closed_segments(storage)).unlink()
        elif event == "index":
            lose_index(storage, dice)
        else:
            clocked.step({"back": -dice.uniform(1, 5), "back a little": -0.15, "ahead": 7}.get(event, 0))
        if event == "gap":
            await clocked.pause_unchecked()
            clocked.clock.advance(dice.uniform(1, 20))
    await clocked.pause_unchecked()
    clocked.clock.advance(3600)
    await clocked.stores.close()
    store = await clocked.stores.open(clock=clocked.clock)
    await until(lambda: store._archive.reconciled.is_set())
    stored = stored_frames(storage)
    assert len(stored) > 100
    edges = [*(t + d for t in stored for d in (0, 0, 1, -1)), stored[0] - US, stored[-1] + US]
    for number in range(24):
        from_us = dice.choice(edges)
        to_us = from_us + 1 + round(dice.choice([0, 0.3, 1.2, 5, 30]) * US * dice.random())
        await check_clip(store, stored, (from_us, to_us), "fmp4" if number % 3 == 0 else "mp4")
    await check_clip(store, stored, (stored[0], stored[-1] + 1), "mp4")
