"""Any command gives an answer or an error in one sentence, and changes no file but the clips of the answer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import shutil
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import av
import psutil
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from viam.utils import dict_to_struct

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support import hostile_strategies as hostile
from tests.support.amount import each_value
from tests.support.property_settings import examples
from tests.support.recording import LOGGER, START_US, US, Stores, until
from tests.support.sentences import assert_sentence
from videostore.base.constants import PICTURE_CHILD
from videostore.base.errors import VideoStoreError
from videostore.base.time_format import format_local, format_utc_exact, format_utc_microseconds
from videostore.base.timestamps import parse_timestamp
from videostore.clips.clip_names import tag_directory
from videostore.viam.commands import execute

RANGE = {"from": format_utc_exact(START_US + US), "to": format_utc_exact(START_US + 3 * US)}


COMMANDS = ("save", "fetch", "get-storage-state", "get-save-status", "get-frame", "get-events", "unmark")


FIELDS = (
    "command",
    "from",
    "to",
    "metadata",
    "tags",
    "async",
    "container",
    "filename",
    "at",
    "width",
    "exact",
    "id",
    "nonsense",
)


CLIP_TAGS = {"comment", "creation_time", "date", "encoder", "synopsis", "title"}
CLIP_TAGS |= {"major_brand", "minor_version", "compatible_brands"}


HANG_S = 30.0


_T = TypeVar("_T")


class _Warnings(logging.Handler):
    """Collects log lines with a traceback, and warnings about ffmpeg."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info or "ffmpeg" in text or "could not be made" in text:
            self.lines.append(f"{text} {record.exc_info or ''}")


def _children() -> list[psutil.Process]:
    """Without the decoder of pictures, which stays for the next one, and those that have just ended or are no program
    of their own yet."""
    running, own = [], psutil.Process().cmdline()
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # or a zombie, which the loop collects in a moment
            command = one.cmdline()
            if PICTURE_CHILD not in command and command != own:
                running.append(one)
    return running


