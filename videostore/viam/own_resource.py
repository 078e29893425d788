"""What the module asks of its own resources, and the models that they are of."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from viam.proto.app.robot import ComponentConfig
from viam.proto.common import ResourceName
from viam.resource.base import ResourceBase
from viam.resource.types import Model, ModelFamily

from videostore.base.errors import ConfigError
from videostore.store.answer_budget import AnswerRoom
from videostore.viam.refusal import Refusal

STORAGE_MODEL = Model(ModelFamily("viam", "video"), "storage")
SERVICE_MODEL = Model(ModelFamily("viam", "video"), "service")


class OwnResource(abc.ABC):
    """A resource of the module. It is made in two steps, because the SDK's `new` must not wait: then it starts."""

    _prepared: ClassVar[dict[bytes, Any]] = {}
    """Configs of all kinds that were checked, by their bytes, until `new` takes them."""

    @classmethod
    @abc.abstractmethod
    def validate_config(cls, config: ComponentConfig) -> tuple[Sequence[str], Sequence[str]]:
        """Check all attributes. Returns the required dependencies, and the optional ones."""

    @classmethod
    @abc.abstractmethod
    def parse(cls, config: ComponentConfig) -> Any:
        """What a config says, checked. Blocking, briefly.

        Raises:
            ConfigError: an attribute is wrong; the first one is reported.
        """

    @classmethod
    def prepare(cls, config: ComponentConfig) -> None:
        """Check a config for the `new` that follows, which must not wait for a disk. Blocking.

        Raises:
            Refusal: an attribute is wrong.
        """
        try:
            cls._prepared[config_key(config)] = cls.parse(config)
        except ConfigError as error:
            raise Refusal(error) from error

    @classmethod
    def parsed(cls, config: ComponentConfig) -> Any:
        """What `prepare` found, which is taken, or what `parse` finds."""
        return cls._prepared.pop(config_key(config), None) or cls.parse(config)

    @classmethod
    def forget(cls, config: ComponentConfig) -> None:
        """Drop what `prepare` found, if no `new` has taken it."""
        cls._prepared.pop(config_key(config), None)

    @classmethod
    @abc.abstractmethod
    def new(cls, config: ComponentConfig, dependencies: Mapping[ResourceName, ResourceBase]) -> ResourceBase:
        """Create the resource. It does nothing until `start`."""

    @abc.abstractmethod
    def adopt(self, config: ComponentConfig, dependencies: Mapping[ResourceName, ResourceBase]) -> bool:
        """Whether a running resource is already what `new` would make of these; if it is not, nothing is changed."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Start what it consists of."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Stop everything that `start` started."""

    @abc.abstractmethod
    async def answer(
        self, command: Mapping[str, Any], room: AnswerRoom | None, *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """The answer to a command, which may hold a clip as `Base64Text` in that room."""


def config_key(config: ComponentConfig) -> bytes:
    """By which two configs are the same."""
    return bytes(config.SerializeToString(deterministic=True))
