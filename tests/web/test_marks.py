"""A server has the module note events; that of a recording at rest notes them itself."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.recording import START_US, US
from videostore.base.errors import NoRoomError, RequestError, VideoStoreError
from videostore.storage.notes import Event
from videostore.web.control import Message, read_message, write_done, write_refused
from videostore.web.marks import AskedMarks, Module, RestingMarks

EVENT = Event(7, START_US, START_US - US, START_US + 2 * US, "door", keep=True)


class Asked:
    """A module that answers each question with a line that a test makes of its number."""

    def __init__(self) -> None:
        self.asked: list[Message] = []
        self.module = Module(self._say, within_s=60)
        self.marks = AskedMarks(self.module, "porch")

    def _say(self, line: bytes) -> None:
        message = read_message(line)
        assert message is not None
        self.asked.append(message)

    def answer(self, line: bytes) -> None:
        message = read_message(line)
        assert message is not None
        self.module.answered(message)


async def test_the_module_is_asked_and_its_answer_taken() -> None:
    asked = Asked()
    marking = asyncio.create_task(asked.marks.mark("door", START_US, before_s=1, after_s=2.0, keep=True))
    forgetting = asyncio.create_task(asked.marks.unmark(3))
    await asyncio.sleep(0)
    first, second = (dict(one.fields) for one in asked.asked)
    assert first == {
        "number": 0,
        "recorder": "porch",
        "what": "mark",
        "fields": {"label": "door", "at_us": START_US, "before_s": 1, "after_s": 2.0, "keep": True},
    }
    assert (second["what"], second["fields"]) == ("unmark", {"id": 3})
    asked.answer(write_done(1))
    asked.answer(write_done(0, **asdict(EVENT)))
    asked.answer(write_done(99))  # of an earlier server
    assert await marking == EVENT
    await forgetting


async def test_a_refusal_comes_as_the_error_that_it_was() -> None:
    asked = Asked()
    marking = asyncio.create_task(asked.marks.mark("door", START_US, before_s=1, after_s=2, keep=True))
    await asyncio.sleep(0)
    refused = NoRoomError("kept-fills-half", kept_bytes=1 << 20, size_bytes=2 << 20, limit_bytes=3 << 20)
    asked.answer(write_refused(0, refused))
    with pytest.raises(NoRoomError) as failed:
        await marking
    assert (failed.value.code, str(failed.value)) == ("kept-fills-half", str(refused))


async def test_a_module_that_does_not_answer_is_not_asked_without_end() -> None:
    module = Module(lambda _: None, within_s=0.01)
    with pytest.raises(RequestError) as failed:
        await module.ask("porch", "mark")
    assert failed.value.code == "answer-too-late"
    module = Module(lambda _: None, within_s=60)
    waiting = [asyncio.create_task(module.ask("porch", "mark")) for _ in range(16)]
    await asyncio.sleep(0)
    with pytest.raises(RequestError) as failed:
        await module.ask("porch", "mark")
    assert failed.value.code == "too-many-requests"
    for one in waiting:
        one.cancel()


async def test_a_recording_at_rest_is_marked_in_its_directory(tmp_path: Path) -> None:
    marks = RestingMarks(tmp_path)
    made = await asyncio.gather(
        *(marks.mark(f"door {number}", START_US, before_s=1, after_s=None, keep=False) for number in range(5))
    )
    assert [one.id for one in made] == [1, 2, 3, 4, 5]
    await marks.unmark(2)
    with pytest.raises(VideoStoreError, match="no event with this number"):
        await marks.unmark(2)
