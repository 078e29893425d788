"""The upload path: how saved clips are named, and how each appears there complete or not at all.

The data manager uploads every file that it finds and then deletes it, except for files that end in `.prog`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, TypeVar

from videostore.base.errors import RequestError, VideoStoreError, reason_of
from videostore.base.files import (
    is_wrong_path,
    mount_point,
    rename_to_free,
    sync_directory,
    sync_file,
    why_no_place,
    why_not_created,
)
from videostore.base.idle_threads import IdleThreads
from videostore.base.tasks import wait_a_moment
from videostore.clips import left_behind, reservations
from videostore.clips.clip_names import NAME_BYTES, PROGRESS_SUFFIX, TOKEN_BYTES, clip_stem
from videostore.clips.progress import OnProgress
from videostore.clips.stall_limit import StalledError, StallLimit
from videostore.storage.save_record import SaveJob

_THREADS = 4
LOOK_S = 30.0
"""How long a look at the upload path may take. A disk that spins up takes a few seconds."""
START_LOOK_S = 10.0
"""The same while a recorder starts, which records without the upload path."""
UPLOAD_STALL_S = 600.0
"""How long a save may stand still. A slow disk may need minutes for what the system has collected in memory."""
_MOMENT_S = 0.5
"""How long a save that is cancelled waits to learn whether its clip has got its name."""
_T = TypeVar("_T")
_PATH_BYTES = 4000


class Uploads:
    """Owns the names in the upload path: every clip gets a unique one before it is made."""

    def __init__(self, directory: Path, name: str, storage: Path | None = None) -> None:
        """`name` is the component's; the names of its clips begin with it. `storage` is where it records, if so."""
        self.directory = directory
        self._name = name
        self._storage = storage
        self._mount: Path | None = None
        self._stall = StallLimit()
        self._reserved: Counter[str] = Counter()
        # Separate threads: the upload path may be on a disk that hangs, which must not block the recording's threads.
        self._threads = IdleThreads(_THREADS, "videostore upload")

    @functools.cached_property
    def _owner(self) -> str:
        """Who reserves names. Blocking."""
        return reservations.owner_of(self._storage)

    @functools.cached_property
    def _tag(self) -> str:
        """Who writes partial clips. Blocking."""
        return reservations.tag_of(self._storage)

    def make_path(self, logger: logging.Logger) -> None:
        """Create the upload path. If its disk is full, read-only or at fault at the moment, only saves fail. Blocking.

        Raises:
            VideoStoreError: it is a mistake: a file, or a directory that cannot be made there.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = why_not_created(self.directory, error)
            if is_wrong_path(self.directory, error):
                where = {"attribute": "storage.upload_path", "path": self.directory}
                raise VideoStoreError("upload-path-unusable", **where, reason=reason) from error
            logger.error("Nothing can be saved to %s at the moment: %s.", self.directory, reason)
        self._mount = mount_point(self.directory)

    def make_directory(self, directory: Path) -> None:
        """Create a directory for a clip, unless the device of the upload path is gone. Blocking.

        Raises:
            RequestError: a link would lead it out of the upload path.
            VideoStoreError: the device is gone.
            OSError: the directory cannot be created.
        """
        if self._mount is not None and not os.path.ismount(self._mount):
            # A clip that is written there now would be hidden when the device is mounted again.
            raise VideoStoreError("upload-device-gone", attribute="storage.upload_path", path=self.directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        for step in self._steps(directory):
            step.mkdir(exist_ok=True)
            self._check_steps(step)

    def _steps(self, directory: Path) -> list[Path]:
        """The directories from the upload path, without it, to one in it."""
        parts = directory.relative_to(self.directory).parts
        return [self.directory.joinpath(*parts[: count + 1]) for count in range(len(parts))]

    def _check_steps(self, directory: Path) -> None:
        for step in self._steps(directory):
            if step.is_symlink():
                raise RequestError("tag-is-link", field="tags", path=step)

    def sweep(self, saves: Mapping[str, bool] = MappingProxyType({})) -> list[SaveJob]:
        """What `left_behind.sweep` does, for this component. Blocking. Only at the start."""
        return left_behind.sweep(self.directory, self._name, self._owner, self._tag, saves)

    def progress_path(self, path: Path) -> Path:
        """The path to which a clip is written until it is complete. It tells who writes. Blocking."""
        return path.with_name(f"{path.name}.{self._tag}{secrets.token_hex(TOKEN_BYTES)}{PROGRESS_SUFFIX}")

    @contextlib.asynccontextmanager
    async def reserve_path(
        self, from_us: int, metadata: str, tags: Path, save: str | None = None
    ) -> AsyncIterator[Path]:
        """The path of a new clip. No other one of this process gets its name, in any directory, until the context ends.

        With `save`, which tells the save from all others, no other process gets it either, until `release`; only if
        nothing can be written to the upload path now, `claim` does that later.

        Raises:
            VideoStoreError: the path would be too long, or lead out of the upload path, or that can never be made.
        """
        stem = clip_stem(self._name, from_us, metadata)
        directory = self.directory / tags
        if len(os.fsencode(directory)) + NAME_BYTES > _PATH_BYTES:
            raise RequestError("tags-too-long", field="tags", limit=_PATH_BYTES)
        for number in itertools.count(1):
            path = directory / (f"{stem}.mp4" if number == 1 else f"{stem}-{number}.mp4")
            if path.name in self._reserved:
                continue
            with self.reserve(path.relative_to(self.directory)):
                taking = reservations.Taking(functools.partial(self._take_name, path, save), self.directory, path, save)
                try:
                    if not await self.run(taking.take):
                        continue
                    yield path
                except BaseException:
                    if taking.give_up():
                        await wait_a_moment(self.run(taking.release))
                    raise
                return

    def _take_name(self, path: Path, save: str | None) -> bool:
        self._check_steps(path.parent)
        if os.path.lexists(path):
            return False
        gone = self._mount is not None and not os.path.ismount(self._mount)
        if not gone and (reason := why_no_place(self.directory)):
            raise VideoStoreError("clip-not-uploaded", path=path.parent, reason=reason)
        if save is None or gone:
            return reservations.find(self.directory, path.name) is None
        try:
            if not reservations.reserve(self.directory, path.name, reservations.Reservation(save, self._owner)):
                return False
        except OSError:  # full, read-only or gone
            return reservations.find(self.directory, path.name) is None
        if os.path.lexists(path):  # another process wrote it before it was reserved
            self.release(path.name)
            return False
        return True

    def claim(self, path: Path, save: str, *, resumed: bool) -> bool:
        """Make sure that a name is that of this save. True if its clip exists. Blocking.

        `resumed` is whether an earlier process accepted the save, which may have reserved nothing.

        Raises:
            VideoStoreError: another process has taken the name, or the upload path cannot be used.
        """
        try:
            if (found := reservations.find(self.directory, path.name)) is None:
                self.make_directory(self.directory)
                own = reservations.Reservation(save, self._owner)
                if reservations.reserve(self.directory, path.name, own):
                    if not os.path.lexists(path):
                        return False
                    if not resumed:
                        self.release(path.name)
                        raise VideoStoreError("clip-name-taken", path=path)
                    return True
                found = reservations.find(self.directory, path.name)
            if found is None or found.save != save:
                raise VideoStoreError("clip-name-taken", path=path)
            return os.path.lexists(path)
        except OSError as error:
            raise VideoStoreError("clip-not-uploaded", path=path.parent, reason=reason_of(error)) from error

    def release(self, name: str) -> None:
        """Give back a name that was reserved for a save. Blocking."""
        reservations.release(self.directory, name)

    def publish_claimed(self, progress: Path, path: Path) -> Path:
        """Give a complete clip the name that was claimed for it. Blocking.

        Raises:
            VideoStoreError: a file has the name; it is kept.
        """
        sync_file(progress)
        try:
            rename_to_free(progress, path)
        except FileExistsError:
            raise VideoStoreError("clip-name-taken", path=path) from None
        return path

    def publish_free(self, progress: Path, path: Path) -> Path:
        """Give a complete clip its name, or the next one that no other process has taken; returns it. Blocking."""
        sync_file(progress)
        own = reservations.Reservation(secrets.token_hex(TOKEN_BYTES), self._owner)
        for number in itertools.count(1):
            target = path if number == 1 else path.with_name(f"{path.stem}-{number}.mp4")
            if number > 1 and target.name in self._reserved:
                continue
            try:
                reserved = reservations.reserve(self.directory, target.name, own, lasting=False)
            except OSError:  # nothing can be reserved, but still nothing is overwritten
                reserved = None
            if reserved is False:
                continue
            try:
                rename_to_free(progress, target)
                break
            except FileExistsError:
                continue
            finally:
                if reserved:
                    self.release(target.name)
        return target

    @contextlib.contextmanager
    def reserve(self, relative_path: PurePath) -> Iterator[None]:
        """Keep the name of a clip from being given to another one until the context ends."""
        name = relative_path.name
        self._reserved[name] += 1
        try:
            yield
        finally:
            self._reserved[name] -= 1
            if not self._reserved[name]:
                del self._reserved[name]

    async def run(self, work: Callable[..., _T], *arguments: Any, within_s: float | None = None) -> _T:
        """Run a function that waits for the disk of the upload path, in a thread of this object.

        Raises:
            VideoStoreError: it takes longer than `within_s`, else `LOOK_S`; or the store closed before it was begun.
        """
        within_s = LOOK_S if within_s is None else within_s
        running = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        done, _ = await asyncio.wait([running], timeout=within_s)
        if not done:
            running.cancel()
            raise self._hangs(within_s)
        if running.cancelled():  # by `close`: who waits for it was not cancelled
            raise VideoStoreError("closed")
        return running.result()

    async def publish(self, publish_as: Callable[[Path, Path], Path], progress: Path, path: Path) -> Path:
        """Give a complete clip its name by `publish_as`, or remove it. Returns its path.

        A caller that is cancelled learns of a clip that has its name already: either that is told, or there is none.

        Raises:
            VideoStoreError: the name cannot be given, or the disk hangs.
        """
        publishing = asyncio.ensure_future(self.run(publish_as, progress, path, within_s=UPLOAD_STALL_S))
        publishing.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.shield(publishing)
        except BaseException:
            await wait_a_moment(self.run(remove, progress))  # unless it has its name, it gets none any more
            await asyncio.wait([publishing], timeout=_MOMENT_S)
            if not publishing.done() or publishing.cancelled() or publishing.exception() is not None:
                raise
            await wait_a_moment(self.run(sync_directory, path.parent))
            return publishing.result()
        with contextlib.suppress(asyncio.CancelledError):  # it has its name, however slow its disk is
            await self.run(sync_directory, path.parent, within_s=UPLOAD_STALL_S)
        return publishing.result()

    async def limited(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do work on a clip, which takes as long as it or that on another clip moves on.

        Raises:
            VideoStoreError: nothing moves for `UPLOAD_STALL_S`: the disk hangs.
        """
        try:
            return await self._stall.run(work, UPLOAD_STALL_S)
        except StalledError:
            raise self._hangs(UPLOAD_STALL_S) from None

    def progress(self, on_progress: OnProgress | None) -> OnProgress:
        """Passes the progress of a clip on, and takes it as a sign that the disk works."""
        moved = self._stall.follow()

        def report(share: float) -> None:
            moved(share)
            if on_progress is not None:
                on_progress(share)

        return report

    def _hangs(self, within_s: float) -> VideoStoreError:
        return VideoStoreError("upload-stalled", path=self.directory, timeout_s=within_s)

    def close(self) -> None:
        """Start nothing new. Threads that hang are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def path(self, relative_path: PurePath) -> Path:
        """The full path of a clip."""
        return self.directory / relative_path


def remove(progress: Path) -> None:
    """Remove a clip that was not published; a failure is ignored, because the next start removes it. Blocking."""
    with contextlib.suppress(OSError):
        progress.unlink()


def publish(progress: Path, path: Path, overwrite: bool) -> Path:
    """Force a complete clip to stable storage, then give it its name, which is returned. Blocking.

    Raises:
        RequestError: the file exists by now, and `overwrite` is false.
    """
    sync_file(progress)
    if overwrite:
        os.replace(progress, path)
    else:
        try:
            rename_to_free(progress, path)
        except FileExistsError:
            raise RequestError("output-exists", path=path) from None
    sync_directory(path.parent)
    return path
