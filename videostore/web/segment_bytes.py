"""Segment bytes: where the bytes are that an address of a segment names.

Those of our segments are in their files. A segment of another program is a plain MP4, which no player takes in parts:
ffmpeg copies its frames into fragments, without encoding, and the last few are kept.
"""

from __future__ import annotations

import io
import os
import stat
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from weakref import WeakSet

import ffmpeg

from videostore.base.constants import CUT_NICENESS, MIB
from videostore.base.errors import FFmpegError, RequestError, UnreadableRangeError
from videostore.base.tasks import off_loop
from videostore.clips.turns import Turns
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.boxes import DAMAGE, read_box
from videostore.media.segment_names import OPEN_SUFFIX
from videostore.store.viewing import SegmentKey, Viewing
from videostore.web.first_frames import first_shown_after

_REWRITTEN_BYTES = 64 * MIB
"""Kept in memory: about eight segments of 30 s at 2 Mbit/s."""
_COPIES_BYTES = 256 * MIB
"""With those that are only being sent: each viewer may have another one, and take its time."""
_LARGEST_BYTES = 256 * MIB
_REWRITE_WITHIN_S = 30.0
_DAMAGED_KNOWN = 1000
_PATHS_KNOWN = 1000
_BUFFER_BYTES = 1024
_AT_ONCE = 2
_MOST_WAITING = 32
_FRAGMENTED = "+frag_keyframe+empty_moov+delay_moov+default_base_moof"


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """The bytes of a segment. Its user closes its file."""

    file: BinaryIO
    size_bytes: int
    header_bytes: int
    """What comes before the first fragment."""
    is_read: bool = False
    """Whether its bytes have to be read: it is no file of the system, which sends by itself."""
    changed_ns: int = 0
    first_after: int = 0
    """How long after its decoding its first frame is shown, in units of the file."""


class _Copy:
    """The bytes of a segment in memory, as long as they are kept or sent."""

    def __init__(self, data: bytes) -> None:
        self.data = data


class _CopyFile(io.BytesIO):
    """Reads a copy, and keeps it until it is closed."""

    def __init__(self, copy: _Copy) -> None:
        super().__init__(copy.data)
        self._copy: _Copy | None = copy

    def close(self) -> None:
        self._copy = None
        super().close()


class SegmentBytes:
    """Opens the segments of one recorder."""

    def __init__(self, viewing: Viewing, binary: str) -> None:
        self._viewing = viewing
        self._binary = binary
        self._turns = Turns(_AT_ONCE, _MOST_WAITING, _REWRITE_WITHIN_S)
        self._rewritten: OrderedDict[SegmentKey, _Copy] = OrderedDict()
        self._copies: WeakSet[_Copy] = WeakSet()
        """All of them, with those that are only being sent."""
        self._damaged: OrderedDict[SegmentKey, None] = OrderedDict()
        self._paths: OrderedDict[SegmentKey, Path] = OrderedDict()
        """Where closed segments were found last. A player asks for a segment as often as it has parts."""

    async def open(self, key: SegmentKey) -> SegmentFile:
        """The bytes of a segment.

        Raises:
            RequestError: it is gone, or cannot be read.
            FFmpegError: it is of another program, and ffmpeg cannot be run, or not in time.
        """
        for _ in range(3):  # it may be closed, and get its name, between the look-up and this
            path = self._paths.get(key) or await self._viewing.path_of(key)
            if path is None:
                break
            try:
                found = await off_loop(_open, path)
            except FileNotFoundError:
                self._paths.pop(key, None)
                continue
            except OSError as error:
                raise RequestError("segment-gone") from error
            if found is not None:
                self._remember(key, path)
                return found
            return await self._rewrite(key, path)
        raise RequestError("segment-gone")

    def _remember(self, key: SegmentKey, path: Path) -> None:
        if path.suffix == OPEN_SUFFIX:  # it gets another name soon
            return
        self._paths[key] = path
        self._paths.move_to_end(key)
        if len(self._paths) > _PATHS_KNOWN:
            self._paths.popitem(last=False)

    async def _rewrite(self, key: SegmentKey, path: Path) -> SegmentFile:
        if key in self._damaged:  # players ask again and again
            raise UnreadableRangeError("moment-unreadable", at_us=key.start_us)
        async with self._turns.turn():
            copy = self._rewritten.get(key)
            if copy is None:
                if (await off_loop(path.stat)).st_size > _LARGEST_BYTES:
                    raise RequestError("segment-gone")
                if _size(self._copies) > _COPIES_BYTES:
                    raise RequestError("too-many-videos", limit=len(self._copies))
                copy = _Copy(await self._copy(key, path))
                self._copies.add(copy)
                self._rewritten[key] = copy
                while len(self._rewritten) > 1 and _size(self._rewritten.values()) > _REWRITTEN_BYTES:
                    self._rewritten.popitem(last=False)
            else:
                self._rewritten.move_to_end(key)
        file = _CopyFile(copy)
        header_bytes = _header_bytes(file, len(copy.data))
        if header_bytes is None:
            raise RequestError("segment-gone")
        return SegmentFile(file, len(copy.data), header_bytes, is_read=True)

    async def _copy(self, key: SegmentKey, path: Path) -> bytes:
        command = _command(self._binary, path)
        try:
            return await run_ffmpeg(command, niceness=CUT_NICENESS, timeout_s=_REWRITE_WITHIN_S)
        except FFmpegError as error:
            if error.code != "ffmpeg-failed":
                raise
            self._damaged[key] = None
            if len(self._damaged) > _DAMAGED_KNOWN:
                self._damaged.popitem(last=False)
            raise UnreadableRangeError("moment-unreadable", at_us=key.start_us) from error


