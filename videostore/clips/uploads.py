"""The upload path: how saved clips are named, and how each appears there complete or not at all.

The data manager uploads every file that it finds and then deletes it, except for files that end in `.prog`.
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
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any, TypeVar

from videostore.base.errors import RequestError, VideoStoreError, reason_of, whole_characters
from videostore.base.files import mount_point, sync_directory, sync_file
from videostore.base.time_format import format_local

PROGRESS_SUFFIX = ".prog"
_THREADS = 4
_T = TypeVar("_T")
_NAME_BYTES = 255
"""Longest name that common file systems accept."""
_TOKEN_BYTES = 4
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
"""Errors of file systems that have no hard links."""
_RESERVED_BYTES = len(".mp4") + len("-99999") + len(".") + 2 * _TOKEN_BYTES + len(PROGRESS_SUFFIX)
_PATH_BYTES = 4000
_TAG_PREFIX = "tag="
_PROGRESS_NAME = re.compile(
    rf"_\d{{4}}-\d\d-\d\d_\d\d-\d\d-\d\d.*\.mp4\.[0-9a-f]{{{2 * _TOKEN_BYTES}}}\{PROGRESS_SUFFIX}$", re.DOTALL
)
"""What follows the component's name, which may be the start of another component's name."""


def clip_stem(name: str, from_us: int, metadata: str) -> str:
    """`<name>_<from, local time>_<metadata>`: characters that a file name cannot hold become `_`, and it is shortened
    to the length that a file name can have."""
    stem = f"{_clean(name)}_{format_local(from_us)}"
    if metadata:
        stem = f"{stem}_{_clean(metadata)}"
    room = _NAME_BYTES - _RESERVED_BYTES
    return stem.encode()[:room].decode(errors="ignore")


def _clean(text: str) -> str:
    text = whole_characters(text)
    return "".join("_" if c in "/\\" or not c.isprintable() else c for c in text)


def tag_directory(tags: Collection[object]) -> Path:
    """`tag=…` directories, sorted, each once; the data manager turns them into tags.

    Raises:
        RequestError: a tag cannot be the name of a directory.
    """
    if isinstance(tags, (str, bytes)) or not isinstance(tags, Collection):
        raise RequestError("field-wrong", field="tags", value=tags, expected="a list of strings")
    for index, tag in enumerate(tags):
        expected = None
        if not isinstance(tag, str):
            expected = "a string"
        elif not tag:
            expected = "at least one character long"
        elif "/" in tag or "\\" in tag or not tag.isprintable() or tag in (".", ".."):
            expected = "printable text without slashes, because it becomes the name of a directory"
        elif len((_TAG_PREFIX + tag).encode(errors="replace")) > _NAME_BYTES:
            expected = f"at most {_NAME_BYTES - len(_TAG_PREFIX)} bytes long"
        if expected:
            raise RequestError("tag-wrong", field="tags", index=index, value=tag, expected=expected)
    return Path(*(_TAG_PREFIX + tag for tag in sorted({str(tag) for tag in tags})))


class Uploads:
    """Owns the names in the upload path: every clip gets a unique one before it is made."""

    def __init__(self, directory: Path, name: str) -> None:
        """`name` is the component's; the names of its clips begin with it."""
        self.directory = directory
        self._name = name
        self._mount: Path | None = None
        self._reserved: Counter[str] = Counter()
        # Separate threads: the upload path may be on a disk that hangs, which must not block the recording's threads.
        self._threads = ThreadPoolExecutor(_THREADS, "videostore-upload")

    def make_path(self, logger: logging.Logger) -> None:
        """Create the upload path. If its disk is full or read-only at the moment, only saves fail. Blocking.

        Raises:
            VideoStoreError: it cannot be used.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.ENOSPC):
                raise VideoStoreError("upload-path-unusable", path=self.directory, reason=reason_of(error)) from error
            logger.error("Nothing can be saved to %s at the moment: %s.", self.directory, reason_of(error))
        self._mount = mount_point(self.directory)

    def make_directory(self, directory: Path) -> None:
        """Create a directory for a clip, unless the device of the upload path is gone. Blocking.

        Raises:
            VideoStoreError: it is gone.
            OSError: the directory cannot be created.
        """
        if self._mount is not None and not os.path.ismount(self._mount):
            # A clip that is written there now would be hidden when the device is mounted again.
            raise VideoStoreError("upload-device-gone", attribute="storage.upload_path", path=self.directory)
        directory.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Remove partial clips that this component's earlier processes left behind. Blocking. Only at the start.

        Files of the data manager end in `.prog` too, and other components may share the path.
        """
        for path in self.directory.rglob("*" + PROGRESS_SUFFIX):
            if path.name.startswith(_clean(self._name) + "_") and _PROGRESS_NAME.match(
                path.name, len(_clean(self._name))
            ):
                with contextlib.suppress(OSError):
                    path.unlink()

    @contextlib.asynccontextmanager
    async def reserve_path(self, from_us: int, metadata: str, tags: Path) -> AsyncIterator[Path]:
        """The path of a new clip. No other clip gets its name, in any directory, until the context ends.

        Raises:
            RequestError: the path would be too long.
        """
        stem = clip_stem(self._name, from_us, metadata)
        directory = self.directory / tags
        if len(os.fsencode(directory)) + _NAME_BYTES > _PATH_BYTES:
            raise RequestError("tags-too-long", field="tags", limit=_PATH_BYTES)
        number = 0
        while True:
            number += 1
            path = directory / (f"{stem}.mp4" if number == 1 else f"{stem}-{number}.mp4")
            if path.name in self._reserved:
                continue
            with self.reserve(path.relative_to(self.directory)):
                if not await self.run(path.exists):
                    yield path
                    return

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

    async def run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Run a function that waits for the disk of the upload path, in a thread of this object."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def close(self) -> None:
        """Start nothing new. Threads that hang are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def path(self, relative_path: PurePath) -> Path:
        """The full path of a clip."""
        return self.directory / relative_path


def progress_path(path: Path) -> Path:
    """The path to which a clip is written until it is complete."""
    return path.with_name(f"{path.name}.{secrets.token_hex(_TOKEN_BYTES)}{PROGRESS_SUFFIX}")


def publish(progress: Path, path: Path, overwrite: bool = True) -> None:
    """Force a complete clip to stable storage, then give it its name. Blocking.

    Raises:
        RequestError: the file exists by now, and `overwrite` is false.
    """
    sync_file(progress)
    if overwrite:
        os.replace(progress, path)
    else:
        try:
            _rename_to_free(progress, path)
        except FileExistsError:
            raise RequestError("output-exists", path=path) from None
    sync_directory(path.parent)


def _rename_to_free(progress: Path, path: Path) -> None:
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
        path.unlink()  # the empty file made above
        raise
