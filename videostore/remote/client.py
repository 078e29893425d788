"""A running machine, reached through the Viam SDK: the state of its recorder, and clips of any length.

`Machine` owns the connection. Importing this module imports the SDK, which a local directory does not need.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from grpclib import GRPCError, Status
from viam.components.camera import Camera
from viam.robot.client import RobotClient

from videostore.base.errors import MachineError, RequestError, VideoStoreError, reason_of
from videostore.base.files import AnyPath, as_path
from videostore.base.ranges import MOST_DAMAGED, DamagedRange, Range, damaged_within
from videostore.base.tasks import finish_despite_cancellation, off_loop, run_in_thread
from videostore.base.time_parsing import Moment, moment_us
from videostore.clips.clip_names import tag_directory
from videostore.clips.output_path import CLIP, check_output_path
from videostore.clips.picture import Snapshot, check_width
from videostore.clips.progress import OnProgress
from videostore.clips.uploads import publish
from videostore.media.libav import av
from videostore.media.shown_picture import WIDEST
from videostore.remote.call_errors import LOST, status_of, translated_errors
from videostore.remote.connection import dial, parse_target, quiet_sdk
from videostore.remote.recorders import LOOK_S, find_recorder
from videostore.remote.responses import clip_ranges, damaged_ranges, parse_event, parse_snapshot, parse_state, timestamp
from videostore.remote.transfer import Transfer
from videostore.remote.video import NoServiceError, VideoService, held_ranges
from videostore.storage.notes import Event
from videostore.store.marking import AROUND_S
from videostore.store.results import ExportedClip, SavedClip, StorageState

_STATE_S = 20.0
_CLIP_S = 600.0
"""Enough for 24 MiB in base64 at half a megabit per second, and for a long save."""
_ATTEMPTS = 3
_RETRY_S = 1.0


class Machine:
    """The recorder of a machine, while it is connected. `connect` creates one."""

    def __init__(self, address: str, robot: RobotClient, component: str) -> None:
        """Use `connect`."""
        self.address = address
        self.component = component
        self._robot = robot
        self._camera: Any = Camera.from_robot(robot, component)

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

        With an API key and its id, the machine is found by its name, wherever it is. Without a key, `address` is the
        host and port of a machine in the local network. `component` is the name of the recorder; None stands for the
        only one that the machine has.

        Raises:
            RequestError: the address, the key's id or the component is wrong.
            MachineError: the machine does not respond, refuses the key, or has no recorder.
        """
        target = parse_target(address, api_key, api_key_id)
        with quiet_sdk():
            async with dial(target) as robot:
                yield cls(address, robot, await find_recorder(address, robot, component))

    async def state(self) -> StorageState:
        """What is stored on the machine, and the free space there. Ranges of a module of 0.1.0 are rounded outwards to
        the second.

        Raises:
            VideoStoreError: the machine's recorder failed.
            MachineError: the machine does not respond, or not as a recorder does.
        """
        return parse_state(await self._command("get-storage-state", timeout_s=_STATE_S, exact=True), self.component)

    async def status(self) -> dict[str, Any]:
        """What the recorder says of itself, as `get_status`. Raises as `state`, also if its version does not tell."""
        with translated_errors(self.address, self.component, LOOK_S):
            return dict(await self._camera.get_status(timeout=LOOK_S))

    async def save(
        self,
        start: Moment,
        end: Moment,
        *,
        metadata: str = "",
        tags: Sequence[str] = (),
        wait: bool = True,
        container: str | None = None,
    ) -> SavedClip:
        """Let the machine save the clip of [start, end) and upload it. `path` of the result is below its upload path.

        `container` is `mp4` or `fmp4`; modules of 0.1.0 save `mp4` whatever it is. Moments are as for `export`. With
        `wait=False` the machine responds at once and saves later.

        Raises:
            RequestError: the machine refuses the request.
            VideoStoreError: the save failed on the machine.
            MachineError: the machine does not respond.
        """
        fields: dict[str, Any] = {"metadata": metadata, "tags": list(tags)} | ({} if wait else {"async": True})
        fields |= {} if container is None else {"container": container}
        from_us, to_us = _resolve(start, end)
        response = await self._command("save", from_us, to_us, timeout_s=_CLIP_S, **fields)
        name = response.get("filename")
        if not isinstance(name, str):
            raise MachineError("not-a-recorder", component=self.component)
        ranges = clip_ranges(response, from_us, to_us)
        return SavedClip(name, tag_directory(tags) / name, ranges, damaged_ranges(response))

    async def snapshot(self, at: Moment, *, width: int | None = None, exact: bool = True) -> Snapshot:
        """The picture that the machine's recording shows at a moment, as `VideoStore.snapshot`.

        A relative moment, and one without a time zone, refers to the clock and the zone of this computer.

        Raises:
            RequestError: the machine refuses the request, or nothing was recorded then.
            VideoStoreError: the machine could not make the picture.
            MachineError: the machine does not respond.
        """
        at_us = moment_us(at, "at", now_us=time.time_ns() // 1000)
        check_width(width)
        fields: dict[str, Any] = {"at": timestamp(at_us), "width": WIDEST if width is None else width, "exact": exact}
        response = await self._command("get-frame", timeout_s=_STATE_S, **fields)
        return parse_snapshot(response, self.component)

    async def mark(
        self,
        label: str,
        at: Moment = "now",
        *,
        before_s: float = AROUND_S,
        after_s: float = AROUND_S,
        keep: bool = False,
        save: bool = False,
        metadata: str | None = None,
        tags: Sequence[str] = (),
    ) -> Event:
        """Mark a moment of the machine's recording, as `VideoStore.mark`. `now` is the present by the machine's clock.

        Raises:
            RequestError: the machine refuses the request.
            VideoStoreError: the machine could not note it.
            MachineError: the machine does not respond.
        """
        fields: dict[str, Any] = {"label": label, "before_s": before_s, "after_s": after_s, "keep": keep, "save": save}
        fields |= {"tags": list(tags)} | ({} if metadata is None else {"metadata": metadata})
        if at != "now":
            fields["at"] = timestamp(moment_us(at, "at", now_us=time.time_ns() // 1000))
        return parse_event(await self._command("mark", timeout_s=_STATE_S, **fields), self.component)

    async def unmark(self, id: int, *, release: bool = False, cancel_save: bool = False) -> str | None:
        """Forget an event, as `VideoStore.unmark`.

        Raises:
            RequestError: there is no such event.
            VideoStoreError: the machine could not note it.
            MachineError: the machine does not respond.
        """
        fields = {"id": id, "release": release, "cancel_save": cancel_save}
        response = await self._command("unmark", timeout_s=_STATE_S, **fields)
        name = response.get("filename")
        return name if isinstance(name, str) else None

    async def export(
        self,
        start: Moment,
        end: Moment,
        path: AnyPath,
        *,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ExportedClip:
        """Fetch the clip of [start, end), of any size, into a file. The file appears when it is complete.

        Relative moments, and moments without a time zone, refer to the clock and the zone of this computer, not of the
        machine. If the machine has a video service of this recorder, the clip comes from that, in one piece. Otherwise
        one that is too large for a response is fetched in pieces, which are joined without losing precision.
        `on_progress` gets the finished share, from 0 to 1.

        Raises:
            RequestError: the machine refuses the range, nothing is stored in it, or the file must not be written.
            VideoStoreError: the machine could not make the clip, or the file cannot be written.
            MachineError: the machine does not respond.
            FFmpegError: the image size changes within the range, and the parts could not be re-encoded to one size.
        """
        from_us, to_us = _resolve(start, end)
        target = as_path(path).expanduser().absolute()
        damaged: list[DamagedRange] = []
        try:
            output = await off_loop(check_output_path, target, None, overwrite, CLIP)
            async with _work_beside(output) as work:
                path, ranges = await self._transfer(Range(from_us, to_us), work, on_progress, damaged)
                await run_in_thread(publish, path, output, overwrite)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            if not isinstance(error, OSError):
                raise MachineError(
                    "clip-invalid", component=self.component, address=self.address, reason=reason_of(error)
                ) from error
            raise VideoStoreError("clip-not-written", path=target.parent, reason=reason_of(error)) from error
        return ExportedClip(target, ranges, damaged_within(damaged, Range(from_us, to_us)))

    async def _transfer(
        self, asked: Range, work: Path, on_progress: OnProgress | None, damaged: list[DamagedRange]
    ) -> tuple[Path, tuple[Range, ...] | None]:
        """Get the clip of a range. Returns its path and what it holds; `damaged` takes in what of it came damaged."""
        service, state = None, None
        if any(name.subtype == "video" for name in self._robot.resource_names):
            names, channel, state = self._robot.resource_names, self._camera.channel, await self.state()
            service = await VideoService.find(names, channel, self.address, state)
        # The state lists so many damaged stretches at most, and a clip from the service tells none.
        if service is not None and state is not None and len(state.damaged) < MOST_DAMAGED:
            path = work / "video.mp4"
            with contextlib.suppress(NoServiceError):
                await service.download(asked, path, on_progress)
                damaged += (await self.state()).damaged
                return path, await held_ranges(path, asked, self.fetch, work)
        clip = Transfer(functools.partial(self._fetch, damaged=damaged), work, asked, on_progress)
        await clip.fetch()
        return clip.path, clip.ranges

    async def fetch(self, from_us: int, to_us: int, path: Path) -> tuple[Range, ...] | None:
        """Fetch the clip of a range into a file, with one response. Returns what it holds, or None for the whole range.

        Raises:
            TooLargeError: the clip is too large for one response.
            RequestError: the machine refuses the range for another reason, for example because nothing is stored there.
            VideoStoreError: the machine could not make the clip.
            MachineError: the machine does not respond.
        """
        return await self._fetch(from_us, to_us, path, [])

    async def _fetch(
        self, from_us: int, to_us: int, path: Path, damaged: list[DamagedRange]
    ) -> tuple[Range, ...] | None:
        """The same; `damaged` takes in what of it came damaged."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                response = await self._command("fetch", from_us, to_us, timeout_s=_CLIP_S)
                break
            except VideoStoreError as error:
                if not left or not _is_temporary(error.__cause__):
                    raise
            await asyncio.sleep(_RETRY_S)
        await run_in_thread(_write_decoded, path, response)
        damaged += damaged_ranges(response)
        return clip_ranges(response, from_us, to_us)

    async def _command(
        self, name: str, from_us: int | None = None, to_us: int | None = None, *, timeout_s: float, **fields: Any
    ) -> dict[str, Any]:
        command: dict[str, Any] = {"command": name, **fields}
        if from_us is not None and to_us is not None:
            command |= {"from": timestamp(from_us), "to": timestamp(to_us)}
        with translated_errors(self.address, self.component, timeout_s):
            return dict(await self._camera.do_command(command, timeout=timeout_s))


def _resolve(start: Moment, end: Moment) -> tuple[int, int]:
    """The range between two moments, by the clock of this computer."""
    now_us = time.time_ns() // 1000
    from_us = moment_us(start, "from", now_us=now_us)
    to_us = moment_us(end, "to", now_us=now_us, after_us=from_us)
    if from_us >= to_us:
        raise RequestError("range-empty", from_us=from_us, to_us=to_us)
    return from_us, to_us


def _write_decoded(path: Path, response: dict[str, Any]) -> None:
    video = response.pop("video", None)
    if not isinstance(video, str):
        raise ValueError("the response has no video")
    path.write_bytes(base64.b64decode(video, validate=True))


def _is_temporary(error: BaseException | None) -> bool:
    """Whether another attempt may succeed: the connection is made again, and a recorder may be starting or stopping."""
    return isinstance(error, LOST) or (isinstance(error, GRPCError) and status_of(error) is Status.UNAVAILABLE)


@contextlib.asynccontextmanager
async def _work_beside(target: Path) -> AsyncIterator[Path]:
    """A temporary directory beside a file, on the same device, so that a rename is enough. It is removed at the end."""
    make = functools.partial(tempfile.mkdtemp, prefix=".videostore-", dir=target.parent)
    making = asyncio.get_running_loop().run_in_executor(None, make)
    try:
        await finish_despite_cancellation(making)  # the thread makes it even if the caller is cancelled
        yield Path(making.result())
    finally:
        if not making.cancelled() and making.exception() is None:
            await run_in_thread(_remove, Path(making.result()))


def _remove(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
