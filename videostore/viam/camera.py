"""The resource: a camera component that records another camera."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from grpclib import Status
from viam.components.camera import Camera
from viam.errors import NotSupportedError, ViamGRPCError
from viam.media.video import CameraMimeType, NamedImage
from viam.proto.app.robot import ComponentConfig
from viam.proto.common import Geometry, ResourceName, ResponseMetadata
from viam.resource.base import ResourceBase
from viam.resource.types import Model, ModelFamily

from videostore.base.clock import SystemClock
from videostore.base.constants import CAMERA_SILENCE_S, US_PER_SECOND
from videostore.base.errors import ConfigError, VideoStoreError, reason_of
from videostore.config import Config, parse_config
from videostore.store.answer_budget import AnswerRoom
from videostore.store.store import VideoStore
from videostore.viam.answer import plain_answer
from videostore.viam.commands import answer, describe_health
from videostore.viam.data_manager import DataManager
from videostore.viam.json_object import read_object
from videostore.viam.memory import MemoryReturn
from videostore.viam.poller import FramePoller
from videostore.viam.refusal import Refusal

MODEL = Model(ModelFamily("viam", "video"), "storage")


class StorageCamera(Camera):
    """Model `viam:video:storage`. `new` checks the config, `start` starts recording, and `close` ends what it owns."""

    MODEL: ClassVar[Model] = MODEL
    _prepared: ClassVar[dict[bytes, tuple[Config, list[str]]]] = {}
    """Configs that were checked, by their bytes, until `new` takes them."""

    def __init__(self, config: Config, source: Camera | None) -> None:
        """Use `new`."""
        super().__init__(config.name)
        self._config = config
        self._clock = SystemClock()
        self._poller = (
            FramePoller(source, config.source_name, config.framerate, self._clock, self.logger) if source else None
        )
        self._store: VideoStore | None = None
        self._memory = MemoryReturn()

    @classmethod
    def validate_config(cls, config: ComponentConfig) -> tuple[Sequence[str], Sequence[str]]:
        """Check all attributes. Returns the required dependencies (the camera and the data manager), no optional ones.

        Raises:
            ConfigError: an attribute is wrong; the first one is reported.
        """
        parsed, _ = parse_config(config.name, read_object(config.attributes))
        return [name for name in (parsed.camera, parsed.sync) if name], []

    @classmethod
    def prepare(cls, config: ComponentConfig) -> None:
        """Check a config for the `new` that follows, which must not wait for a disk. Blocking."""
        try:
            cls._prepared[_key(config)] = parse_config(config.name, read_object(config.attributes))
        except ConfigError as error:
            raise Refusal(error) from error

    @classmethod
    def forget(cls, config: ComponentConfig) -> None:
        """Drop what `prepare` found, if no `new` has taken it."""
        cls._prepared.pop(_key(config), None)

    @classmethod
    def new(cls, config: ComponentConfig, dependencies: Mapping[ResourceName, ResourceBase]) -> StorageCamera:
        """Create the resource. It does nothing until `start`.

        Raises:
            Refusal: an attribute is wrong, or names a resource that this machine does not have.
        """
        try:
            prepared = cls._prepared.pop(_key(config), None)
            parsed, warnings = prepared or parse_config(config.name, read_object(config.attributes))
            _find_data_manager(parsed, dependencies)
            storage_camera = cls(parsed, _find_camera(parsed, dependencies))
        except ConfigError as error:
            raise Refusal(error) from error
        for warning in warnings:
            storage_camera.logger.warning("%s", warning)
        return storage_camera

    async def start(self) -> None:
        """Open the storage and start recording.

        Raises:
            Refusal: the encoder is not available, or the storage cannot be used.
        """
        config = self._config
        try:
            store = VideoStore(
                config.name,
                config.storage,
                source=self._poller,
                video=config.video,
                framerate=config.framerate,
                clock=self._clock,
                logger=self.logger,
            )
            await store.start()
        except VideoStoreError as error:
            raise Refusal(error) from error
        self._store = store

    async def close(self) -> None:
        """Finish the open segment, and stop everything that `start` started."""
        self._memory.cancel()
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    async def do_command(
        self, command: Mapping[str, Any], *, timeout: float | None = None, **kwargs: Any
    ) -> Mapping[str, Any]:
        """Run `save`, `fetch`, `get-storage-state` or `get-save-status`.

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
        store = self._started()
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
        if self._poller is None:
            raise ViamGRPCError("No camera is configured, so there is no image. Set the attribute 'camera'.")
        latest = self._poller.latest
        age_s = (self._clock.wall_us() - latest.captured_us) / US_PER_SECOND if latest else None
        if latest is None or (age_s is not None and age_s > CAMERA_SILENCE_S and self._poller.fault):
            since = "yet" if age_s is None else f"for {age_s:.0f} s"
            reason = self._poller.fault or "the camera was just asked for its first"
            raise ViamGRPCError(f"No image {since}: {reason}.")
        image = latest.image
        if filter_source_names and image.name not in filter_source_names:
            return [], latest.metadata
        return [image], latest.metadata

    async def get_point_cloud(self, **kwargs: Any) -> tuple[bytes, str]:
        """Not supported: this camera stores video."""
        raise NotSupportedError("This camera stores video and has no point clouds.")

    async def get_geometries(self, **kwargs: Any) -> Sequence[Geometry]:
        """None: this camera has no geometry."""
        return []

    async def get_properties(self, *, timeout: float | None = None, **kwargs: Any) -> Camera.Properties:
        """The image size and MIME type of the source, once an image has arrived, and the configured frame rate."""
        properties = Camera.Properties(supports_pcd=False, frame_rate=float(self._config.framerate))
        latest = self._poller.latest if self._poller else None
        if latest is not None:
            properties.intrinsic_parameters.width_px = latest.width
            properties.intrinsic_parameters.height_px = latest.height
            properties.mime_types.append(str(latest.image.mime_type))
        else:
            properties.mime_types.append(str(CameraMimeType.JPEG))
        return properties

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> Mapping[str, Any]:
        """The recorder's health."""
        return describe_health(self._started().health())

    def _started(self) -> VideoStore:
        if self._store is None:
            raise ViamGRPCError(
                "The recorder is not running: it is starting or was closed. Try again.", Status.UNAVAILABLE
            )
        return self._store


def _key(config: ComponentConfig) -> bytes:
    return bytes(config.SerializeToString(deterministic=True))


def _find_camera(config: Config, dependencies: Mapping[ResourceName, ResourceBase]) -> Camera | None:
    if config.camera is None:
        return None
    for name, resource in dependencies.items():
        if _is_named(name, config.camera) and isinstance(resource, Camera):
            return resource
    raise ConfigError("camera-unknown", attribute="camera", value=config.camera)


def _find_data_manager(config: Config, dependencies: Mapping[ResourceName, ResourceBase]) -> None:
    others = []
    for name in dependencies:
        if _is_named(name, config.sync):
            if name.subtype == DataManager.API.resource_subtype:
                return
            others.append(name.subtype)
    if others:
        raise ConfigError("data-manager-wrong", attribute="sync", value=config.sync, found=others[0])
    raise ConfigError("data-manager-unknown", attribute="sync", value=config.sync)


def _is_named(name: ResourceName, wanted: str) -> bool:
    """Whether an attribute names this resource, which may be on this machine or on a remote (`remote:name`)."""
    return name.name == wanted or name.name.rsplit(":", 1)[-1] == wanted
