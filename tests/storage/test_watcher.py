"""The watcher, and recording when its events do not arrive."""

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
from tests.support.amount import some
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


async def report(stores, pulse, store):
    indexed = [segment.file_name for segment in await store._archive.index.oldest(1000)]
    print(json.dumps({"indexed": indexed, "delivered": pulse.delivered}), flush=True)


async def main():
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    stores, pulse = Stores(Path(sys.argv[1])), Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    loop = asyncio.get_running_loop()
    while (await loop.run_in_executor(None, sys.stdin.readline)).strip() == "report":
        await report(stores, pulse, store)
    await pulse.stop()
    await stores.close()
    health = store.health()
    print(json.dumps({"restarts": health.recorder.ffmpeg_restarts, "delivered": pulse.delivered}), flush=True)


asyncio.run(main())
"""


class Recording:
    """A store in another process, which records painted images in segments of a second."""

    def __init__(self, directory: Path, process: asyncio.subprocess.Process) -> None:
        self.storage = directory / "storage"
        self.process = process
        self._log = directory / "log"

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def report(self, command: str = "report") -> dict[str, Any]:
        """The segments in its index, and the frames that were delivered to it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(command.encode() + b"\n")
        line = await asyncio.wait_for(self.process.stdout.readline(), 90)
        assert line, self.log
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def wait_for_index(self, condition: Callable[[list[str]], bool], within_s: float = 150) -> None:
        """Wait until the names in its index fulfil a condition."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while not condition((await self.report())["indexed"]):
            assert loop.time() < deadline, self.log
            await asyncio.sleep(0.05)

    async def end(self) -> None:
        """End it normally, and check that no frame was lost and that ffmpeg was never restarted."""
        end = await self.report("end")
        assert await asyncio.wait_for(self.process.wait(), 150) == 0
        assert end["restarts"] == 0
        ours = [path for path in self.storage.glob("*.mp4") if path.name != FOREIGN]
        # After a standstill many segments begin in one second, and are named in the order in which they are closed.
        assert sorted(time_us for path in ours for time_us in read_fragments(path).times_us) == end["delivered"]


@asynccontextmanager
async def recorded(directory: Path, *prefix: str) -> AsyncIterator[Recording]:
    """Start a recording through these commands, and kill it if it has not ended itself."""
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
    """A segment to copy into the storage directory."""
    path = tmp_path / FOREIGN
    await write_foreign(path)
    return path


# The watcher alone


async def test_closed_moved_and_deleted_files_are_reported_by_their_names(tmp_path: Path) -> None:
    reported: list[tuple[Change, str]] = []
    (tmp_path / "elsewhere").mkdir()
    watcher = Watcher(tmp_path, lambda change, name: reported.append((change, name)), LOGGER)
    await watcher.start()
    try:
        (tmp_path / "a.mp4").write_bytes(b"1")
        await until(lambda: (Change.CLOSED, "a.mp4") in reported)
        (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
        await until(lambda: (Change.CLOSED, "b.mp4") in reported and (Change.DELETED, "a.mp4") in reported)
        (tmp_path / "b.mp4").unlink()
        await until(lambda: (Change.DELETED, "b.mp4") in reported)
    finally:
        watcher.stop()
    count = len(reported)
    (tmp_path / "c.mp4").write_bytes(b"1")
    await watcher.start()  # as after the directory was recreated
    (tmp_path / "d.mp4").write_bytes(b"1")
    await until(lambda: (Change.CLOSED, "d.mp4") in reported)
    assert (Change.CLOSED, "c.mp4") not in reported[count:]
    watcher.stop()
    watcher.stop()


async def test_files_that_are_being_written_or_only_read_are_not_reported(tmp_path: Path) -> None:
    reported: list[tuple[Change, str]] = []
    watcher = Watcher(tmp_path, lambda change, name: reported.append((change, name)), LOGGER)
    await watcher.start()
    try:
        with (tmp_path / "open.mp4").open("wb") as file:
            file.write(b"1")
            file.flush()
            (tmp_path / "open.mp4").read_bytes()
            (tmp_path / "last.mp4").write_bytes(b"1")
            await until(lambda: (Change.CLOSED, "last.mp4") in reported)
            assert reported == [(Change.CLOSED, "last.mp4")]
    finally:
        watcher.stop()


@pytest.mark.parametrize("order", [(True, False), (False, True)])
async def test_two_watchers_of_a_directory_by_two_names_are_both_told(tmp_path: Path, order: tuple[bool, bool]) -> None:
    """As a recorder and a reader in one process, whichever came first."""
    reported: dict[bool, list[tuple[Change, str]]] = {True: [], False: []}
    (tmp_path / "storage").mkdir()
    (tmp_path / "link").symlink_to("storage")
    watchers = [
        Watcher(
            tmp_path / name, lambda *change, created=created: reported[created].append(change), LOGGER, created=created
        )
        for created, name in zip(order, ("storage", "link"), strict=True)
    ]
    for watcher in watchers:
        await watcher.start()
    try:
        (tmp_path / "storage" / "a.mp4").write_bytes(b"1")
        await until(lambda: all((Change.CLOSED, "a.mp4") in one for one in reported.values()))
        assert (Change.CREATED, "a.mp4") in reported[True] and (Change.CREATED, "a.mp4") not in reported[False]
        watchers[0].stop()
        (tmp_path / "storage" / "a.mp4").unlink()
        await until(lambda: (Change.DELETED, "a.mp4") in reported[order[1]])
    finally:
        for watcher in watchers:
            watcher.stop()


async def test_a_recorder_is_told_at_once_of_what_takes_the_name_of_a_segment_and_is_never_closed(
    tmp_path: Path,
) -> None:
    reported: list[tuple[Change, str]] = []
    watcher = Watcher(tmp_path, lambda *change: reported.append(change), LOGGER)
    await watcher.start()
    try:
        os.mkfifo(tmp_path / "a.mp4")
        os.mkfifo(tmp_path / "1725000000.mp4")
        (tmp_path / "1725000010.mp4").mkdir()
        await until(lambda: (Change.CREATED, "1725000010.mp4") in reported)
        assert (Change.CREATED, "1725000000.mp4") in reported and (Change.CREATED, "a.mp4") not in reported
    finally:
        watcher.stop()


async def test_a_watch_that_fails_is_logged_and_leaves_no_thread_or_descriptor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher(tmp_path / "nowhere", lambda _change, _name: None, LOGGER)

    def threads_of_watches() -> list[threading.Thread]:  # without those of the loop's executor, which stay
        return [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]

    descriptors, threads = len(os.listdir("/dev/fd")), len(threads_of_watches())
    for _ in range(3):
        await watcher.start()
        watcher.stop()
    assert caplog.text.count("cannot be watched (") == 3
    await until(lambda: len(threads_of_watches()) <= threads, 3)
    if int(version("watchdog").split(".")[0]) >= 7:  # earlier versions leak three descriptors each time
        assert len(os.listdir("/dev/fd")) <= descriptors


# Without events


async def test_without_events_segments_are_found_at_the_next_tick_and_other_files_at_the_next_walk(
    stores: Stores, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.storage.maintenance.RESCAN_INTERVAL_S", 1.0)
    monkeypatch.setattr("videostore.storage.maintenance._TICK_S", 0.5)
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 1)
    store._maintainer._watcher.stop()  # as if the thread had died
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


@some("limit", ["max_inotify_watches", "max_inotify_instances"], 1)
async def test_if_the_system_allows_no_watch_recording_goes_on_and_files_are_found_later(
    tmp_path: Path, foreign: Path, limit: str
) -> None:
    """The limit applies to a namespace of this test, so other processes still get watches."""
    path = f"/proc/sys/user/{limit}"
    namespace = ("unshare", "-U", "-r")
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    probe = await asyncio.create_subprocess_exec(
        *namespace, "sh", "-c", f"echo 0 > {path}", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if await probe.wait():
        pytest.skip("namespaces cannot be created")
    async with recorded(tmp_path, *namespace, "sh", "-c", f'echo 0 > {path} && exec "$@"', "sh") as recording:
        await recording.wait_for_index(lambda indexed: len(indexed) >= 2)
        assert "The storage directory cannot be watched (" in recording.log
        closed = {path.name for path in recording.storage.glob("*.mp4")}
        finished = sorted(recording.storage.glob("*.open"))[:-1]
        shutil.copy(foreign, recording.storage)
        await recording.wait_for_index(lambda indexed: FOREIGN in indexed and closed <= set(indexed), 2 * _TICK_S + 5)
        assert not any(path.exists() for path in finished)
        (recording.storage / FOREIGN).unlink()
        await recording.wait_for_index(lambda indexed: FOREIGN not in indexed, 2 * _TICK_S + 5)
        await recording.end()
    assert recording.log.count("cannot be watched") == 1


async def test_the_walk_finds_files_whose_events_overflowed_the_queue(tmp_path: Path, foreign: Path) -> None:
    """The process is stopped, as on a busy machine, while another process creates too many files for the queue."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 50_000:
        pytest.skip(f"the queue holds {limit} events")
    async with recorded(tmp_path) as recording:
        await recording.wait_for_index(lambda indexed: len(indexed) >= 1)
        os.kill(recording.process.pid, signal.SIGSTOP)
        try:
            await asyncio.to_thread(create_and_delete, recording.storage, limit // 2 + 1000)
            shutil.copy(foreign, recording.storage)
        finally:
            os.kill(recording.process.pid, signal.SIGCONT)
        await recording.wait_for_index(lambda indexed: FOREIGN in indexed)
        if tuple(map(int, version("watchdog").split("."))) >= (7, 1):  # which logs it
            await until(lambda: "overflowed" in recording.log)
        count = len((await recording.report())["indexed"])
        await recording.wait_for_index(lambda indexed: len(indexed) > count)
        await recording.end()


def create_and_delete(directory: Path, count: int) -> None:
    """Cause two events for each of these files. Blocking."""
    for number in range(count):
        path = directory / f"other {number}"
        path.touch()
        path.unlink()
