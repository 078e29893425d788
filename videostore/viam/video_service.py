"""The resource: a video service that sends what a recorder has stored, and what it records.

It uses a recorder of the same module, which it looks up for each request, or has one of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, ClassVar

from google.protobuf.timestamp_pb2 import Timestamp
from grpclib import Status
from viam.errors import ViamGRPCError
from viam.proto.app.robot import ComponentConfig
from viam.proto.common import ResourceName
from viam.resource.base import ResourceBase
from viam.resource.types import Model

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import ConfigError, RequestError, VideoStoreError
from videostore.base.tasks import end_task
from videostore.base.timestamps import CALENDAR, EARLIEST_US, LATEST_US
from videostore.clips.containers import CONTAINERS, DEFAULT_CONTAINER
from videostore.clips.turns import Turns
from videostore.config import Config, parse_video_service
from videostore.store.answer_budget import AnswerRoom
from videostore.store.clip_loading import load_clips
from videostore.store.request_tasks import closed_error
from videostore.viam.answer import plain_answer
from videostore.viam.camera import StorageCamera
from videostore.viam.dependencies import optional_dependencies
from videostore.viam.json_object import read_object
from videostore.viam.own_resource import SERVICE_MODEL, OwnResource, config_key
from videostore.viam.refusal import Refusal
from videostore.viam.stream_source import check_source
from videostore.viam.video_api import Video
from videostore.viam.web_servers import WebServers

_DEFAULTS = ("", "default")
_CODECS = {"h264": "h264", "avc": "h264", "h265": "hevc", "hevc": "hevc"}
"""ffmpeg's names of the codecs, by those that clients use."""
_BROKEN_OFF = struct.pack(">I4s", 1 << 20, b"mdat")
"""The header of a box that does not follow, with which a fragmented MP4 ends after an error: viam-server 1.4 passes on
no error of a video, and between two fragments it would look whole. A plain MP4 that lacks its end shows that itself."""
_READY_S = 5.0
"""How often formats are looked for that were not recorded before."""
_one_prepares = Turns(1)
"""To encode a frame of 4K takes some 200 MB for a moment, and many services start together. Where a disk hangs, the
first video of the others begins later, as it would without."""
_NANOSECONDS = 1_000_000_000


