"""Segment bytes: where the bytes are that an address of a segment names.

Those of our segments are in their files. A segment of another program is a plain MP4, which no player takes in parts:
ffmpeg copies its frames into fragments, without encoding, and the last few are kept.
"""

from __future__ import annotations

import io
import os
import stat
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import ffmpeg

from videostore.base.constants import CUT_NICENESS, MIB
from videostore.base.errors import FFmpegError, RequestError, UnreadableRangeError
from videostore.base.tasks import off_loop
from videostore.clips.turns import Turns
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.boxes import DAMAGE, read_box
from videostore.media.segment_names import OPEN_SUFFIX
from videostore.store.viewing import SegmentKey, Viewing

_REWRITTEN_BYTES = 64 * MIB
"""Kept in memory: about eight segments of 30 s at 2 Mbit/s."""
_LARGEST_BYTES = 256 * MIB
_REWRITE_WITHIN_S = 30.0
_DAMAGED_KNOWN = 1000
_PATHS_KNOWN = 1000
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
    in_memory: bool = False
    """Whether it is a copy in memory instead of a file of the system."""
    changed_ns: int = 0


class SegmentBytes:
    """Opens the segments of one recorder."""

    def __init__(self, viewing: Viewing, binary: str) -> None:
        self._viewing = viewing
        self._binary = binary
        self._turns = Turns(_AT_ONCE, _MOST_WAITING, _REWRITE_WITHIN_S)
        self._rewritten: OrderedDict[SegmentKey, bytes] = OrderedDict()
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
            data = self._rewritten.get(key)
            if data is None:
                if (await off_loop(path.stat)).st_size > _LARGEST_BYTES:
                    raise RequestError("segment-gone")
                data = await self._copy(key, path)
                self._rewritten[key] = data
                while len(self._rewritten) > 1 and sum(map(len, self._rewritten.values())) > _REWRITTEN_BYTES:
                    self._rewritten.popitem(last=False)
            else:
                self._rewritten.move_to_end(key)
        file = io.BytesIO(data)
        header_bytes = _header_bytes(file, len(data))
        if header_bytes is None:
            raise RequestError("segment-gone")
        return SegmentFile(file, len(data), header_bytes, in_memory=True)

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


def open_file(path: Path) -> SegmentFile:
    """Any file of ours, without a header. Blocking.

    Raises:
        OSError: it does not exist, is not a regular file, or cannot be read.
    """
    file, status = _open_regular(path)
    return SegmentFile(file, status.st_size, 0, changed_ns=status.st_mtime_ns)


def with_header(segment: SegmentFile, begin: int, end: int) -> SegmentFile:
    """The bytes of a segment from `begin` to `end`, behind its header, in memory. Blocking.

    Raises:
        RequestError: these are no bytes of its fragments, or too many.
    """
    if not segment.header_bytes <= begin < end <= segment.size_bytes or end - begin > _REWRITTEN_BYTES:
        raise RequestError("no-such-page")
    segment.file.seek(0)
    header = segment.file.read(segment.header_bytes)
    segment.file.seek(begin)
    data = header + segment.file.read(end - begin)
    return SegmentFile(io.BytesIO(data), len(data), len(header), in_memory=True)


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
    except BaseException:
        file.close()
        raise
    if header_bytes is None:
        file.close()
        return None
    return SegmentFile(file, status.st_size, header_bytes, changed_ns=status.st_mtime_ns)


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