def _size(copies: Iterable[_Copy]) -> int:
    return sum(len(one.data) for one in copies)


def open_file(path: Path) -> SegmentFile:
    """Any file of ours, without a header. Blocking.

    Raises:
        OSError: it does not exist, is not a regular file, or cannot be read.
    """
    file, status = _open_regular(path)
    return SegmentFile(file, status.st_size, 0, changed_ns=status.st_mtime_ns)


def with_header(segment: SegmentFile, begin: int, end: int) -> SegmentFile:
    """The bytes of a segment from `begin` to `end`, behind its header. They are read when they are needed: a viewer
    may take its time. Who closes the file of this closes that of the segment.

    Raises:
        RequestError: these are no bytes of its fragments.
    """
    if not segment.header_bytes <= begin < end <= segment.size_bytes:
        raise RequestError("no-such-page")
    part = _BehindHeader(segment.file, segment.header_bytes, begin, end)
    file = io.BufferedReader(part, _BUFFER_BYTES)
    return SegmentFile(file, part.size_bytes, segment.header_bytes, is_read=True, first_after=segment.first_after)


class _BehindHeader(io.RawIOBase):
    """The header of a file, and behind it some of its other bytes."""

    def __init__(self, file: BinaryIO, header_bytes: int, begin: int, end: int) -> None:
        self._file = file
        self._header_bytes, self._begin = header_bytes, begin
        self.size_bytes = header_bytes + end - begin
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size_bytes}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        behind = self._at - self._header_bytes
        count = min(len(buffer), self.size_bytes - self._at if behind >= 0 else -behind)
        self._file.seek(self._begin + behind if behind >= 0 else self._at)
        data = self._file.read(max(0, count))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _open_regular(path: Path) -> tuple[BinaryIO, os.stat_result]:
    """Blocking."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=1024)
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise FileNotFoundError(path)
    return file, status


def _open(path: Path) -> SegmentFile | None:
    """None for a file without fragments. Blocking.

    Raises:
        OSError: it does not exist, is not a regular file, or cannot be read.
    """
    file, status = _open_regular(path)
    try:
        header_bytes = _header_bytes(file, status.st_size)
        first_after = first_shown_after(file, status.st_size, header_bytes or status.st_size)
    except BaseException:
        file.close()
        raise
    if header_bytes is None:
        file.close()
        return None
    return SegmentFile(file, status.st_size, header_bytes, changed_ns=status.st_mtime_ns, first_after=first_after)


def _header_bytes(file: BinaryIO, file_bytes: int) -> int | None:
    """Where the fragments begin; None if there are none. Blocking."""
    try:
        at = 0
        while box := read_box(file, at, file_bytes):
            at = box.end
            if box.kind == b"moov":
                after = read_box(file, at, file_bytes)
                return at if after is not None and after.kind in (b"prft", b"moof", b"styp", b"sidx") else None
    except DAMAGE:
        pass
    return None


def _command(binary: str, path: Path) -> list[str]:
    copied = ffmpeg.input(f"file:{path}").output(
        "pipe:1", codec="copy", map="0:v:0", f="mp4", movflags=_FRAGMENTED, loglevel="level+error"
    )
    command: list[str] = copied.compile(cmd=binary)
    return command
