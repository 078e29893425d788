"""The upload path: what a saved clip is called, and how it appears there complete or not at all.

The data manager uploads what it finds and then deletes it, except for files that end in `.prog`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any, TypeVar

from videostore.base.errors import RequestError, VideoStoreError, reason_of, shown, whole_characters
from videostore.base.files import mount_point, sync_directory, sync_file
from videostore.base.time_format import format_local
from videostore.clips.output_path import file_exists_error

PROGRESS_SUFFIX = ".prog"
_THREADS = 4
_T = TypeVar("_T")
_NAME_BYTES = 255
"""What the usual file systems take for one name."""
_TOKEN_BYTES = 4
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
"""How file systems say that they have no hard links."""
_RESERVED_BYTES = len(".mp4") + len("-99999") + len(".") + 2 * _TOKEN_BYTES + len(PROGRESS_SUFFIX)
_PATH_BYTES = 4000
_TAG_PREFIX = "tag="
_PROGRESS_NAME = re.compile(
    rf"_\d{{4}}-\d\d-\d\d_\d\d-\d\d-\d\d.*\.mp4\.[0-9a-f]{{{2 * _TOKEN_BYTES}}}\{PROGRESS_SUFFIX}$", re.DOTALL
)
"""What follows the component's name, which may be the beginning of another's."""


def clip_stem(name: str, from_us: int, metadata: str) -> str:
    """`<name>_<from, local>_<metadata>`, with what a file name cannot hold replaced by `_`, and cut to its length."""
    stem = f"{_clean(name)}_{format_local(from_us)}"
    if metadata:
        stem = f"{stem}_{_clean(metadata)}"
    room = _NAME_BYTES - _RESERVED_BYTES
    return stem.encode()[:room].decode(errors="ignore")


def _clean(text: str) -> str:
    text = whole_characters(text)
    return "".join("_" if c in "/\\" or not c.isprintable() else c for c in text)


def tag_directory(tags: Sequence[object]) -> Path:
    """`tag=…` directories, sorted, each once; the data manager turns them into tags.

    Raises:
        RequestError: a tag is empty or cannot be the name of a directory; the sentence says which.
    """
    for number, tag in enumerate(tags):
        problem = None
        if not isinstance(tag, str):
            problem = "it must be a string"
        elif not tag:
            problem = "it is empty"
        elif "/" in tag or "\\" in tag or not tag.isprintable() or tag in (".", ".."):
            problem = "a tag becomes a directory, and must be printable text without slashes"
        elif len((_TAG_PREFIX + tag).encode(errors="replace")) > _NAME_BYTES:
            problem = f"it is longer than {_NAME_BYTES - len(_TAG_PREFIX)} bytes"
        if problem:
            raise RequestError(f"tags[{number}] is {shown(tag)}: {problem}.")
    return Path(*(_TAG_PREFIX + tag for tag in sorted({str(tag) for tag in tags})))


class Uploads:
    """Owns the names in the upload path. Every clip has a name of its own, given away before it is cut."""

    def __init__(self, directory: Path, name: str) -> None:
        """`name` is the component's, with which the names of its clips begin."""
        self.directory = directory
        self._name = name
        self._mount: Path | None = None
        self._promised: Counter[str] = Counter()
        # Of its own: the upload path may lie on a disk that hangs, and must not keep the recording's threads.
        self._threads = ThreadPoolExecutor(_THREADS, "videostore-upload")

    def make_path(self, logger: logging.Logger) -> None:
        """Make the upload path; where its device is full or read-only just now, saves alone fail. Blocking.

        Raises:
            VideoStoreError: it cannot be used.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.ENOSPC):
                raise VideoStoreError(
                    f"The upload path {self.directory} cannot be used: {reason_of(error)}."
                ) from error
            logger.error("Nothing can be saved to %s just now: %s.", self.directory, reason_of(error))
        self._mount = mount_point(self.directory)

    def make_directory(self, directory: Path) -> None:
        """Make a directory for a clip, but not in the place of a device that is gone. Blocking.

        Raises:
            VideoStoreError: it is gone.
            OSError: it cannot be made.
        """
        if self._mount is not None and not os.path.ismount(self._mount):
            # What is written there now would be hidden when it comes back.
            raise VideoStoreError(f"The device of storage.upload_path {str(self.directory)!r} is gone.")
        directory.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Remove the half-written clips of this component's earlier processes. Blocking; for the start alone.

        The data manager's own files end in `.prog` as well, and other components may share the path.
        """
        for path in self.directory.rglob("*" + PROGRESS_SUFFIX):
            if path.name.startswith(_clean(self._name) + "_") and _PROGRESS_NAME.match(
                path.name, len(_clean(self._name))
            ):
                with contextlib.suppress(OSError):
                    path.unlink()

    @contextlib.asynccontextmanager
    async def promise(self, from_us: int, metadata: str, tags: Path) -> AsyncIterator[Path]:
        """The path that a clip will have; its name is no other clip's while the context lasts, whatever its tags are.

        Raises:
            RequestError: it would be longer than a path can be.
        """
        stem = clip_stem(self._name, from_us, metadata)
        directory = self.directory / tags
        if len(os.fsencode(directory)) + _NAME_BYTES > _PATH_BYTES:
            raise RequestError(f"tags are too long together: with the upload path, a path takes {_PATH_BYTES} bytes.")
        number = 0
        while True:
            number += 1
            path = directory / (f"{stem}.mp4" if number == 1 else f"{stem}-{number}.mp4")
            if path.name in self._promised:
                continue
            with self.keep(path.relative_to(self.directory)):
                if not await self.run(path.exists):
                    yield path
                    return

    @contextlib.contextmanager
    def keep(self, relative_path: PurePath) -> Iterator[None]:
        """Give the name of a clip that was promised to no other one while the context lasts."""
        name = relative_path.name
        self._promised[name] += 1
        try:
            yield
        finally:
            self._promised[name] -= 1
            if not self._promised[name]:
                del self._promised[name]

    async def run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Do something that waits for the disk of the upload path."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def close(self) -> None:
        """Begin nothing new; what hangs is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def path(self, relative_path: PurePath) -> Path:
        """The whole path of a clip."""
        return self.directory / relative_path


def progress_path(path: Path) -> Path:
    """Where a clip is written before it is complete."""
    return path.with_name(f"{path.name}.{secrets.token_hex(_TOKEN_BYTES)}{PROGRESS_SUFFIX}")


def publish(progress: Path, path: Path, overwrite: bool = True) -> None:
    """Give a complete clip its name, after its bytes are on stable storage. Blocking.

    Raises:
        RequestError: the name is taken, even if only since a moment, and `overwrite` is not wanted.
    """
    sync_file(progress)
    if overwrite:
        os.replace(progress, path)
    else:
        try:
            _give_free_name(progress, path)
        except FileExistsError:
            raise file_exists_error(path) from None
    sync_directory(path.parent)


def _give_free_name(progress: Path, path: Path) -> None:
    try:
        os.link(progress, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        progress.unlink()
        return
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        os.replace(progress, path)
    except OSError:
        path.unlink()  # it is ours, and empty
        raise
