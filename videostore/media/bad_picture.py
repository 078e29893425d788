"""The error of an image that is not whole."""

from __future__ import annotations


class BadPictureError(ValueError):
    """The bytes are not a complete image of a supported format."""
