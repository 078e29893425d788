"""The resources that a machine has besides those of the module: they come, go and are rebuilt."""

from collections.abc import Iterable, Mapping, Sequence

from viam.components.camera import Camera
from viam.resource.manager import ResourceManager
from viam.resource.types import resource_name_from_string

CAMERA_API = "rdk:component:camera"


class MachineResources:
    """The cameras are served by `manager`; the others are only listed in `names`, which are full names."""

    def __init__(self, cameras: Sequence[Camera], others: Iterable[str]) -> None:
        self.manager = ResourceManager(list(cameras))
        self.names = [f"{CAMERA_API}/{camera.name}" for camera in cameras]
        self.names += others
        self._places: dict[str, int] = {}

    async def place(self, resource: Camera | str) -> None:
        """Have one more, a camera or a full name, or another in the place of one that has the same name."""
        full = resource if isinstance(resource, str) else f"{CAMERA_API}/{resource.name}"
        await self.take_away(full)
        if isinstance(resource, Camera):
            self.manager.register(resource)
        self._places[full] = self._places.get(full, 0) + 1
        self.names.append(full)

    async def take_away(self, full: str) -> None:
        """Have one no more, if it is there."""
        if full in self.names:
            self.names.remove(full)
            name = resource_name_from_string(full)
            if name in self.manager.resources:
                await self.manager.remove_resource(name)

    def builds(self, names: Iterable[str]) -> Mapping[str, int]:
        """How often each of some resources was placed: a resource that depends on them is up to date with these."""
        return {full: self._places.get(full, 0) for full in names}
