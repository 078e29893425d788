"""The observer that all watched directories share."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import ObservedWatch

from videostore.storage.shared_observer import SharedObserver

_PATIENCE_S = 60


class Told(FileSystemEventHandler):
    """Keeps the names that it is told."""

    def __init__(self) -> None:
        self.names: Queue[str] = Queue()

    def on_closed(self, event: FileSystemEvent) -> None:
        self.names.put(Path(str(event.src_path)).name)

    def next(self) -> str:
        return self.names.get(timeout=_PATIENCE_S)


@pytest.fixture
def observer() -> Iterator[SharedObserver]:
    before = set(threading.enumerate())
    yield SharedObserver()
    for thread in set(threading.enumerate()) - before:
        thread.join(_PATIENCE_S)
    assert set(threading.enumerate()) <= before, "threads were left behind"


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    return make


def test_each_directory_is_told_of_its_own_files(observer: SharedObserver, folder: Callable[[str], Path]) -> None:
    told = {folder(name): Told() for name in "abcdefgh"}
    watches = [(observer.watch(path, handler), handler) for path, handler in told.items()]
    for path, handler in told.items():
        (path / f"in {path.name}").write_text("")
        assert handler.next() == f"in {path.name}" and handler.names.empty()
    for one in watches:
        observer.unwatch(*one)


def test_a_further_directory_starts_no_further_observer(
    observer: SharedObserver, folder: Callable[[str], Path]
) -> None:
    handler = Told()
    watches = [observer.watch(folder(str(number)), handler) for number in range(7)]
    assert sum("Observer" in type(thread).__name__ for thread in threading.enumerate()) == 1
    for watch in watches:
        observer.unwatch(watch, handler)


def test_one_of_two_handlers_of_a_directory_can_leave(observer: SharedObserver, folder: Callable[[str], Path]) -> None:
    path, first, second = folder("both"), Told(), Told()
    watches = [observer.watch(path, handler) for handler in (first, second)]
    observer.unwatch(watches[0], first)
    (path / "file").write_text("")
    assert second.next() == "file" and first.names.empty()
    observer.unwatch(watches[1], second)


def test_a_handler_that_left_is_told_no_more_and_leaving_twice_does_nothing(
    observer: SharedObserver, folder: Callable[[str], Path]
) -> None:
    left, stays = Told(), Told()
    one, other = folder("one"), folder("other")
    watch, kept = observer.watch(one, left), observer.watch(other, stays)
    observer.unwatch(watch, left)
    observer.unwatch(watch, left)
    (one / "file").write_text("")
    (other / "file").write_text("")
    assert stays.next() == "file" and left.names.empty()
    observer.unwatch(kept, stays)
    observer.unwatch(kept, stays)


def test_a_directory_that_cannot_be_watched_or_vanishes_costs_the_others_nothing(
    observer: SharedObserver, folder: Callable[[str], Path]
) -> None:
    path, gone, handler, lost = folder("stays"), folder("gone"), Told(), Told()
    with pytest.raises(OSError):
        observer.watch(gone / "nothing", lost)
    watch = observer.watch(path, handler)
    with pytest.raises(OSError):
        observer.watch(gone / "nothing", lost)
    vanished = observer.watch(gone, lost)
    (gone / "last").write_text("")
    assert lost.next() == "last"
    shutil.rmtree(gone)
    (path / "file").write_text("")
    assert handler.next() == "file"
    observer.unwatch(vanished, lost)
    (path / "another").write_text("")
    assert handler.next() == "another"
    observer.unwatch(watch, handler)


@pytest.fixture
def hung(folder: Callable[[str], Path]) -> Iterator[Path]:
    """A directory on a disk that never answers."""
    path, library = folder("hung"), ctypes.CDLL(None)
    try:
        descriptor = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("needs root and FUSE")
    try:
        options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0".encode()
        if library.mount(b"hung", os.fsencode(path), b"fuse", 0, options):
            pytest.skip("needs root and FUSE")
        yield path
    finally:
        os.close(descriptor)  # ends what waits for it
        library.umount2(os.fsencode(path), 2)


def test_a_disk_that_hangs_keeps_no_other_directory_waiting(
    observer: SharedObserver, folder: Callable[[str], Path], hung: Path
) -> None:
    def watch_in_vain() -> None:
        with contextlib.suppress(OSError):
            observer.watch(hung, Told())

    waiting = threading.Thread(target=watch_in_vain)
    waiting.start()
    held_up = Path(f"/proc/self/task/{waiting.native_id}/wchan")
    give_up_s = time.monotonic() + _PATIENCE_S
    while not held_up.read_text().startswith(("fuse", "request_wait")) and time.monotonic() < give_up_s:
        time.sleep(0.01)
    path, handler = folder("answers"), Told()
    watched: Queue[ObservedWatch] = Queue()
    threading.Thread(target=lambda: watched.put(observer.watch(path, handler)), daemon=True).start()
    watch = watched.get(timeout=_PATIENCE_S / 2)
    (path / "file").write_text("")
    assert handler.next() == "file"
    observer.unwatch(watch, handler)


def test_it_can_be_used_again_after_its_end(observer: SharedObserver, folder: Callable[[str], Path]) -> None:
    path, handler = folder("again"), Told()
    for name in ("first", "second"):
        watch = observer.watch(path, handler)
        (path / name).write_text("")
        assert handler.next() == name
        observer.unwatch(watch, handler)
