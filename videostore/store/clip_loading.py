"""What makes clips is imported when the first one is asked for, or before: a start does without."""

from __future__ import annotations

import importlib

from videostore.base.tasks import off_loop
from videostore.media import libav


async def load_clips() -> None:
    """Import what makes clips. It takes up to 0.2 s, which a request then does without, and 20 MB."""
    await off_loop(importlib.import_module, "videostore.store.clip_parts")
    await off_loop(libav.load)
