"""The data manager's API, which the SDK lacks. Without it a dependency on a data manager cannot be resolved."""

from __future__ import annotations

from typing import Any, Final

from grpclib.client import Channel
from viam.proto.common import DoCommandRequest, GetStatusRequest
from viam.proto.service.datamanager import (
    DataManagerServiceStub,
    UnimplementedDataManagerServiceBase,
)
from viam.resource.registry import Registry, ResourceRegistration
from viam.resource.rpc_client_base import ReconfigurableResourceRPCClientBase
from viam.resource.rpc_service_base import ResourceRPCServiceBase
from viam.resource.types import API, RESOURCE_NAMESPACE_RDK, RESOURCE_TYPE_SERVICE
from viam.services.service_base import ServiceBase
from viam.utils import dict_to_struct, struct_to_dict


class DataManager(ServiceBase):
    """The service that uploads saved clips."""

    API: Final = API(RESOURCE_NAMESPACE_RDK, RESOURCE_TYPE_SERVICE, "data_manager")  # type: ignore[misc]


class DataManagerClient(DataManager, ReconfigurableResourceRPCClientBase):
    """A data manager of the machine. The recorder only needs to know that it exists."""

    def __init__(self, name: str, channel: Channel) -> None:
        self.channel = channel
        self.client: Any = DataManagerServiceStub(channel)
        super().__init__(name)

    async def do_command(self, command: Any, *, timeout: float | None = None, **kwargs: Any) -> Any:
        """Send a command to the data manager."""
        request = DoCommandRequest(name=self.name, command=dict_to_struct(command))
        return struct_to_dict((await self.client.DoCommand(request, timeout=timeout)).result)

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> Any:
        """The status of the data manager."""
        return struct_to_dict((await self.client.GetStatus(GetStatusRequest(name=self.name), timeout=timeout)).result)


class DataManagerRPCService(UnimplementedDataManagerServiceBase, ResourceRPCServiceBase[DataManager]):
    """This module serves no data manager, but the registry requires the class."""

    RESOURCE_TYPE = DataManager  # type: ignore[assignment]


def register() -> None:
    """Register the API with the SDK, unless it is registered."""
    if DataManager.API not in Registry.REGISTERED_APIS():
        Registry.register_api(ResourceRegistration(DataManager, DataManagerRPCService, DataManagerClient))
