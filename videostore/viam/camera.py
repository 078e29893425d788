"""The resource: a camera component that stores the video of another camera."""

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
from viam.utils import struct_to_dict

from videostore.base.clock import SystemClock
from videostore.base.constants import CAMERA_SILENCE_S, US_PER_SECOND
from videostore.base.errors import (
    ConfigError,
    NoRoomError,
    NothingStoredError,
    RequestError,
    TooLargeError,
    UnknownSaveError,
    UnreadableRangeError,
    VideoStoreError,
    reason_of,
)
from videostore.config import Config, parse_config
from videostore.store.store import VideoStore
from videostore.viam.commands import describe_health, execute
from videostore.viam.data_manager import DataManager
from videostore.viam.memory import MemoryReturn
from videostore.viam.poller import FramePoller

_STATUS: dict[type[VideoStoreError], Status] = {
    NothingStoredError: Status.NOT_FOUND,
    UnknownSaveError: Status.NOT_FOUND,
    UnreadableRangeError: Status.DATA_LOSS,
    TooLargeError: Status.RESOURCE_EXHAUSTED,
    NoRoomError: Status.RESOURCE_EXHAUSTED,
}
MODEL = Model(ModelFamily("viam", "video"), "storage")


def refused(error: VideoStoreError) -> ViamGRPCError:
    """The same sentence, as the SDK passes it on to a client without adornment."""
    sentence = str(error)
    if not isinstance(error, (ConfigError, RequestError)):
        status = Status.INTERNAL
    else:
        status = _STATUS.get(type(error), Status.INVALID_ARGUMENT)
    return ViamGRPCError(sentence if sentence.endswith((".", "?")) else sentence + ".", status)


class StorageCamera(Camera):
    """Model `viam:video:storage`. `new` checks, `start` begins to record, `close` ends all that it owns."""

    MODEL: ClassVar[Model] = MODEL

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
        """Check all attributes; return the camera and the data manager, on which the resource depends.

        Raises:
            ConfigError: the first attribute that is wrong.
        """
        parsed, _ = parse_config(config.name, struct_to_dict(config.attributes))
        return [name for name in (parsed.camera, parsed.sync) if name], []

    @classmethod
    def new(cls, config: ComponentConfig, dependencies: Mapping[ResourceName, ResourceBase]) -> StorageCamera:
        """Make the resource; it does nothing before `start`.

        Raises:
            ViamGRPCError: an attribute is wrong, or names what it must not.
        """
        try:
            parsed, warnings = parse_config(config.name, struct_to_dict(config.attributes))
            _find_data_manager(parsed, dependencies)
            storage_camera = cls(parsed, _find_camera(parsed, dependencies))
        except ConfigError as error:
            raise refused(error) from error
        for warning in warnings:
            storage_camera.logger.warning("%s", warning)
        return storage_camera

    async def start(self) -> None:
        """Open the storage and begin to record.

        Raises:
            ViamGRPCError: the encoder is not to be had, or the storage cannot be used.
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
            raise refused(error) from error
        self._store = store

    async def close(self) -> None:
        """Finish the open segment and end all that was started."""
        self._memory.cancel()
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    async def do_command(
        self, command: Mapping[str, Any], *, timeout: float | None = None, **kwargs: Any
    ) -> Mapping[str, Any]:
        """Carry out `save`, `fetch`, `get-storage-state` or `get-save-status`."""
        store = self._started()
        try:
            return await asyncio.wait_for(execute(store, command), timeout)
        except VideoStoreError as error:
            raise refused(error) from error
        except asyncio.TimeoutError as error:
            raise ViamGRPCError("The command took longer than the client waits.", Status.DEADLINE_EXCEEDED) from error
        except Exception as error:
            self.logger.exception("A command failed.")
            raise ViamGRPCError(f"The command could not be carried out: {reason_of(error)}.") from error
        finally:
            if command.get("command") == "fetch":
                self._memory.soon()

    async def get_images(
        self,
        *,
        filter_source_names: Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> tuple[Sequence[NamedImage], ResponseMetadata]:
        """The newest picture of the source, with the time of its capture.

        Raises:
            ViamGRPCError: there is none, or only one that is too old to show.
        """
        if self._poller is None:
            raise ViamGRPCError("No camera is configured (attribute 'camera'), so there is no picture.")
        picture = self._poller.latest
        age_s = (self._clock.wall_us() - picture.captured_us) / US_PER_SECOND if picture else None
        if picture is None or (age_s is not None and age_s > CAMERA_SILENCE_S and self._poller.fault):
            since = "yet" if age_s is None else f"for {age_s:.0f} s"
            reason = self._poller.fault or "the camera was only just asked"
            raise ViamGRPCError(f"No picture has come {since}: {reason}.")
        image = picture.image
        if filter_source_names and image.name not in filter_source_names:
            return [], picture.metadata
        return [image], picture.metadata

    async def get_point_cloud(self, **kwargs: Any) -> tuple[bytes, str]:
        """Not supported: this camera stores video."""
        raise NotSupportedError("This camera stores video and has no point clouds.")

    async def get_geometries(self, **kwargs: Any) -> Sequence[Geometry]:
        """None: this camera is no thing in space."""
        return []

    async def get_properties(self, *, timeout: float | None = None, **kwargs: Any) -> Camera.Properties:
        """What the source delivers: its picture size once known, its MIME type and the frame rate."""
        properties = Camera.Properties(supports_pcd=False, frame_rate=float(self._config.framerate))
        picture = self._poller.latest if self._poller else None
        if picture is not None:
            properties.intrinsic_parameters.width_px = picture.width
            properties.intrinsic_parameters.height_px = picture.height
            properties.mime_types.append(str(picture.image.mime_type))
        else:
            properties.mime_types.append(str(CameraMimeType.JPEG))
        return properties

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> Mapping[str, Any]:
        """The recorder's health."""
        return describe_health(self._started().health())

    def _started(self) -> VideoStore:
        if self._store is None:
            raise ViamGRPCError("The recorder is not running: it is being started or was closed.", Status.UNAVAILABLE)
        return self._store


def _find_camera(config: Config, dependencies: Mapping[ResourceName, ResourceBase]) -> Camera | None:
    if config.camera is None:
        return None
    for name, resource in dependencies.items():
        if _is_named(name, config.camera) and isinstance(resource, Camera):
            return resource
    raise ConfigError(f"camera is {config.camera!r}, but this machine has no camera of that name.")


def _find_data_manager(config: Config, dependencies: Mapping[ResourceName, ResourceBase]) -> None:
    others = []
    for name in dependencies:
        if _is_named(name, config.sync):
            if name.subtype == DataManager.API.resource_subtype:
                return
            others.append(name.subtype)
    if others:
        raise ConfigError(f"sync is {config.sync!r}, which is a {others[0]}: it must be the data manager service.")
    raise ConfigError(f"sync is {config.sync!r}, but this machine has no data manager service of that name.")


def _is_named(name: ResourceName, wanted: str) -> bool:
    """Whether a resource is the one that an attribute names, on this machine or a remote part of it."""
    return name.name == wanted or name.name.rsplit(":", 1)[-1] == wanted
