"""The resource: a camera component that records another camera."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from grpclib import Status
from viam.components.camera import Camera
from viam.errors import NotSupportedError, ViamGRPCError
from viam.media.video import NamedImage
from viam.proto.app.robot import ComponentConfig
from viam.proto.common import Geometry, ResourceName, ResponseMetadata
from viam.resource.base import ResourceBase
from viam.resource.types import Model

from videostore.base.clock import SystemClock
from videostore.base.constants import CAMERA_SILENCE_S, US_PER_SECOND
from videostore.base.errors import ConfigError, VideoStoreError, reason_of
from videostore.config import Config, parse_config
from videostore.ffmpeg.encoder import Encoder
from videostore.store.answer_budget import AnswerRoom
from videostore.store.store import VideoStore
from videostore.viam.absent_camera import AbsentCamera
from videostore.viam.answer import plain_answer
from videostore.viam.camera_properties import properties_of
from videostore.viam.commands import answer, describe_health
from videostore.viam.dependencies import find_camera, find_data_manager, optional_dependencies
from videostore.viam.json_object import read_object
from videostore.viam.memory import MemoryReturn
from videostore.viam.own_resource import STORAGE_MODEL, OwnResource, config_key
from videostore.viam.poller import FramePoller, LatestImage
from videostore.viam.refusal import Refusal
from videostore.viam.stream_source import CAMERA_ERRORS, camera_images, check_source, newest_image, open_source
from videostore.viam.web_process import ShownRecorder
from videostore.viam.web_servers import WebServers

if TYPE_CHECKING:
    from videostore.sources.camera_stream import CameraStream


class StorageCamera(Camera, OwnResource):
    """Model `viam:video:storage`. `new` checks the config, `start` starts recording, and `close` ends what it owns."""

    MODEL: ClassVar[Model] = STORAGE_MODEL
    _advised: ClassVar[set[str]] = set()
    """Recorders for which the log has said that there is `source`; viam-server may rebuild them at any time."""
    _closed: ClassVar[set[Path]] = set()
    """The storage directories of the recorders that were closed."""

    def __init__(self, config: Config, source: Camera | None, *, uploads: bool = True) -> None:
        """Use `new`. `source` is the camera of the config and `uploads` its data manager, if they are there."""
        super().__init__(config.name)
        self._config = config
        self._clock = SystemClock()
        self._uploads = uploads
        self._made_of: tuple[bytes, ResourceBase | None] | None = None
        """The config and the camera's client that `new` was given."""
        self._camera = source
        self._source = None if config.source else self._make_source(source)
        self._stream: CameraStream | None = None
        """What is recorded instead of the camera's images, if the config has a source; from `start` on."""
        self._store: VideoStore | None = None
        self._memory = MemoryReturn()
        self._web_servers: WebServers | None = None
        self._telling: asyncio.TimerHandle | None = None

    def _make_source(self, camera: Camera | None) -> FramePoller | AbsentCamera | None:
        config = self._config
        if camera is not None:
            return FramePoller(camera, config.source_name, config.framerate, self._clock, self.logger)
        return AbsentCamera(config.camera) if config.camera else None

    @classmethod
    def validate_config(cls, config: ComponentConfig) -> tuple[Sequence[str], Sequence[str]]:
        """Check all attributes. Returns no required dependencies, and the optional ones: camera and data manager.

        Raises:
            ConfigError: an attribute is wrong; the first one is reported.
        """
        parsed, _ = cls.parse(config)
        return [], optional_dependencies(parsed)

    @classmethod
    def parse(cls, config: ComponentConfig) -> tuple[Config, list[str]]:
        """The config, checked, and warnings about it. Blocking, briefly."""
        parsed, warnings = parse_config(config.name, read_object(config.attributes))
        if parsed.source is not None:
            check_source(parsed.source)
        return parsed, warnings

    @classmethod
    def new(cls, config: ComponentConfig, dependencies: Mapping[ResourceName, ResourceBase]) -> StorageCamera:
        """Create the resource. It does nothing until `start`. The camera and the data manager may be missing.

        Raises:
            Refusal: an attribute is wrong, or names a resource of another kind.
        """
        try:
            parsed, warnings = cls.parsed(config)
            return cls.of_config(config, parsed, warnings, dependencies)
        except ConfigError as error:
            raise Refusal(error) from error

    @classmethod
    def of_config(
        cls,
        config: ComponentConfig,
        parsed: Config,
        warnings: Sequence[str],
        dependencies: Mapping[ResourceName, ResourceBase],
    ) -> StorageCamera:
        """The same of attributes that are checked already.

        Raises:
            ConfigError: an attribute names a resource of another kind.
        """
        camera, uploads = _choose(parsed, dependencies)
        storage_camera = cls(parsed, camera, uploads=uploads)
        storage_camera._made_of = config_key(config), camera
        for warning in warnings:
            storage_camera.logger.warning("%s", warning)
        return storage_camera

    def adopt(self, config: ComponentConfig, dependencies: Mapping[ResourceName, ResourceBase]) -> bool:
        """Whether a running recorder is already what `new` would make of these; if it is not, nothing is changed.

        Older versions of viam-server reconfigure it whenever anything on the machine changes. A camera that was rebuilt
        has the same client, and of the data manager only its presence counts.
        """
        try:
            camera, uploads = _choose(self._config, dependencies)
        except ConfigError:
            return False
        made_of = config_key(config), camera
        if self._store is None or (self._made_of != made_of if self._stream is None else not self._is_made_of(config)):
            return False
        self._uploads, self._camera, self._made_of = uploads, camera, made_of
        return True

    def _is_made_of(self, config: ComponentConfig) -> bool:
        return self._made_of is not None and self._made_of[0] == config_key(config)

    async def start(self) -> None:
        """Open the storage and start recording.

        Raises:
            Refusal: the encoder is not available, or the storage cannot be used.
        """
        config = self._config
        try:
            if config.source is not None:
                self._stream = await open_source(config, config.source, self._clock, self.logger)
            store = VideoStore(
                config.name,
                config.storage,
                source=self._stream or self._source,
                video=config.video,
                framerate=config.framerate,
                encoder=Encoder.copy(config.framerate) if self._stream else None,
                clock=self._clock,
                logger=self.logger,
            )
            store._was_closed = config.storage.storage_path in self._closed
            await store.start()
        except VideoStoreError as error:
            raise Refusal(error) from error
        self._store = store
        self._show()
        self._telling = asyncio.get_running_loop().call_later(CAMERA_SILENCE_S, self._tell_at_start)

    async def close(self) -> None:
        """Finish the open segment, and stop everything that `start` started."""
        self._memory.cancel()
        if self._telling is not None:
            self._telling.cancel()
        store, self._store = self._store, None
        self._closed.add(self._config.storage.storage_path)
        web = [] if self._web_servers is None else [self._web_servers.leave(self._config.name)]
        await asyncio.gather(*web, *([] if store is None else [store.close()]))

    def use_web(self, servers: WebServers) -> None:
        """Show the recording with these, if the config asks for it. To be called before `start`."""
        self._web_servers = servers

    def _show(self) -> None:
        config, store = self._config, self.store
        if config.web is not None and self._web_servers is not None:
            upload_path = None if config.sync is None else config.storage.upload_path
            place = config.name, config.storage.storage_path, upload_path, config.storage.quota_bytes
            recorder = ShownRecorder(
                *place,
                lambda: describe_health(store.health(), self._upload_trouble),
                store,
                config.storage.min_free_gb,
            )
            self._web_servers.join(recorder, config.web)

    async def do_command(
        self, command: Mapping[str, Any], *, timeout: float | None = None, **kwargs: Any
    ) -> Mapping[str, Any]:
        """Run one of the commands of `videostore.viam.commands`.

        Raises:
            Refusal: the command is refused, or failed.
            ViamGRPCError: the recorder is not running, the timeout is over, or an unexpected error occurred.
        """
        return plain_answer(await self.answer(command, None, timeout=timeout))

    async def answer(
        self, command: Mapping[str, Any], room: AnswerRoom | None, *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """The same with the clip as `Base64Text`, which takes its place in `room` until that is given back.

        Raises:
            Refusal, ViamGRPCError: as `do_command` does.
        """
        store = self.store
        try:
            return await asyncio.wait_for(answer(store, command, room), timeout)
        except VideoStoreError as error:
            raise Refusal(error) from error
        except asyncio.TimeoutError as error:
            raise ViamGRPCError("The command did not finish within its timeout.", Status.DEADLINE_EXCEEDED) from error
        except Exception as error:
            self.logger.exception("A command failed unexpectedly.")
            raise ViamGRPCError(f"The command failed: {reason_of(error)}.") from error
        finally:
            if command.get("command") == "fetch":
                self._memory.schedule()

    async def get_images(
        self,
        *,
        filter_source_names: Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> tuple[Sequence[NamedImage], ResponseMetadata]:
        """The latest image of the source, with the time at which it was captured.

        Raises:
            ViamGRPCError: there is no image yet, or the latest one is too old.
        """
        if self._source is None and self._config.source is None:
            raise ViamGRPCError(
                "No camera is configured, so there is no image. Set the attribute 'camera'.", Status.FAILED_PRECONDITION
            )
        if self._config.source is not None and self._camera is not None:
            with contextlib.suppress(*CAMERA_ERRORS):  # the stream has a picture too
                return await camera_images(self._camera, self._config.source_name, filter_source_names, timeout)
        latest, fault = await self._latest()
        age_s = (self._clock.wall_us() - latest.captured_us) / US_PER_SECOND if latest else None
        if latest is None or (age_s is not None and age_s > CAMERA_SILENCE_S and fault):
            since = "yet" if age_s is None else f"for {age_s:.0f} s"
            reason = fault or "the camera was just asked for its first"
            raise ViamGRPCError(f"No image {since}: {reason}.", Status.UNAVAILABLE)
        image = latest.image
        if filter_source_names and image.name not in filter_source_names:
            return [], latest.metadata
        return [image], latest.metadata

    async def _latest(self) -> tuple[LatestImage | None, str | None]:
        """The latest image, and what is wrong with its source."""
        if self._source is not None:
            return self._source.latest, self._source.fault
        if self._stream is None:
            return None, None
        try:
            return await newest_image(self._stream), self._stream.fault
        except VideoStoreError as error:
            raise Refusal(error) from error

    async def get_point_cloud(self, **kwargs: Any) -> tuple[bytes, str]:
        """Not supported: this camera stores video."""
        raise NotSupportedError("This camera stores video and has no point clouds.")

    async def get_geometries(self, **kwargs: Any) -> Sequence[Geometry]:
        """None: this camera has no geometry."""
        return []

    async def get_properties(self, *, timeout: float | None = None, **kwargs: Any) -> Camera.Properties:
        """The image size and MIME type of the source, once an image has arrived, and the configured frame rate."""
        return properties_of(self._source, self._stream, self._config.framerate)

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> Mapping[str, Any]:
        """The recorder's health."""
        store = self.store
        newest_us = await store.newest_us()
        age_s = None if newest_us is None else round(max(0, self._clock.wall_us() - newest_us) / US_PER_SECOND, 3)
        web = None if self._web_servers is None else self._web_servers.state(self._config.name)
        return describe_health(store.health(), self._upload_trouble, age_s, web)

    @property
    def _upload_trouble(self) -> str | None:
        if self._uploads or self._config.sync is None:
            return None
        manager = f"data manager {self._config.sync!r} is missing or could not be built"
        return f"{manager}; saved clips wait in the upload path"

    def _tell_at_start(self) -> None:
        name = self._config.name
        if isinstance(self._source, FramePoller) and name not in self._advised:
            # No API of viam-server says which cameras have a stream, or pass one through.
            self._advised.add(name)
            self.logger.info(
                "Images of camera %r are recorded, which have to be encoded. If it is a network camera, or offers RTP "
                "passthrough, set the attribute source to the URL of its stream: that is recorded as it comes.",
                self._config.camera,
            )
        if isinstance(self._source, AbsentCamera):
            self.logger.warning("Not recording: %s.", self._source.fault)
        if self._upload_trouble:
            self.logger.warning("Not uploading: %s.", self._upload_trouble)

    @property
    def store(self) -> VideoStore:
        """The recorder's store.

        Raises:
            ViamGRPCError: the recorder is not running.
        """
        if self._store is None:
            raise ViamGRPCError(
                "The recorder is not running: it is starting or was closed. Try again.", Status.UNAVAILABLE
            )
        return self._store


def _choose(config: Config, dependencies: Mapping[ResourceName, ResourceBase]) -> tuple[Any, bool]:
    """The client of the camera, or None, and whether there is a data manager."""
    camera, manager = find_camera(config, dependencies), find_data_manager(config, dependencies)
    return dependencies[camera] if camera is not None else None, manager is not None
