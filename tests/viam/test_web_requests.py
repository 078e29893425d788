"""What the page asks for is done by the recorder, and refused in its words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.recording import LOGGER, START_US, US, Stores
from videostore.base.errors import VideoStoreError
from videostore.viam.web_requests import answer
from videostore.web.control import read_answer, read_message


def asked(what: str, **fields: Any) -> dict[str, Any]:
    return {"number": 5, "what": what, "fields": fields}


MARK = {"label": "door", "at_us": START_US, "before_s": 1, "after_s": None, "keep": True}


async def result(marker: Any, fields: dict[str, Any]) -> Any:
    message = read_message(await answer(marker, "porch", fields, LOGGER))
    assert message is not None and message.fields["number"] == 5
    return read_answer(message.fields)


async def test_a_recorder_marks_and_forgets(stores: Stores) -> None:
    store = await stores.open()
    found = await result(store, asked("mark", **MARK))
    (event,) = await store.events()
    assert (found["id"], found["to_us"]) == (event.id, START_US + 15 * US) and event.keep
    await result(store, asked("unmark", id=event.id))
    assert await store.events() == ()
    with pytest.raises(VideoStoreError, match="no event with this number"):
        await result(store, asked("unmark", id=event.id))


async def test_what_fails_is_told(stores: Stores) -> None:
    with pytest.raises(VideoStoreError) as failed:
        await result(None, asked("mark", **MARK))
    assert failed.value.code == "no-such-recorder"
    store = await stores.open()
    with pytest.raises(VideoStoreError) as failed:
        await result(store, asked("mark"))  # of another version
    assert failed.value.code == "web-ask-failed"
