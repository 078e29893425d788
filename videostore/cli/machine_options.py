"""Which recorder of which machine is meant, where it is not a directory."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videostore.base.errors import RequestError

if TYPE_CHECKING:
    from videostore.remote.client import Machine


@dataclass(frozen=True, slots=True)
class Remote:
    """All that is needed to reach it."""

    address: str
    component: str | None
    """None: the only recorder that the machine has."""
    api_key: str | None
    api_key_id: str | None

    def connect(self) -> AbstractAsyncContextManager[Machine]:
        """The machine, while it lasts. Imports what a directory does not need."""
        from videostore.remote.client import Machine

        return Machine.connect(self.address, api_key=self.api_key, api_key_id=self.api_key_id, component=self.component)


def parse_remote(
    address: str | None, component: str | None, api_key: str | None, api_key_id: str | None, *, directory_given: bool
) -> Remote | None:
    """The machine that is meant; None where it is a directory.

    Raises:
        RequestError: what is given does not go together.
    """
    if not address:
        if component:
            raise RequestError("--component names a recorder of a machine: add --machine ADDRESS, or leave it out.")
        return None
    if directory_given:
        raise RequestError("--machine and --storage are two places: name one of them.")
    return Remote(address, component, api_key, api_key_id)
