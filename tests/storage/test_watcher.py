"""The watcher, and what becomes of the recording when its events do not come."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.checkout import ROOT
from tests.support.recording import LOGGER, Pulse, Stores, until, write_foreign
from videostore.media.fmp4 import read_fragments
from videostore.storage.watcher import Change, Watcher

FOREIGN = "1725634833.mp4"
_TICK_S = 2.0
_RECORD = """
import asyncio, json, logging, sys
from pathlib import Path
import videostore.storage.maintenance
from tests.support.recording import Pulse, Stores

videostore.storage.maintenance.RESCAN_INTERVAL_S = 1.0


async def tell(stores, pulse, store):
    known = [segment.file_name for segment in await store._archive.index.oldest(1000)]
    print(json.dumps({"known": known, "delivered": pulse.delivered}), flush=True)


async def main():
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    stores, pulse = Stores(Path(sys.argv[1])), Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    asking = asyncio.get_running_loop()
    while (line := await asking.run_in_executor(None, sys.stdin.readline)).strip() == "tell":
        await tell(stores, pulse, store)
    pulse.stopped = True
    await stores.close()
    health = store.health()
    print(json.dumps({"restarts": health.recorder.ffmpeg_restarts, "delivered": pulse.delivered}), flush=True)


asyncio.run(main())
"""


class Recording:
    """A store in a process of its own, that records painted pictures in segments of a second."""

    def __init__(self, directory: Path, process: asyncio.subprocess.Process) -> None:
        self.storage = directory / "storage"
        self.process = process
        self._log = directory / "log"

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def tell(self, word: str = "tell") -> dict[str, Any]:
        """What its index knows, and what was delivered to it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(word.encode() + b"\n")
        line = await asyncio.wait_for(self.process.stdout.readline(), 20)
        assert line, self.log
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def knows(self, wanted: Callable[[list[str]], bool], within_s: float = 20) -> None:
        """Wait until its index knows what is wanted."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while not wanted((await self.tell())["known"]):
            assert loop.time() < deadline, self.log
            await asyncio.sleep(0.05)

    async def end(self) -> None:
        """End it in order: not a frame was lost, and ffmpeg was never started anew."""
        end = await self.tell("end")
        assert await asyncio.wait_for(self.process.wait(), 10) == 0
        assert end["restarts"] == 0
        ours = [path for path in sorted(self.storage.glob("*.mp4")) if path.name != FOREIGN]
        assert [time_us for path in ours for time_us in read_fragments(path).times_us] == end["delivered"]


@asynccontextmanager
async def recorded(directory: Path, *prefix: str) -> AsyncIterator[Recording]:
    """Start one by way of these commands; it is killed where it has not ended by itself."""
    script = directory / "record.py"
    script.write_text(_RECORD)
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *prefix,
            *(sys.executable, str(script), str(directory)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        yield Recording(directory, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def foreign(tmp_path: Path) -> Path:
    """A segment to be dropped into the storage directory."""
    path = tmp_path / FOREIGN
    await write_foreign(path)
    return path


# The watcher by itself


async def test_closed_moved_and_deleted_files_are_told_of_by_their_names(tmp_path: Path) -> None:
    told: list[tuple[Change, str]] = []
    (tmp_path / "elsewhere").mkdir()
    watcher = Watcher(tmp_path, lambda change, name: told.append((change, name)), LOGGER)
    watcher.start()
    try:
        (tmp_path / "a.mp4").write_bytes(b"1")
        await until(lambda: (Change.CLOSED, "a.mp4") in told)
        (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
        await until(lambda: (Change.CLOSED, "b.mp4") in told and (Change.DELETED, "a.mp4") in told)
        (tmp_path / "b.mp4").unlink()
        await until(lambda: (Change.DELETED, "b.mp4") in told)
    finally:
        watcher.stop()
    count = len(told)
    (tmp_path / "c.mp4").write_bytes(b"1")
    watcher.start()  # as after the directory was made anew
    (tmp_path / "d.mp4").write_bytes(b"1")
    await until(lambda: (Change.CLOSED, "d.mp4") in told)
    assert (Change.CLOSED, "c.mp4") not in told[count:]
    watcher.stop()
    watcher.stop()


async def test_what_is_being_written_or_only_read_is_not_told_of(tmp_path: Path) -> None:
    told: list[tuple[Change, str]] = []
    watcher = Watcher(tmp_path, lambda change, name: told.append((change, name)), LOGGER)
    watcher.start()
    try:
        with (tmp_path / "open.mp4").open("wb") as file:
            file.write(b"1")
            file.flush()
            (tmp_path / "open.mp4").read_bytes()
            (tmp_path / "last.mp4").write_bytes(b"1")
            await until(lambda: (Change.CLOSED, "last.mp4") in told)
            assert told == [(Change.CLOSED, "last.mp4")]
    finally:
        watcher.stop()


async def test_a_watch_that_cannot_be_had_is_told_of_and_leaves_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher(tmp_path / "nowhere", lambda _change, _name: None, LOGGER)
    descriptors, threads = len(os.listdir("/dev/fd")), threading.active_count()
    for _ in range(3):
        watcher.start()
        watcher.stop()
    assert caplog.text.count("cannot be watched (") == 3
    await until(lambda: threading.active_count() <= threads, 3)
    if (
        int(version("watchdog").split(".")[0]) >= 7
    ):  # earlier ones, all that Python 3.10 gets, leave three behind each time
        assert len(os.listdir("/dev/fd")) <= descriptors


# Events that do not come


async def test_without_events_segments_are_found_at_the_next_tick_and_others_files_at_the_next_walk(
    stores: Stores, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.storage.maintenance.RESCAN_INTERVAL_S", 1.0)
    monkeypatch.setattr("videostore.storage.maintenance._TICK_S", 0.5)
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 1)
    store._maintainer._watcher.stop()  # the thread has died
    count = store.health().segments
    shutil.copy(foreign, stores.storage)
    await until(lambda: store.health().segments >= count + 3)
    assert len(read_clip((await store.fetch(1_725_634_833_000_000, 1_725_634_836_000_000)).data)) == 30
    (stores.storage / FOREIGN).unlink()
    await until(lambda: store._archive.timeline.ranges()[0].from_us == pulse.delivered[0])
    from_us, to_us = pulse.delivered[0], pulse.delivered[-1]
    await until(lambda: store._archive.timeline.ranges()[-1].to_us >= to_us)
    clip = await store.fetch(from_us, to_us)
    assert check_clip(read_clip(clip.data), pulse.delivered, from_us, to_us).flawless
    recorder = store.health().recorder
    assert recorder is not None and recorder.ffmpeg_restarts == 0


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
async def test_where_no_watch_is_to_be_had_recording_goes_on_and_files_are_found_later(
    tmp_path: Path, foreign: Path, limit: str
) -> None:
    """The limit is that of a namespace of the test's own: nobody else is out of watches meanwhile."""
    path = f"/proc/sys/user/{limit}"
    own = ("unshare", "-U", "-r")
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here")
    probe = await asyncio.create_subprocess_exec(
        *own, "sh", "-c", f"echo 0 > {path}", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if await probe.wait():
        pytest.skip("a namespace with limits of its own cannot be made here")
    async with recorded(tmp_path, *own, "sh", "-c", f'echo 0 > {path} && exec "$@"', "sh") as recording:
        await recording.knows(lambda known: len(known) >= 2)
        assert "The storage directory cannot be watched (" in recording.log
        closed = {path.name for path in recording.storage.glob("*.mp4")}
        finished = sorted(recording.storage.glob("*.open"))[:-1]
        shutil.copy(foreign, recording.storage)
        await recording.knows(lambda known: FOREIGN in known and closed <= set(known), 2 * _TICK_S + 5)
        assert not any(path.exists() for path in finished)
        (recording.storage / FOREIGN).unlink()
        await recording.knows(lambda known: FOREIGN not in known, 2 * _TICK_S + 5)
        await recording.end()
    assert recording.log.count("cannot be watched") == 1


async def test_events_that_overflow_the_systems_queue_are_made_good_by_the_walk(tmp_path: Path, foreign: Path) -> None:
    """The process is stopped for a moment, as on a busy machine, while another makes too many files for the queue."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 50_000:
        pytest.skip(f"the queue takes {limit} events")
    async with recorded(tmp_path) as recording:
        await recording.knows(lambda known: len(known) >= 1)
        os.kill(recording.process.pid, signal.SIGSTOP)
        try:
            await asyncio.to_thread(make_and_remove, recording.storage, limit // 2 + 1000)
            shutil.copy(foreign, recording.storage)
        finally:
            os.kill(recording.process.pid, signal.SIGCONT)
        await recording.knows(lambda known: FOREIGN in known)
        if tuple(map(int, version("watchdog").split("."))) >= (7, 1):  # which says so
            await until(lambda: "overflowed" in recording.log)
        count = len((await recording.tell())["known"])
        await recording.knows(lambda known: len(known) > count)
        await recording.end()


def make_and_remove(directory: Path, count: int) -> None:
    """Two events for each of these files. Blocking."""
    for number in range(count):
        path = directory / f"somebody's {number}"
        path.touch()
        path.unlink()
