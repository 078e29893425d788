"""Which recorder of which machine to use, if not a storage directory."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videostore.base.errors import RequestError

if TYPE_CHECKING:
    from videostore.remote.client import Machine


@dataclass(frozen=True, slots=True)
class Remote:
    """A recorder on another machine, as the options describe it."""

    address: str
    component: str | None
    """None: the only recorder that the machine has."""
    api_key: str | None
    api_key_id: str | None

    def connect(self) -> AbstractAsyncContextManager[Machine]:
        """Connect to the machine. Imports what a storage directory does not need."""
        from videostore.remote.client import Machine

        return Machine.connect(self.address, api_key=self.api_key, api_key_id=self.api_key_id, component=self.component)


def parse_remote(
    address: str | None, component: str | None, api_key: str | None, api_key_id: str | None, *, directory_given: bool
) -> Remote | None:
    """The recorder that the options describe; None if they mean a storage directory.

    Raises:
        RequestError: the options cannot be used together.
    """
    if not address:
        if component:
            raise RequestError("component-without-machine", field="component", value=component)
        return None
    if directory_given:
        raise RequestError("machine-and-storage", field="machine", value=address)
    return Remote(address, component, api_key, api_key_id)