class WatchedStore:
    """A store with a real recording, and checks that each command changes only the files that it may."""

    def __init__(self, directory: Path, recording: Path, times: list[int]) -> None:
        self.loop = asyncio.new_event_loop()
        self.stores = Stores(directory / "machine")
        self.stores.directory.mkdir()
        self.times = times
        self.warnings = _Warnings()
        LOGGER.addHandler(self.warnings)
        self._elsewhere = directory / "elsewhere"
        self._elsewhere.mkdir()
        self.store = self.run(self.stores.over(recording))
        self._segments = self._stored()
        self._children = _children()

    def close(self) -> None:
        LOGGER.removeHandler(self.warnings)
        self.run(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the store's event loop, in a working directory that must stay empty."""
        before = os.getcwd()
        os.chdir(self._elsewhere)
        try:
            return self.loop.run_until_complete(asyncio.wait_for(work, HANG_S))
        finally:
            os.chdir(before)

    def send(self, command: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer, or None where it was an error. Checks the answer and that only its clips were created."""
        try:
            answer = self.run(execute(self.store, command))
            if answer.get("status") == "async":
                self.run(until(lambda: not self.store.health().pending_saves))
        except VideoStoreError as error:
            assert_sentence(str(error))
            assert error.code not in ("clip-failed", "clip-empty"), error
            answer = None
        try:
            self._check_other_files()
            if answer is None:
                assert not self._clips()
            else:
                dict_to_struct(answer)
                self._check_answer(command, answer)
            assert not self.warnings.lines
        finally:
            self.warnings.lines.clear()
            for path in self.stores.upload.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return answer

    def _stored(self) -> dict[str, tuple[int, int]]:
        return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in self.stores.storage.glob("*.mp4")}

    def _clips(self) -> list[Path]:
        return [path for path in self.stores.upload.rglob("*") if not path.is_dir()]

    def _check_other_files(self) -> None:
        machine = self.stores.directory
        assert sorted(path.name for path in machine.iterdir()) == ["storage", "upload"]
        assert not list(self._elsewhere.iterdir())
        assert sorted(path.name for path in machine.parent.iterdir()) == ["elsewhere", "machine"]
        assert self._stored() == self._segments
        index = {"index.sqlite.db", "index.sqlite.db-wal", "index.sqlite.db-shm"}
        assert {path.name for path in self.stores.storage.iterdir()} - index - {".cuts"} == set(self._segments)
        cuts = self.stores.storage / ".cuts"
        assert not cuts.exists() or not list(cuts.iterdir())
        assert _children() == self._children

    def _check_answer(self, command: Mapping[str, Any], answer: dict[str, Any]) -> None:
        assert answer["command"] == command["command"]
        if answer["command"] == "fetch":
            assert not self._clips()
            self._check_frames(command, base64.b64decode(answer["video"], validate=True))
        elif answer["command"] == "save" and (answer.get("status") != "async" or self._holds_frames(command)):
            directory = self.stores.upload / tag_directory(command.get("tags") or [])
            name, metadata = answer["filename"], command.get("metadata") or ""
            assert self._clips() == [directory / name]
            assert name.isprintable() and not set(name) & set("/\\") and len(name.encode()) <= 255
            assert name.startswith(f"cam_{format_local(parse_timestamp(command['from'], 'from'))}")
            assert name.endswith(".mp4")
            self._check_frames(command, directory / name)
            with av.open(str(directory / name)) as container:
                assert len(container.streams) == 1
                comment = container.metadata.get("comment", "")
                assert set(container.metadata) <= CLIP_TAGS
            if metadata == metadata.encode(errors="ignore").decode():
                assert comment == metadata.replace("\0", "")
        else:
            assert not self._clips()

    def _holds_frames(self, command: Mapping[str, Any]) -> bool:
        from_us, to_us = (parse_timestamp(command[field], field) for field in ("from", "to"))
        return any(from_us <= captured < to_us for captured in self.times)

    def _check_frames(self, command: Mapping[str, Any], clip: bytes | Path) -> None:
        from_us, to_us = (parse_timestamp(command[field], field) for field in ("from", "to"))
        assert check_clip(read_clip(clip), self.times, from_us, to_us).flawless


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, recording: Path, times: list[int]) -> Iterator[WatchedStore]:
    watched = WatchedStore(tmp_path_factory.mktemp("watched"), recording, times)
    with contextlib.closing(watched):
        yield watched


_TIMES = hostile.times(START_US // US, START_US // US + 7)


_TAGS = st.lists(hostile.texts(), max_size=4) | st.lists(hostile.values(), max_size=3)


_OF_FIELD: dict[str, st.SearchStrategy[Any]] = {
    "from": _TIMES,
    "to": _TIMES,
    "metadata": hostile.texts(),
    "tags": _TAGS,
    "container": st.sampled_from(["mp4", "fmp4"]) | hostile.texts(),
    "filename": hostile.texts(),
    "at": _TIMES,
    "width": st.integers(-1, 20_000),
}


@each_value(name=COMMANDS, field=FIELDS)
def test_any_value_of_any_field_gives_an_answer_or_an_error_in_one_sentence(
    watched: WatchedStore, name: str, field: str
) -> None:
    @examples(5, 150)
    @given(hostile.values() | _OF_FIELD.get(field, st.nothing()))
    def check(value: hostile.Value) -> None:
        assume(not (field == "async" and value is True))  # it has a test of its own
        watched.send({"command": name, **RANGE, field: value})

    check()


@pytest.mark.parametrize("field", ["command", "from", "to", "tags", "async", "container"])
def test_nasty_values_of_a_field_are_refused_in_one_sentence(watched: WatchedStore, field: str) -> None:
    name = "fetch" if field == "container" else "save"
    values = [*hostile.NUMBERS, hostile.nested(40), {"a": {"b": []}}, *hostile.NASTY[1:]]
    if field == "tags":  # some of the texts are valid tags
        values = [[value] for value in hostile.NUMBERS]
    for value in values:
        assert watched.send({"command": name, **RANGE, field: value}) is None


@examples(25, 1500)
@given(hostile.texts())
def test_any_metadata_is_stored_unchanged_in_a_clip_that_plays(watched: WatchedStore, metadata: str) -> None:
    assert watched.send({"command": "save", **RANGE, "metadata": metadata})


@examples(60, 1500)
@given(_TAGS)
def test_any_tags_give_directories_in_the_upload_path_or_an_error(watched: WatchedStore, tags: list[Any]) -> None:
    watched.send({"command": "save", **RANGE, "tags": tags})


@examples(100, 2000)
@given(st.sampled_from(["save", "fetch"]), _TIMES, _TIMES, st.sampled_from(["mp4", "fmp4"]))
def test_any_range_gives_exactly_its_frames_or_an_error(
    watched: WatchedStore, name: str, from_text: str, to_text: str, container: str
) -> None:
    watched.send({"command": name, "from": from_text, "to": to_text, "container": container})


@pytest.mark.parametrize("name", ["save", "fetch"])
@pytest.mark.parametrize(
    ("from_text", "to_text"),
    [("1924-01-01_00-00-00Z", "2024-08-30_07-00-00Z"), ("0001-01-03_00-00-00Z", "2024-08-30_06-40-01.000000001")],
)
def test_a_range_of_a_hundred_years_or_of_all_years_holds_what_is_stored(
    watched: WatchedStore, name: str, from_text: str, to_text: str
) -> None:
    answer = watched.send({"command": name, "from": from_text, "to": to_text.removesuffix("Z") + "Z"})
    assert answer and answer["ranges"][0]["from"] == format_utc_microseconds(START_US)


@examples(40, 2000)
@given(
    st.fixed_dictionaries(
        {"command": st.sampled_from(COMMANDS) | hostile.values(), "from": _TIMES, "to": _TIMES},
        optional={name: _OF_FIELD.get(name, st.nothing()) | hostile.values() for name in FIELDS[3:] if name != "async"},
    )
    | st.dictionaries(hostile.texts(), hostile.values(), max_size=4)
)
def test_any_command_gives_an_answer_or_an_error_in_one_sentence(
    watched: WatchedStore, command: dict[str, Any]
) -> None:
    watched.send(command)


@examples(15, 500)
@given(hostile.texts(), st.just([]) | _TAGS, st.just(RANGE) | st.fixed_dictionaries({"from": _TIMES, "to": _TIMES}))
def test_any_asynchronous_save_ends_with_its_clip_or_an_error(
    watched: WatchedStore, metadata: str, tags: list[Any], asked: dict[str, str]
) -> None:
    watched.send({"command": "save", **asked, "metadata": metadata, "tags": tags, "async": True})
