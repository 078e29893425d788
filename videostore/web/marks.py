"""Marks: the events that a viewer makes and removes. The recorder of the directory notes them, if it has one.

The server of a module only reads, and asks the module. `videostore web` over a recording that is at rest notes them
itself.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from videostore.base.errors import RequestError
from videostore.storage.notes import Event
from videostore.store.marking import make_event
from videostore.store.resting_events import mark_at_rest, unmark_at_rest
from videostore.web.control import ASK, MARK, UNMARK, Message, read_answer, write_message

_MOST_ASKED = 16
"""So many requests may wait for the module."""
_WITHIN_S = 20.0
"""It answers at once, unless its disk is slow."""


class Marks(Protocol):
    """Notes events of one recording, as `VideoStore` does."""

    keeps: bool
    """Whether it can keep the footage of an event from the quota."""

    async def mark(self, label: object, at_us: int, *, before_s: object, after_s: object, keep: bool) -> Event:
        """Note an event. Raises VideoStoreError."""
        ...

    async def unmark(self, id: int) -> None:
        """Forget an event, by its number. Raises VideoStoreError."""
        ...


class RestingMarks:
    """Notes the events of a directory that no recorder has."""

    keeps = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._marking = asyncio.Lock()

    async def mark(self, label: object, at_us: int, *, before_s: object, after_s: object, keep: bool) -> Event:
        """Note an event.

        Raises:
            RequestError: it is wrong, or a recorder has the directory.
            VideoStoreError: it cannot be noted.
        """
        event = make_event(at_us, label, before_s, after_s, keep=keep)
        async with self._marking:
            return await mark_at_rest(self._directory, event)

    async def unmark(self, id: int) -> None:
        """Forget an event.

        Raises:
            RequestError: there is none with this number, or a recorder has the directory.
            VideoStoreError: that cannot be noted.
        """
        async with self._marking:
            await unmark_at_rest(self._directory, id)


class Module:
    """The module of this server, which is asked by lines of JSON."""

    def __init__(self, say: Callable[[bytes], None], within_s: float = _WITHIN_S) -> None:
        self._say = say
        self._within_s = within_s
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Message]] = {}

    async def ask(self, recorder: str, what: str, **fields: Any) -> Any:
        """Ask it to do something for a recorder. Returns what it found.

        Raises:
            RequestError: it is asked too much, or does not answer in time.
            VideoStoreError: it refuses, or fails.
        """
        if len(self._asked) >= _MOST_ASKED:
            raise RequestError("too-many-requests", limit=_MOST_ASKED)
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._say(write_message(ASK, number=number, recorder=recorder, what=what, fields=fields))
            message = await asyncio.wait_for(answer, self._within_s)
        except asyncio.TimeoutError:
            raise RequestError("answer-too-late", limit=self._within_s) from None
        finally:
            del self._asked[number]
        return read_answer(message.fields)

    def answered(self, message: Message) -> None:
        """Take an answer. One that comes too late is dropped."""
        answer = self._asked.get(message.fields["number"])
        if answer is not None and not answer.done():
            answer.set_result(message)


class AskedMarks:
    """Has the module note the events of one of its recorders."""

    keeps = True

    def __init__(self, module: Module, recorder: str) -> None:
        self._module = module
        self._recorder = recorder

    async def mark(self, label: object, at_us: int, *, before_s: object, after_s: object, keep: bool) -> Event:
        """Note an event.

        Raises:
            VideoStoreError: as `VideoStore.mark`, or the module does not answer.
        """
        fields = {"label": label, "at_us": at_us, "before_s": before_s, "after_s": after_s, "keep": keep}
        return Event(**await self._module.ask(self._recorder, MARK, **fields))

    async def unmark(self, id: int) -> None:
        """Forget an event.

        Raises:
            VideoStoreError: as `VideoStore.unmark`, or the module does not answer.
        """
        await self._module.ask(self._recorder, UNMARK, id=id)
