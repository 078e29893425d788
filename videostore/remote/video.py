"""The video service of a recorder on another machine: it sends a clip of any length in one piece."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from google.protobuf.timestamp_pb2 import Timestamp
from grpclib import GRPCError, Status
from viam.proto.common import DoCommandRequest, ResourceName
from viam.proto.service.video import GetVideoRequest, VideoServiceStub
from viam.utils import dict_to_struct, struct_to_dict

from videostore.base.constants import MIB, US_PER_SECOND
from videostore.base.errors import (
    MachineError,
    NoRoomError,
    NothingStoredError,
    RequestError,
    UnreadableRangeError,
    VideoStoreError,
)
from videostore.base.ranges import Range, merge_ranges
from videostore.base.tasks import off_loop, run_in_thread
from videostore.clips.progress import OnProgress
from videostore.media.boxes import read_box
from videostore.media.clip_reader import read_clip_times
from videostore.remote.call_errors import status_of, translated_errors
from videostore.store.results import StorageState

_LOOK_S = 5.0
_FIRST_S = 3600.0
"""So long the machine may make a clip: a day of video from a slow disk."""
_STALL_S = 120.0
"""So long nothing of a clip may come once it has begun."""
_WRITTEN_BYTES = MIB
_EDGE_US = US_PER_SECOND
"""The clip of so much at either end tells whether the range is held there. Its tags tell about the frames alone: a
frame from before the range may last into it."""
_OTHER_WAY = frozenset({Status.UNIMPLEMENTED, Status.UNAVAILABLE, Status.UNKNOWN, Status.NOT_FOUND})

Fetch = Callable[[int, int, Path], Awaitable[tuple[Range, ...] | None]]


class NoServiceError(Exception):
    """The machine has no video service for this, or it cannot make the clip: it has to come in another way."""


class VideoService:
    """A video service that uses the same storage as a recorder. `find` finds it."""

    def __init__(self, name: str, stub: Any, address: str, bytes_per_us: float) -> None:
        """`bytes_per_us` is about what a recording takes."""
        self._name = name
        self._stub = stub
        self._address = address
        self._bytes_per_us = bytes_per_us

    @classmethod
    async def find(
        cls, names: Sequence[ResourceName], channel: Any, address: str, state: StorageState
    ) -> VideoService | None:
        """The one among these resources that answers with the recorder's storage; None if there is none."""
        stub = VideoServiceStub(channel)
        stored_us = sum(one.to_us - one.from_us for one in state.ranges)
        for name in names:
            if (name.namespace, name.type, name.subtype) != ("rdk", "service", "video"):
                continue
            with contextlib.suppress(VideoStoreError):
                command = DoCommandRequest(name=name.name, command=dict_to_struct({"command": "get-storage-state"}))
                with translated_errors(address, name.name, _LOOK_S):
                    answer: Any = struct_to_dict((await stub.DoCommand(command, timeout=_LOOK_S)).result)
                usage = answer.get("disk_usage")
                if isinstance(usage, dict) and usage.get("storage_path") == str(state.storage_path):
                    return cls(name.name, stub, address, state.used_bytes / max(stored_us, 1))
        return None

    async def download(self, asked: Range, path: Path, on_progress: OnProgress | None) -> None:
        """Write the clip of a range to a file.

        Raises:
            NoServiceError: this machine cannot send it in one piece.
            VideoStoreError: the machine refuses the range, or could not make the clip.
            MachineError: the machine does not respond.
        """
        request = GetVideoRequest(
            name=self._name,
            start_timestamp=_timestamp(asked.from_us),
            end_timestamp=_timestamp(asked.to_us),
            video_container="mp4",
        )
        try:
            with translated_errors(self._address, self._name, _STALL_S):
                file = await off_loop(_create, path)
                try:
                    await self._receive(request, file, asked, on_progress)
                finally:
                    await run_in_thread(file.close)
            if not await run_in_thread(_is_whole, path):
                raise NoServiceError  # viam-server 1.4 passes on no error of a video
        except NoRoomError as error:
            raise NoServiceError from error
        except MachineError as error:
            if isinstance(error.__cause__, GRPCError) and status_of(error.__cause__) in _OTHER_WAY:
                raise NoServiceError from error
            raise
        except RequestError as error:
            if error.code == "too-many-videos":
                raise NoServiceError from error
            raise

    async def _receive(
        self, request: GetVideoRequest, file: BinaryIO, asked: Range, on_progress: OnProgress | None
    ) -> None:
        expected_bytes = max(self._bytes_per_us * (asked.to_us - asked.from_us), 1)
        received, waiting, within_s = 0, bytearray(), _FIRST_S
        async with self._stub.GetVideo.open() as stream:
            await stream.send_message(request, end=True)
            while (chunk := await asyncio.wait_for(stream.recv_message(), within_s)) is not None:
                within_s = _STALL_S
                waiting += chunk.video_data
                received += len(chunk.video_data)
                if len(waiting) >= _WRITTEN_BYTES:
                    await run_in_thread(file.write, bytes(waiting))
                    waiting.clear()
                if on_progress is not None:
                    on_progress(min(received / expected_bytes, 1.0))
        await run_in_thread(file.write, bytes(waiting))


async def held_ranges(path: Path, asked: Range, fetch: Fetch, work: Path) -> tuple[Range, ...] | None:
    """What a clip holds of the range for which it was made; None if that is all of it.

    Raises:
        VideoStoreError: the clip does not tell its times, or the machine does not respond.
    """
    times = await run_in_thread(read_clip_times, path)
    ranges = merge_ranges([Range(one.from_us, min(one.to_us, asked.to_us)) for one in times.stretches])
    begin_us, end_us = min(asked.from_us + _EDGE_US, asked.to_us), max(asked.to_us - _EDGE_US, asked.from_us)
    if (begins := await _held_at(Range(asked.from_us, begin_us), fetch, work)) is not None:
        ranges[0] = replace(ranges[0], from_us=min(begins[0].from_us, ranges[0].from_us))
    if (ends := await _held_at(Range(end_us, asked.to_us), fetch, work)) is not None:
        ranges[-1] = replace(ranges[-1], to_us=max(ends[-1].to_us, ranges[-1].to_us))
    return None if ranges == [asked] else tuple(ranges)


async def _held_at(edge: Range, fetch: Fetch, work: Path) -> Sequence[Range] | None:
    path = work / "edge.mp4"
    try:
        ranges = await fetch(edge.from_us, edge.to_us, path)
    except (NothingStoredError, UnreadableRangeError):
        return None
    return [edge] if ranges is None else ranges


def _is_whole(path: Path) -> bool:
    """Whether a plain MP4 has its index and its frames to their end. Blocking."""
    with path.open("rb") as file:
        size_bytes, kinds, end = path.stat().st_size, set(), 0
        while box := read_box(file, end, size_bytes):
            kinds.add(box.kind)
            end = box.end
    return end == size_bytes and {b"moov", b"mdat"} <= kinds


def _create(path: Path) -> BinaryIO:
    return path.open("wb")


def _timestamp(time_us: int) -> Timestamp:
    seconds, us = divmod(time_us, US_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=us * 1000)
