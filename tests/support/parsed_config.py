"""The config that attributes give, or the sentence that they are refused with."""

from __future__ import annotations

from typing import Any

import pytest

from videostore.base.errors import ConfigError
from videostore.config import (
    Config,
    parse_config,
)


def attributes(storage: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """The required attributes, and those that a test adds."""
    return {"sync": "data-manager", "storage": {"size_gb": 10.0, **(storage or {})}, **others}


def parse(given: dict[str, Any]) -> Config:
    """The config of attributes that cause no warnings."""
    config, warnings = parse_config("recorder", given)
    assert warnings == []
    return config


def warnings_of(given: dict[str, Any]) -> list[str]:
    """The warnings that the attributes cause."""
    return parse_config("recorder", given)[1]


def refused(given: dict[str, Any], name: str = "recorder") -> ConfigError:
    """The error with which the attributes are refused."""
    with pytest.raises(ConfigError) as error:
        parse_config(name, given)
    assert "\n" not in str(error.value)
    return error.value


def refusal(given: dict[str, Any], name: str = "recorder") -> str:
    """Its sentence."""
    return str(refused(given, name))
