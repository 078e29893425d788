"""The kinds of resource that the module serves.

Their code is imported when the first of a kind is configured: viam-server waits for every module to be ready before it
configures any, and a module without a recorder needs none of it.
"""

from __future__ import annotations

from functools import cache

from viam.components.camera import Camera
from viam.proto.app.robot import ComponentConfig
from viam.proto.common import ResourceName
from viam.resource.registry import Registry, ResourceCreatorRegistration

from videostore.viam.memory import exempt_imports
from videostore.viam.own_resource import SERVICE_MODEL, STORAGE_MODEL, OwnResource
from videostore.viam.video_api import Video


def is_service(config: ComponentConfig) -> bool:
    """Whether a config is of a video service; otherwise it is of a camera."""
    return bool(config.api == str(Video.API))


def name_of(config: ComponentConfig) -> ResourceName:
    """The full name of a config's resource."""
    return (Video if is_service(config) else Camera).get_resource_name(config.name)


def kind_of(config: ComponentConfig) -> type[OwnResource]:
    """What a config is of. Blocking: it may import."""
    return _service() if is_service(config) else _camera()


def register() -> None:
    """Tell the SDK of the models. What it calls for them is imported by then."""
    kinds = ((Camera.API, STORAGE_MODEL, _camera), (Video.API, SERVICE_MODEL, _service))
    for api, model, find in kinds:
        Registry.register_resource_creator(
            api,
            model,
            ResourceCreatorRegistration(
                lambda config, dependencies, find=find: find().new(config, dependencies),  # type: ignore[misc]
                lambda config, find=find: find().validate_config(config),  # type: ignore[misc]
            ),
        )


@cache
def _camera() -> type[OwnResource]:
    with exempt_imports():
        from videostore.viam.camera import StorageCamera

    return StorageCamera


@cache
def _service() -> type[OwnResource]:
    with exempt_imports():
        from videostore.viam.video_service import VideoStorage

    return VideoStorage
