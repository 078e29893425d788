"""Invariant 7: no request can read or write outside the storage path and the upload path."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.support.recording import SMALL, US, Pulse, Stores, capture_times, record, until, write_foreign
from tests.support.watching import watching
from videostore.base.errors import NothingStoredError, VideoStoreError
from videostore.viam.commands import execute

HOSTILE = [
    "../../outside/x",
    "/etc/passwd",
    "..",
    "tag=../../../outside",
    "a/../../b",
    "%2e%2e%2f",
    "x\0y",
    "file:///tmp/x",
    "\\..\\..\\outside",
    "~/x",
    "-y /tmp/x",
    "'; file '/etc/passwd",
    "concat:/etc/passwd",
    "%d/%s",
]


WATCH = """
import os, sys
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

class Handler(FileSystemEventHandler):
    def on_any_event(self, event):
        if event.event_type in ("created", "modified", "moved", "deleted", "closed"):
            for path in (event.src_path, event.dest_path):
                if path:
                    print(ascii(os.fsdecode(path)), flush=True)

observer = Observer()
observer.schedule(Handler(), sys.argv[1], recursive=True)
observer.start()
print("ready", flush=True)
sys.stdin.read()
observer.stop()
"""
"""Prints every changed path below a directory. It runs as another process, because all observers of one process share
their watches and the store has one."""


@contextlib.asynccontextmanager
async def changes_below(directory: Path, marker: Path) -> AsyncIterator[set[Path]]:
    """Every changed path below a directory. The set is complete when the context has ended."""
    pipe = asyncio.subprocess.PIPE
    watch = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", WATCH, directory, stdin=pipe, stdout=pipe
    )
    assert watch.stdin is not None and watch.stdout is not None
    paths: set[Path] = set()
    try:
        assert await watch.stdout.readline() == b"ready\n"
        yield paths
        marker.touch()
        while marker not in paths:
            line = await asyncio.wait_for(watch.stdout.readline(), 150)
            paths.add(Path(ast.literal_eval(line.decode())))
    finally:
        watch.stdin.close()
        watch.kill()
        await watch.wait()


def open_for_writing(process: psutil.Process) -> set[str]:
    """Paths of the files that a process has open for writing at this moment."""
    found = set()
    with contextlib.suppress(psutil.Error, FileNotFoundError, ProcessLookupError):
        for file in process.open_files():
            if getattr(file, "mode", "r") != "r":
                found.add(file.path)
    return found


async def test_no_request_reads_or_writes_outside_the_storage_path_and_the_upload_path(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = {name: tmp_path / name for name in ("outside", "home", "temp", "work")}
    for path in outside.values():
        path.mkdir()
    monkeypatch.setenv("HOME", str(outside["home"]))
    monkeypatch.setattr(tempfile, "tempdir", str(outside["temp"]))
    monkeypatch.chdir(outside["work"])
    await write_foreign(outside["outside"] / "secret.mp4", seconds=2)
    await record(outside["outside"], capture_times(2.5), size=SMALL)
    (unfinished,) = outside["outside"].glob("*-000000.open")
    os.truncate(unfinished, unfinished.stat().st_size - 10)  # closing it would cut off the incomplete fragment
    secrets = {path: path.read_bytes() for path in outside["outside"].iterdir()}
    me = psutil.Process()
    before = open_for_writing(me)
    written: set[str] = set()
    marker = outside["work"] / "marker"

    def look() -> None:
        for process in [me, *me.children(recursive=True)]:
            written.update(open_for_writing(process))

    pulse = Pulse()
    async with changes_below(tmp_path, marker) as changed, watching(look, 0.1):  # each look lists all processes
        store = await stores.open(pulse, segment_seconds=2)
        for name in ("1725000000.mp4", unfinished.name):
            (stores.storage / "link").symlink_to(outside["outside"] / name.replace("1725000000.mp4", "secret.mp4"))
            (stores.storage / "link").rename(stores.storage / name)
        await until(lambda: store.health().segments >= 2)
        stamp = {"from": "2020-01-01_00-00-00Z", "to": "2099-01-01_00-00-00Z"}
        now = time.strftime("%Y-%m-%d_%H-%M-%SZ", time.gmtime())
        good = {"from": "2020-01-01_00-00-00Z", "to": now}
        saved = 0
        for text in HOSTILE:
            for request in (
                {"command": "save", **good, "metadata": text},
                {"command": "save", **good, "tags": [text]},
                {"command": "save", **good, "metadata": text, "tags": ["a", text], "async": True},
                {"command": "fetch", **good, "container": text},
                {"command": "fetch", **stamp, "from": text},
                {"command": "get-save-status", "filename": text},
                {"command": text},
            ):
                with contextlib.suppress(VideoStoreError):
                    answer = await execute(store, request)
                    assert Path(answer["filename"]).name == answer["filename"]
                    saved += 1
        # A link in the storage path gives no access to files elsewhere.
        with pytest.raises(NothingStoredError):
            await store.fetch(1_725_000_000 * US, 1_725_000_002 * US)
        await until(lambda: store.health().pending_saves == 0)
        await stores.close()
    assert saved > len(HOSTILE)
    allowed = (stores.storage, stores.upload)

    def elsewhere(path: Path) -> bool:
        return path != tmp_path and not any(path.is_relative_to(one) for one in allowed)

    assert {path for path in changed if elsewhere(path)} <= {marker, outside["work"]}
    assert {path for path in written - before if elsewhere(Path(path))} == set()
    assert {path for path in tmp_path.rglob("*") if elsewhere(path)} == {*outside.values(), *secrets, marker}
    assert {path: path.read_bytes() for path in secrets} == secrets
    for path in stores.upload.rglob("*"):
        assert path.resolve().is_relative_to(stores.upload.resolve())
