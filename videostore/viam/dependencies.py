"""The camera and the data manager of a recorder, among the dependencies that viam-server has for it.

Both are optional: viam-server builds the recorder without them, and again when one of them comes or goes. So what is
stored is within reach while the camera is not, and nothing waits for an uploader.
"""

from __future__ import annotations

from collections.abc import Iterable

from viam.components.camera import Camera
from viam.proto.common import ResourceName
from viam.resource.types import API

from videostore.base.errors import ConfigError
from videostore.config import Config
from videostore.viam.data_manager import DataManager


def optional_dependencies(config: Config) -> list[str]:
    """The names that viam-server is told."""
    return [name for name in (config.camera, config.sync) if name]


def find_camera(config: Config, names: Iterable[ResourceName]) -> ResourceName | None:
    """The camera to record; None if it is not there at the moment, or the config names none.

    Raises:
        ConfigError: the name is that of another kind of resource.
    """
    if config.camera is None:
        return None
    found, other = _find(config.camera, Camera.API, names)
    if other is not None:
        raise ConfigError("camera-wrong", attribute="camera", value=config.camera, found=other.subtype)
    return found


def find_data_manager(config: Config, names: Iterable[ResourceName]) -> ResourceName | None:
    """The data manager; None if it is not there at the moment, or the config names none.

    Raises:
        ConfigError: the name is that of another kind of resource.
    """
    if config.sync is None:
        return None
    found, other = _find(config.sync, DataManager.API, names)
    if other is not None:
        raise ConfigError("data-manager-wrong", attribute="sync", value=config.sync, found=other.subtype)
    return found


def _find(wanted: str, api: API, names: Iterable[ResourceName]) -> tuple[ResourceName | None, ResourceName | None]:
    """The resource of that name and API; if there is none, another of that name."""
    named = names_like(wanted, names)
    found = next((name for name in named if name.subtype == api.resource_subtype), None)
    return found, named[0] if named and found is None else None


def names_like(wanted: str, names: Iterable[ResourceName]) -> list[ResourceName]:
    """The resources that an attribute names, the most similar first.

    An attribute has the short name, which may begin with that of a remote (`remote:name`), or the full name
    (`rdk:component:camera/name`). viam-server leaves out the remote, or adds it.
    """
    api, _, wanted = wanted.rpartition("/")
    ranked: list[tuple[int, ResourceName]] = []
    for name in names:
        if api and api != f"{name.namespace}:{name.type}:{name.subtype}":
            continue
        similar = (name.name == wanted, _short(name.name) == wanted, name.name == _short(wanted))
        if any(similar):
            ranked.append((similar.index(True), name))
    return [name for _, name in sorted(ranked, key=lambda one: one[0])]


def _short(name: str) -> str:
    return name.rpartition(":")[2]
