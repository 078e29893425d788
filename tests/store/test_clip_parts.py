from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import Stores

SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from videostore import NothingStoredError
from videostore.config import StorageConfig
from videostore.store.store import VideoStore

async def main():
    loaded, root = [], Path(sys.argv[1])
    config = StorageConfig(1.0, root / "storage", root / "upload", 30.0)
    async with VideoStore("cam", config) as store:
        await store.state()
        loaded.append("videostore.clips.cutter" in sys.modules)
        try:
            await store.fetch("2024-09-06T15:00:00Z", "2024-09-06T15:00:10Z")
        except NothingStoredError:
            loaded.append("videostore.clips.cutter" in sys.modules)
    print(json.dumps(loaded))

asyncio.run(main())
"""


async def test_what_makes_clips_is_loaded_with_the_first_request_for_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == [False, True]


async def test_the_first_two_requests_may_come_at_once(stores: Stores, recording: Path, times: list[int]) -> None:
    store = await stores.over(recording)
    clips = await asyncio.gather(*(store.fetch(times[0], times[30]) for _ in range(2)))
    for clip in clips:
        assert check_clip(read_clip(clip.data), times, times[0], times[30]).flawless
    assert store._clips is store._clips