class VideoStorage(Video, OwnResource):
    """Model `viam:video:service`. `new` checks the config, `start` starts a recorder of its own, `close` ends it."""

    MODEL: ClassVar[Model] = SERVICE_MODEL

    def __init__(self, name: str, recorder: str | StorageCamera) -> None:
        """Use `new`. `recorder` is the name of another one, or the service's own."""
        super().__init__(name)
        self._recorder = recorder
        self._key = b""
        self._closed = False
        self._preparing: asyncio.Task[None] | None = None
        self._find: Callable[[str], ResourceBase | None] = lambda name: None

    @classmethod
    def validate_config(cls, config: ComponentConfig) -> tuple[Sequence[str], Sequence[str]]:
        """Check all attributes. Returns no required dependencies, and the optional ones.

        viam-server builds the recorder first, but the service also without it.

        Raises:
            ConfigError: an attribute is wrong; the first one is reported.
        """
        parsed, _ = cls.parse(config)
        return [], [parsed] if isinstance(parsed, str) else optional_dependencies(parsed)

    def use_web(self, servers: WebServers) -> None:
        """Show its own recorder with these, if it has one and its config asks for it."""
        if isinstance(self._recorder, StorageCamera):
            self._recorder.use_web(servers)

    @classmethod
    def parse(cls, config: ComponentConfig) -> tuple[str | Config, list[str]]:
        """The recorder's name, or the config of one, checked, and warnings about it. Blocking, briefly."""
        parsed, warnings = parse_video_service(config.name, read_object(config.attributes))
        if isinstance(parsed, Config) and parsed.source is not None:
            check_source(parsed.source)
        return parsed, warnings

    @classmethod
    def new(cls, config: ComponentConfig, dependencies: Mapping[ResourceName, ResourceBase]) -> VideoStorage:
        """Create the resource. It does nothing until `start`.

        Raises:
            Refusal: an attribute is wrong, or names a resource of another kind.
        """
        try:
            parsed, warnings = cls.parsed(config)
            if isinstance(parsed, str):
                service = cls(config.name, parsed)
                for warning in warnings:
                    service.logger.warning("%s", warning)
            else:
                service = cls(config.name, StorageCamera.of_config(config, parsed, warnings, dependencies))
        except ConfigError as error:
            raise Refusal(error) from error
        service._key = config_key(config)
        return service

    def adopt(self, config: ComponentConfig, dependencies: Mapping[ResourceName, ResourceBase]) -> bool:
        """Whether a running service is already what `new` would make of these; if it is not, nothing is changed."""
        if isinstance(self._recorder, StorageCamera):
            return self._recorder.adopt(config, dependencies)
        return self._key == config_key(config)

    def introduce(self, find: Callable[[str], ResourceBase | None]) -> None:
        """Be told, before `start`, how to find a camera of this module by its name. The recorder is one of them."""
        self._find = find

    async def start(self) -> None:
        """Start the recorder of its own, and load what makes videos: the first request is to begin as soon as others.

        Raises:
            Refusal: the encoder is not available, or the storage cannot be used.
        """
        if isinstance(self._recorder, StorageCamera):
            await self._recorder.start()
        self._preparing = asyncio.create_task(self._prepare())

    async def _prepare(self) -> None:
        try:
            await load_clips()
            while True:
                with contextlib.suppress(VideoStoreError, ViamGRPCError):  # it is not there yet, or its disk in trouble
                    store = self._found().store
                    async with _one_prepares.turn():
                        await store._make_videos_ready()
                await asyncio.sleep(_READY_S)
        except Exception:
            self.logger.exception("Videos cannot be made ready: the first one of a format begins later.")

    async def close(self) -> None:
        """Stop everything that `start` started. Videos that are being sent end at their next block."""
        self._closed = True
        if self._preparing is not None:
            await end_task(self._preparing)
        if isinstance(self._recorder, StorageCamera):
            await self._recorder.close()

    async def get_video(
        self,
        *,
        start: Timestamp | None,
        end: Timestamp | None,
        codec: str = "",
        container: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        """Yield the video of [start, end), block by block, each with the container that the blocks are of.

        Without an end it ends now; if `extra` has `follow`, it goes on as the recording does.

        Raises:
            Refusal: the request is refused, or the video cannot be made to its end. Its last box is cut off then.
            ViamGRPCError: the recorder is not there, or not running.
        """
        store = self._found().store
        begun = named = ""
        try:
            follow = _follow(extra or {})
            named = _container(container, follow=follow)
            from_us, to_us = _time_us(start, "start_timestamp"), None
            if end is not None:
                to_us = _time_us(end, "end_timestamp")
            sending = store._send_video(from_us, to_us, container=named, codec=_codec(codec), follow=follow)
            async with contextlib.aclosing(sending) as blocks:
                async for block in blocks:
                    if self._closed:
                        raise closed_error()
                    yield block, named
                    begun = named
        except Exception as error:
            if begun == "fmp4":
                yield _BROKEN_OFF, named
            if isinstance(error, VideoStoreError):
                raise Refusal(_in_words_of_the_request(error, codec)) from error
            raise

    async def do_command(
        self, command: Mapping[str, Any], *, timeout: float | None = None, **kwargs: Any
    ) -> Mapping[str, Any]:
        """Run a command of the recorder.

        Raises:
            Refusal, ViamGRPCError: as the recorder does.
        """
        return plain_answer(await self.answer(command, None, timeout=timeout))

    async def answer(
        self, command: Mapping[str, Any], room: AnswerRoom | None, *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """The same with the clip as `Base64Text`."""
        return await self._found().answer(command, room, timeout=timeout)

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> Mapping[str, Any]:
        """The recorder's health."""
        return await self._found().get_status(timeout=timeout)

    def _found(self) -> StorageCamera:
        if isinstance(self._recorder, StorageCamera):
            return self._recorder
        found = self._find(self._recorder)
        if not isinstance(found, StorageCamera):
            raise ViamGRPCError(
                f"This module has no recorder {self._recorder!r}: it is not built, or is not of the model"
                " viam:video:storage. Check the attribute 'recorder', or try again.",
                Status.UNAVAILABLE,
            )
        return found


def _follow(extra: Mapping[str, Any]) -> bool:
    follow = extra.get("follow", False)
    if not isinstance(follow, bool):
        raise RequestError("field-wrong", field="extra.follow", value=follow, expected="true or false")
    return follow


def _container(given: str, *, follow: bool) -> str:
    """The container that a request names. The default is a plain MP4, which every program opens; what is followed has
    no end, so it is fragmented.
    """
    named = given.lower()
    if named in _DEFAULTS:
        return "fmp4" if follow else DEFAULT_CONTAINER
    if named not in CONTAINERS:
        expected = f"one of {', '.join(CONTAINERS)}, or none"
        raise RequestError("field-wrong", field="video_container", value=given, expected=expected)
    if follow and named != "fmp4":
        raise RequestError("field-wrong", field="video_container", value=given, expected="fmp4 to follow, or none")
    return named


def _codec(given: str) -> str | None:
    """The codec that a request names, as ffmpeg does; None if it is to be as it is."""
    if given.lower() in _DEFAULTS:
        return None
    codec = _CODECS.get(given.lower())
    if codec is None:
        raise RequestError("field-wrong", field="video_codec", value=given, expected="h264 or h265, or none")
    return codec


def _time_us(time: Timestamp | None, field: str) -> int:
    if time is None:
        raise RequestError("field-missing", field=field, expected="a time")
    time_us = int(time.seconds) * US_PER_SECOND + int(time.nanos) // 1000
    if not 0 <= time.nanos < _NANOSECONDS:
        raise RequestError("field-wrong", field=field, value=time.nanos, expected="a time with 0 to 999999999 ns")
    if not EARLIEST_US <= time_us <= LATEST_US:
        raise RequestError("field-wrong", field=field, value=time.seconds, expected=f"a time of the days {CALENDAR}")
    return time_us


def _in_words_of_the_request(error: VideoStoreError, codec: str) -> VideoStoreError:
    """The same error with the names that the fields have in this request, and the codec as it was given."""
    fields = error.fields
    if error.code == "range-empty":
        return RequestError("video-range-empty", from_us=fields["from_us"], to_us=fields["to_us"])
    if error.code == "from-in-future":
        field = "start_timestamp"
        return RequestError("video-in-future", field=field, from_us=fields["from_us"], clock_us=fields["clock_us"])
    if fields.get("field") == "video_codec":
        return RequestError("field-wrong", field="video_codec", value=codec, expected=fields["expected"])
    return error
