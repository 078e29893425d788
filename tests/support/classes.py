"""What is a class, on every Python."""

from __future__ import annotations

from types import GenericAlias
from typing import Any


def is_class(value: Any) -> bool:
    """Whether a value is a class. Python 3.10 says so of `Callable[[int], None]` too."""
    return isinstance(value, type) and not isinstance(value, GenericAlias)
