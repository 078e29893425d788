"""A running machine, asked through the Viam SDK: the state of its recorder, and clips of any length.

`Machine` owns the connection. Importing this imports the SDK, which a directory does not need.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
from grpclib import GRPCError, Status
from viam.components.camera import Camera
from viam.robot.client import RobotClient

from videostore.base.constants import GIB, US_PER_SECOND
from videostore.base.errors import (
    MachineError,
    NothingStoredError,
    RequestError,
    TimestampError,
    TooLargeError,
    UnreadableRangeError,
    VideoStoreError,
    reason_of,
    shown,
)
from videostore.base.ranges import Range
from videostore.base.tasks import run_in_thread
from videostore.base.time_format import format_utc, format_utc_exact
from videostore.base.time_parsing import Moment, moment_us
from videostore.base.timestamps import parse_timestamp
from videostore.clips.progress import OnProgress
from videostore.clips.uploads import publish, tag_directory
from videostore.remote.connection import LOST, dial, parse_target, quiet_sdk, said
from videostore.remote.transfer import LIMIT, TOLD_US, Transfer
from videostore.store.results import ExportedClip, SavedClip, StorageState

_LOOK_S = 5.0
"""A camera that is no recorder may hang; those that are answer within a tenth of a second."""
_STATE_S = 20.0
_CLIP_S = 600.0
"""24 MiB in base64 over a line of half a megabit per second; also what a long save may take."""
_TRIES = 3
_RETRY_S = 1.0
_SAID: dict[str, type[VideoStoreError]] = {
    "received message larger than max": TooLargeError,
    "Nothing is stored in the range": NothingStoredError,
    "its files are damaged or gone": UnreadableRangeError,
}
"""What a refusal means although a server on the way has lost its status."""


class Machine:
    """The recorder of a machine, while it is connected. `connect` makes one."""

    def __init__(self, address: str, robot: RobotClient, component: str) -> None:
        """Use `connect`."""
        self.address = address
        self.component = component
        self._camera = Camera.from_robot(robot, component)

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls,
        address: str,
        *,
        api_key: str | None = None,
        api_key_id: str | None = None,
        component: str | None = None,
    ) -> AsyncIterator[Machine]:
        """Connect to a machine, until the context ends.

        With an API key and its id it is found wherever it is; without, a local one is asked at its address and port.
        `component` is the recorder; None: the only one that the machine has.

        Raises:
            RequestError: the address, the key's id or the component is wrong.
            MachineError: the machine does not answer, refuses the key, or has no recorder.
        """
        target = parse_target(address, api_key, api_key_id)
        with quiet_sdk():
            async with dial(target) as robot:
                yield cls(address, robot, await _find_recorder(address, robot, component))

    async def state(self) -> StorageState:
        """What is stored on the machine, and what room there is. Ranges are exact to the second.

        Raises:
            MachineError: the machine does not answer, or not as a recorder does.
        """
        return _parse_state(await self._command("get-storage-state", timeout_s=_STATE_S), self.component)

    async def save(
        self,
        start: Moment,
        end: Moment,
        *,
        metadata: str = "",
        tags: Sequence[str] = (),
        wait: bool = True,
    ) -> SavedClip:
        """Have the machine save the clip of [start, end) and upload it; `path` is that below its upload path.

        Moments are as for `export`. With `wait=False` the machine answers at once and saves later.

        Raises:
            RequestError: the machine refuses it.
            MachineError: the machine does not answer.
        """
        fields: dict[str, Any] = {"metadata": metadata, "tags": list(tags)} | ({} if wait else {"async": True})
        from_us, to_us = _resolve(start, end)
        answer = await self._command("save", from_us, to_us, timeout_s=_CLIP_S, **fields)
        name = answer.get("filename")
        if not isinstance(name, str):
            raise MachineError(f"{self.component} does not answer as a recorder does.")
        return SavedClip(name, tag_directory(tags) / name, _told_ranges(answer, from_us, to_us))

    async def export(
        self,
        start: Moment,
        end: Moment,
        path: str | Path,
        *,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ExportedClip:
        """Fetch the clip of [start, end), of any size, into a file, where it appears complete.

        Moments that are relative, or without a zone, go by the clock and the zone of this computer, not the machine's.
        A clip that is too large for one answer is fetched in pieces and joined, as exact as one that is not.
        `on_progress` gets the share that is done, from 0 to 1.

        Raises:
            RequestError: the range is refused, nothing is stored in it, or the file is there already.
            MachineError: the machine does not answer.
            FFmpegError: the picture changes within the range, and its parts could not be made even.
        """
        from_us, to_us = _resolve(start, end)
        target = Path(path).expanduser().absolute()
        if not overwrite and os.path.lexists(target):
            raise RequestError(f"The file {target} exists already: name another one, or overwrite it.")
        if not target.parent.is_dir():
            raise RequestError(f"There is no directory {target.parent} for the file {target.name}: make it first.")
        try:
            async with _work_beside(target) as work:
                clip = Transfer(self.fetch, work, Range(from_us, to_us), on_progress)
                await clip.fetch()
                await run_in_thread(publish, clip.path, target)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            if not isinstance(error, OSError):
                raise MachineError(
                    f"What {self.component} of {self.address} sent is no clip: {reason_of(error)}."
                ) from error
            raise VideoStoreError(
                f"The clip cannot be written to the directory {target.parent}: {reason_of(error)}."
            ) from error
        return ExportedClip(target, clip.ranges)

    async def fetch(self, from_us: int, to_us: int, path: Path) -> tuple[Range, ...] | None:
        """Fetch the clip of a range that one answer can carry into a file; tell what it holds, where that is not all.

        Raises:
            TooLargeError: an answer cannot carry it.
            RequestError: the machine refuses it for another reason, which may be that nothing is stored there.
            MachineError: the machine does not answer.
        """
        for left in reversed(range(_TRIES)):
            try:
                answer = await self._command("fetch", from_us, to_us, timeout_s=_CLIP_S)
                break
            except MachineError as error:
                if not left or not _may_pass(error.__cause__):
                    raise
            await asyncio.sleep(_RETRY_S)
        await run_in_thread(_write_decoded, path, answer)
        return _told_ranges(answer, from_us, to_us)

    async def _command(
        self, name: str, from_us: int | None = None, to_us: int | None = None, *, timeout_s: float, **fields: Any
    ) -> dict[str, Any]:
        command: dict[str, Any] = {"command": name, **fields}
        if from_us is not None and to_us is not None:
            command |= {"from": _written(from_us), "to": _written(to_us)}
        with _explained(self.address, self.component, timeout_s):
            return dict(await self._camera.do_command(command, timeout=timeout_s))


async def _find_recorder(address: str, robot: RobotClient, component: str | None) -> str:
    cameras = [
        name.name
        for name in robot.resource_names
        if (name.namespace, name.type, name.subtype) == ("rdk", "component", "camera")
    ]
    among = f"its cameras are {', '.join(cameras)}" if cameras else "it has no camera"
    if component is not None:
        if component not in cameras:
            raise RequestError(f"The machine at {address} has no recorder {shown(component)}: {among}.")
        return component
    answers = await asyncio.gather(*(_is_recorder(robot, name) for name in cameras))
    found = [name for name, answer in zip(cameras, answers, strict=True) if answer]
    if len(found) == 1:
        return found[0]
    if found:
        raise RequestError(f"The machine at {address} has several recorders: name one of {', '.join(found)}.")
    raise MachineError(f"No recorder answers on the machine at {address}: {among}.")


async def _is_recorder(robot: RobotClient, name: str) -> bool:
    """Whether a camera answers as a recorder does: its model cannot be asked for."""
    try:
        answer = await Camera.from_robot(robot, name).do_command({"command": "get-storage-state"}, timeout=_LOOK_S)
        _parse_state(answer, name)
    except (GRPCError, OSError, asyncio.TimeoutError, MachineError, *LOST):
        return False
    return True


def _parse_state(answer: Mapping[str, Any], component: str) -> StorageState:
    try:
        usage = answer["disk_usage"]
        return StorageState(
            ranges=tuple(_range(one) for one in answer["stored_video"] or ()),
            storage_path=Path(usage["storage_path"]),
            used_bytes=round(usage["storage_used_gb"] * GIB),
            limit_bytes=round(usage["storage_limit_gb"] * GIB) or None,
            device_free_bytes=round(usage["device_storage_remaining_gb"] * GIB),
        )
    except (KeyError, TypeError, ValueError, AttributeError, TimestampError) as error:
        raise MachineError(f"{component} does not answer as a recorder does.") from error


def _told_ranges(answer: Mapping[str, Any], from_us: int, to_us: int) -> tuple[Range, ...] | None:
    """What a clip holds, out of an answer; what is cut off below the millisecond is put back at its ends."""
    if "ranges" not in answer:
        return None
    ranges = [_range(one) for one in answer["ranges"]]
    ranges = [replace(one, from_us=max(one.from_us, from_us)) for one in ranges]
    return tuple(replace(one, to_us=to_us) if one.to_us == to_us // TOLD_US * TOLD_US else one for one in ranges)


def _range(told: Mapping[str, Any]) -> Range:
    return Range(parse_timestamp(told["from"], "from"), parse_timestamp(told["to"], "to"))


def _resolve(start: Moment, end: Moment) -> tuple[int, int]:
    """The range that is meant, by the clock of this computer."""
    now_us = time.time_ns() // 1000
    from_us = moment_us(start, "from", now_us=now_us)
    to_us = moment_us(end, "to", now_us=now_us, after_us=from_us)
    if from_us >= to_us:
        raise RequestError(
            f"'from' ({format_utc_exact(from_us)}) must lie before 'to' ({format_utc_exact(to_us)}),"
            " else the range is empty."
        )
    return from_us, to_us


def _written(time_us: int) -> str:
    """A time to the microsecond, in the form of the commands."""
    return f"{format_utc(time_us)[:-1]}.{time_us % US_PER_SECOND:06d}Z"


def _write_decoded(path: Path, answer: dict[str, Any]) -> None:
    video = answer.pop("video", None)
    if not isinstance(video, str):
        raise ValueError("the answer has no video")
    path.write_bytes(base64.b64decode(video, validate=True))


def _may_pass(error: BaseException | None) -> bool:
    """Whether asking again may help: the connection is made anew, and a recorder may just be starting."""
    return isinstance(error, LOST) or (isinstance(error, GRPCError) and error.status is Status.UNAVAILABLE)


_REFUSALS: dict[Status, type[VideoStoreError]] = {
    Status.NOT_FOUND: NothingStoredError,
    Status.DATA_LOSS: UnreadableRangeError,
    Status.INVALID_ARGUMENT: RequestError,
}


@contextlib.contextmanager
def _explained(address: str, component: str, timeout_s: float) -> Iterator[None]:
    """Let every failure of a call be a sentence, which may be the machine's own.

    Raises:
        RequestError: the machine refuses.
        MachineError: the machine does not answer, or fails.
    """
    try:
        yield
    except GRPCError as error:
        sentence = f"{said(error)}."
        if LIMIT.search(sentence):
            raise TooLargeError(sentence) from error
        if error.status in _REFUSALS:
            raise _REFUSALS[error.status](sentence) from error
        for words, kind in _SAID.items():
            if words in sentence:
                raise kind(sentence) from error
        if error.status in (Status.UNKNOWN, Status.UNIMPLEMENTED):
            raise MachineError(f"{component} does not answer as a recorder does: {sentence}") from error
        raise MachineError(sentence) from error
    except asyncio.TimeoutError as error:
        raise MachineError(f"The machine at {address} did not answer within {timeout_s:g} s.") from error
    except (OSError, *LOST) as error:
        raise MachineError(f"The connection to the machine at {address} was lost: {said(error)}.") from error


@contextlib.asynccontextmanager
async def _work_beside(target: Path) -> AsyncIterator[Path]:
    """A directory on the device of a file, so that renaming is enough; it is removed at the end."""
    work = Path(tempfile.mkdtemp(prefix=".videostore-", dir=target.parent))
    try:
        yield work
    finally:
        await run_in_thread(_remove, work)


def _remove(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
