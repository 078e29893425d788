"""What the server of the page asks of a recorder of the module: to mark a moment, and to forget an event."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from videostore.base.errors import RequestError, VideoStoreError, reason_of
from videostore.storage.notes import Event
from videostore.web.control import MARK, write_done, write_refused


class Marker(Protocol):
    """What notes the events of a recorder: its `VideoStore`."""

    async def mark(
        self, label: str, at: Any = "now", *, before_s: float = ..., after_s: float = ..., keep: bool = ...
    ) -> Event:
        """Note an event. Raises VideoStoreError."""
        ...

    async def unmark(self, id: int) -> str | None:
        """Forget an event. Raises VideoStoreError."""
        ...


async def answer(marker: Marker | None, recorder: str, fields: Mapping[str, Any], logger: logging.Logger) -> bytes:
    """Do what the server asks for by a message with these fields. Returns the line that answers it."""
    number: int = fields["number"]
    try:
        if marker is None:
            raise RequestError("no-such-recorder", value=recorder)
        asked = fields["fields"]
        if fields["what"] != MARK:
            await marker.unmark(asked["id"])
            return write_done(number)
        event = await marker.mark(
            asked["label"],
            asked["at_us"],
            before_s=asked["before_s"],
            after_s=asked["after_s"],
            keep=asked["keep"],
        )
        return write_done(number, **asdict(event))
    except VideoStoreError as error:
        return write_refused(number, error)
    except Exception as error:
        logger.exception("What the page asked for failed.")
        return write_refused(number, VideoStoreError("web-ask-failed", reason=reason_of(error)))
