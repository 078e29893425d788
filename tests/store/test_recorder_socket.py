"""A recorder is asked from another process, by the directory to which it records."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import LOGGER, START_US, US, Feed, Stores
from videostore.base.errors import RequestError, VideoStoreError
from videostore.storage.save_record import SaveStatus
from videostore.store.marking import make_event
from videostore.store.recorder_socket import (
    _MOST_BYTES,
    RecorderSocket,
    RecorderStatus,
    _name_of,
    ask_mark,
    ask_status,
    ask_unmark,
)
from videostore.store.request_text import MOST_METADATA_BYTES
from videostore.store.resting_events import mark_at_rest, unmark_at_rest
from videostore.store.store import VideoStore


async def test_the_recorder_of_a_directory_marks_keeps_saves_and_forgets(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    asked = make_event(START_US + 2 * US, "door", 1, 0.5, keep=True)
    event = await mark_at_rest(stores.storage, asked, save=True)
    assert store._notes.events == (event,)
    assert (event.label, event.from_us, event.to_us, event.keep) == ("door", asked.from_us, asked.to_us, True)
    assert event.file_name is not None
    assert (await store.save_status(event.file_name)).status is not SaveStatus.FAILED
    link = stores.storage.with_name("link")
    link.symlink_to(stores.storage)
    assert await unmark_at_rest(link, event.id, release=True) == event.file_name
    assert [one.keep for one in await store.events()] == [False]
    assert await unmark_at_rest(stores.storage, event.id) == event.file_name
    assert await store.events() == ()


async def test_what_the_recorder_refuses_is_refused_in_its_words(stores: Stores, recording: Path) -> None:
    await stores.over(recording)
    with pytest.raises(RequestError) as refused:
        await ask_unmark(stores.storage, 7, release=False)
    assert (refused.value.code, refused.value.value) == ("event-unknown", 7)
    await stores.close()
    with pytest.raises(RequestError) as refused:  # it listens no more
        await ask_mark(stores.storage, make_event(START_US, "door", 1, 1, keep=False), save=False)
    assert refused.value.code == "mark-while-recording"


async def test_a_reader_of_the_directory_does_not_listen_in_its_place(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    async with VideoStore.open(stores.storage):
        event = await mark_at_rest(stores.storage, make_event(START_US + US, "door", 1, 1, keep=False))
    assert store._notes.events == (event,)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[" * 10_000 + b"\n",
        b"\xff\n",
        b'{"what": "unmark", "id": "x", "release": false}\n',
        b'{"what": "mark", "label": 5}\n',
        b'{"what": "later", "id": 1, "release": false}\n',
        b"x" * (2 * _MOST_BYTES),
    ],
)
async def test_what_is_no_request_ends_its_connection_alone(tmp_path: Path, line: bytes) -> None:
    marker = Unmarking()
    opened = await RecorderSocket.open(tmp_path, marker, LOGGER)
    try:
        reader, writer = await asyncio.open_unix_connection(_name_of(tmp_path))
        writer.write(line)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 150) == b""
        writer.close()
        assert await ask_unmark(tmp_path, 1, release=True) is None and marker.asked == [(1, True)]
    finally:
        await opened.close()


class Unmarking:
    """Forgets every event."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []

    async def mark(self, label: str, at: Any = "now", **others: Any) -> Any:
        raise VideoStoreError("closed")

    def health(self) -> Any:
        raise VideoStoreError("closed")

    async def unmark(self, id: int, *, release: bool = False, cancel_save: bool = False) -> str | None:
        self.asked.append((id, release))
        return None


async def test_the_recorder_says_whether_it_records_or_why_not(stores: Stores, tmp_path: Path) -> None:
    store = await stores.open(Feed())
    recorder = store.health().recorder
    assert recorder is not None
    assert await ask_status(stores.storage) == RecorderStatus(False, recorder.reason)
    assert await ask_status(tmp_path) is None


async def test_the_longest_metadata_passes_and_endless_tags_are_refused(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    asked = make_event(START_US + US, "door", 1, 1, keep=False)
    await mark_at_rest(stores.storage, asked, save=True, metadata="\x01" * MOST_METADATA_BYTES)
    with pytest.raises(RequestError) as refused:
        await mark_at_rest(stores.storage, asked, save=True, tags=["t" * 200] * 2000)
    assert (refused.value.code, refused.value.field) == ("field-too-long", "tags")
    assert len(await store.events()) == 1


@pytest.mark.parametrize("answer", [b"", b"{}\n", b"[]\n", b'{"found": {"id": 1}}\n', b'{"refused": {}}\n', b"\xff\n"])
async def test_an_answer_of_another_program_is_none(tmp_path: Path, answer: bytes) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert json.loads(await reader.readline())["what"] == "mark"
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(say, _name_of(tmp_path))
    try:
        with pytest.raises(RequestError) as refused:
            await ask_mark(tmp_path, make_event(START_US, "door", 1, 1, keep=False), save=False)
        assert refused.value.code == "mark-while-recording"
    finally:
        server.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_other_users_are_neither_answered_nor_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.store.recorder_socket._ROOT", -1)  # root is no exception here
    marker = Unmarking()
    opened = await RecorderSocket.open(tmp_path, marker, LOGGER)
    try:
        monkeypatch.setattr("videostore.store.recorder_socket.os.geteuid", lambda: 4242)
        os.chown(tmp_path, 4243, -1)
        with pytest.raises(RequestError):
            await ask_unmark(tmp_path, 1, release=True)
        assert marker.asked == []
    finally:
        await opened.close()
