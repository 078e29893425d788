"""The tags of a file that another program wrote: text that is not UTF-8 is no error."""

from __future__ import annotations

from functools import cache
from typing import Any

from videostore.media.libav import av


@cache
def lenient_tags() -> dict[str, Any]:
    """What `av.open` needs for it: from PyAV 19 on it fails at no tag, and does not know the setting."""
    return {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}


def tags_of(container: Any) -> dict[str, str]:
    """The tags of an open file, with � for what is not UTF-8."""
    tags = dict(container.metadata)
    return {name: text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name, text in tags.items()}
